"""Class changes between rows and measures of generalisation against loops in plain numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import grokdyn as gd
from grokdyn.probes.generalisation import LEAST, MEASURES, MOST, NOISE
from grokdyn.train.step import record, view_of
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
P, POINTS, SCALE = 5, 23, 1.5
MEASURED = gd.GeneralisationMeasures(draws=3, halvings=9, drop=0.2)
EXPERIMENT = gd.Experiment(
    task=gd.ModularArithmetic(p=P, train_fraction=0.6),
    model=gd.MLP(hidden=(6, 4), bias=True, init="ntk", output_scale=SCALE),
    loss=gd.CrossEntropy(),
    optimizer=gd.SGD(learning_rate=0.1),
    steps=1,
    dtype="float64",
    probes=(gd.Fragmentation(rows=9, points=POINTS, part="train"), MEASURED),
)


def network(x, params, first=0):
    """Return the logits and what every layer reads, from a layer on; ntk weights are divided by the root of fan-in."""
    read = [x]
    for layer in range(first, 3):
        W, b = params[f"W_{layer}"], params[f"b_{layer}"]
        z = read[-1] @ W / np.sqrt(len(W)) + b
        read.append(np.maximum(z, 0) if layer < 2 else SCALE * z)
    return read.pop(), read


@pytest.fixture(scope="module")
def run():
    """Return a run away from its first weights, fitted a little, and what the probes find of it."""
    with jax.enable_x64(True):
        found = taken_apart(EXPERIMENT, padding=2)
        rng = np.random.default_rng(0)
        params = {name: 2 * w + jnp.asarray(rng.normal(size=w.shape)) for name, w in found.state.params.items()}
        state = found.state.replace(params=params)
        lane = found.lane.replace(initial_params=found.state.params)
        seen = jax.device_get(jax.jit(lambda s: record(found.program, lane, found.rows, s, found.table))(state))
        view = view_of(found.program, lane, found.rows, state, found.table)
        places = np.asarray(lane.split.order)[:15]
        codes = np.eye(P)[np.asarray(found.table.inputs)[places]].reshape(15, -1)
        arrays = {name: np.asarray(w) for name, w in params.items()}
        first = {name: np.asarray(w) for name, w in found.state.params.items()}
        return view, seen, codes, np.asarray(lane.split.labels)[places], arrays, first


def test_class_changes_are_counted_along_every_segment(run):
    _, seen, x, _, params, _ = run
    for layer in range(3):
        ends, total = network(x, params)[1][layer], 0
        for one, other in ((0, 1), (2, 3), (4, 5), (6, 7)):
            last = None
            for k in range(POINTS):
                share = k / (POINTS - 1)
                found = int(np.argmax(network((1 - share) * ends[one] + share * ends[other], params, layer)[0]))
                total += last is not None and found != last
                last = found
        assert seen["fragmentation"][layer] == total / 4
    assert seen["fragmentation"][0] > 0


def test_the_measures_of_weights_and_margins_are_their_definitions(run):
    _, seen, x, labels, params, first = run
    found = dict(zip(MEASURES, seen["complexity"], strict=True))

    def effective(tensors):
        scales = [(SCALE if layer == 2 else 1) for layer in range(3)]
        W = [s * tensors[f"W_{i}"] / np.sqrt(len(tensors[f"W_{i}"])) for i, s in enumerate(scales)]
        return W, [s * tensors[f"b_{i}"] for i, s in enumerate(scales)]

    (W, b), (V, _) = effective(params), effective(first)
    fro, two = ([np.linalg.norm(w, kind) ** 2 for w in W] for kind in ("fro", 2))
    apart = [w - v for w, v in zip(W, V, strict=True)]
    logits = network(x, params)[0]
    margins = [z[y] - max(np.delete(z, y)) for z, y in zip(logits, labels, strict=True)]
    low = np.percentile(margins, 10)
    inverse = -2 * np.log(low) if low > 0 else np.inf
    paths = 0.0
    for i, j, k in itertools.product(range(6), range(4), range(P)):
        into = np.sum(W[0][:, i] ** 2) + b[0][i] ** 2
        paths += into * W[1][i, j] ** 2 * W[2][j, k] ** 2
    paths += np.sum(b[1] ** 2 @ W[2] ** 2) + np.sum(b[2] ** 2)
    expected = {
        "parameters": sum(w.size for w in params.values()),
        "frobenius": sum(fro),
        "frobenius_product": np.log(np.prod(fro)),
        "spectral": sum(two),
        "spectral_product": np.log(np.prod(two)),
        "spectral_complexity": np.log(np.prod(two) * sum(f / t for f, t in zip(fro, two, strict=True))),
        "path": np.log(paths),
        "distance": sum(np.sum(d**2) for d in apart),
        "spectral_distance": sum(np.linalg.norm(d, 2) ** 2 for d in apart),
        "inverse_margin": inverse,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name
    for name in ("frobenius_product", "spectral_product", "spectral_complexity", "path"):
        assert found[f"{name}_over_margin"] == pytest.approx(expected[name] + inverse, rel=1e-9)


def test_the_largest_noise_is_found_by_halving(run):
    view, seen, x, labels, params, first = run
    found = dict(zip(MEASURES, seen["complexity"], strict=True))
    flat, unravel = ravel_pytree(params)
    flat, start = np.asarray(flat), np.asarray(ravel_pytree(first)[0])
    noise = np.asarray(jax.random.normal(jax.random.fold_in(view.key, NOISE), (3, flat.size), jnp.float64))

    def accuracy(w):
        tensors = {name: np.asarray(leaf) for name, leaf in unravel(jnp.asarray(w)).items()}
        return np.mean(network(x, tensors)[0].argmax(1) == labels)

    def largest(scale):
        low, high = np.log(LEAST), np.log(MOST)
        for _ in range(9):
            middle = (low + high) / 2
            mean = np.mean([accuracy(flat + np.exp(middle) * scale * e) for e in noise])
            low, high = (middle, high) if mean >= accuracy(flat) - 0.2 else (low, middle)
        return np.exp(low)

    plain, relative = largest(1.0), largest(np.abs(flat))
    assert LEAST < plain < MOST
    rest = np.log(15 / plain)
    expected = {
        "pac_bayes": -2 * np.log(plain),
        "pac_bayes_relative": -2 * np.log(relative),
        "pac_bayes_distance": np.sum((flat - start) ** 2) / (4 * plain**2) + rest,
        "pac_bayes_norm": np.sum(flat**2) / (4 * plain**2) + rest,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (gd.Encoder(d_model=2, heads=1, ff=2), "a model encoder"),
        (gd.MLP(hidden=(4, 4), residual=True), "residual"),
        (gd.MLP(hidden=(4,), norm="layer"), "norm layer"),
        (gd.MLP(hidden=(4,), linearised=True), "linearised"),
    ],
)
def test_other_networks_are_told(model, told):
    for probe in (MEASURED, gd.Fragmentation(rows=4)):
        with pytest.raises(gd.SpecError, match=told):
            gd.run(EXPERIMENT.replace(model=model, probes=(probe,)))
