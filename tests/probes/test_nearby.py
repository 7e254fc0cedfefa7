"""Sign changes near points against a loop over vertices and units; attacks against closed forms and plain numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.probes.complexity import POINTS, directions
from grokdyn.transforms.attacks import attack, attacks
from tests import cases
from tests.train.lanes import recorded

D, N, CLASSES, RADII, BUDGETS = 5, 24, 3, (0.3, 2.0), (0.0, 0.2, 0.6)
ROWS = np.random.default_rng(2).permutation(N)[: N // 2]


class Scattered(gd.Task):
    """Random points with random labels: vectors, or images of two channels."""

    images: bool = gd.field(gd.Flag(), default=False, doc="as images of 3 x 3 pixels")

    def signature(self):
        return gd.Signature(gd.Images(3, 3, 2) if self.images else gd.Vectors(D), gd.Classes(CLASSES), rows=N)

    def table(self):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((N, *self.signature().inputs.shape))
        return gd.Table(x, rng.integers(0, CLASSES, N))


def measured(model, params, *probes, images=False):
    experiment = cases.tiny(
        task=Scattered(images=images), model=model, probes=probes, steps=1, record=gd.At((0,)), dtype="float64"
    )
    return recorded(experiment, gd.Start(params=params, train_rows=ROWS))[1]


def points(images=False):
    """Return the sets of points around which signs are counted."""
    x = Scattered(images=images).table().inputs
    random = x.min() + (x.max() - x.min()) * np.random.default_rng(POINTS).random((N // 2, *x.shape[1:]))
    return {"train": x[ROWS], "test": np.delete(x, ROWS, axis=0), "random": random}


def slow(layers_of, x, radius, vertices):
    """Return the mean number of units with both signs, layer by layer, vertex by vertex, unit by unit."""
    total = 0.0
    for point in x:
        seen = []
        for v in directions(vertices // 2, point.size):
            for sign in (1, -1):
                seen.append(layers_of(point + sign * radius * v.reshape(point.shape)))
        counts = []
        for layer in range(len(seen[0])):
            units = [[bool(z > 0) for z in np.ravel(one[layer])] for one in seen]
            counts.append(sum(len({unit[k] for unit in units}) == 2 for k in range(len(units[0]))))
        total = total + np.array(counts)
    return total / len(x)


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(1)
    sizes = (D, 7, 6, CLASSES)
    params = {f"W_{i}": rng.standard_normal(pair) for i, pair in enumerate(itertools.pairwise(sizes))}
    params |= {f"b_{i}": 0.3 * rng.standard_normal(n) for i, n in enumerate(sizes[1:])}
    model = gd.MLP(hidden=sizes[1:-1], bias=True)
    probes = (
        gd.LocalComplexity(rows=N // 2, vertices=6, radii=RADII),
        gd.AdversarialAccuracy(rows=N // 2, budgets=BUDGETS, steps=4),
        "accuracy",
    )
    return params, measured(model, params, *probes)


def test_signs_are_counted_as_by_a_loop(network):
    params, found = network

    def layers_of(x):
        z = [x @ params["W_0"] + params["b_0"]]
        for i in (1, 2):
            z.append(np.maximum(z[-1], 0) @ params[f"W_{i}"] + params[f"b_{i}"])
        return z

    assert list(found.layer.values) == ["pre_0", "pre_1", "logits"]
    for name, x in points().items():
        for radius in RADII:
            exact = slow(layers_of, x, radius, 6)
            np.testing.assert_allclose(found[f"{name}_local_complexity"].sel(radius=radius), exact, rtol=1e-12)


def test_the_first_layer_counts_the_hyperplanes_that_cut_the_hull(network):
    params, found = network
    reach = np.abs(directions(3, D) @ params["W_0"]).max(0)
    for name, x in points().items():
        off = np.abs(x @ params["W_0"] + params["b_0"])
        exact = [(off <= radius * reach).sum(1).mean() for radius in RADII]
        np.testing.assert_allclose(found[f"{name}_local_complexity"].sel(layer="pre_0"), exact, rtol=1e-12)


def test_every_place_of_a_convolution_is_a_unit():
    rng = np.random.default_rng(3)
    model = gd.CNN(channels=(2,), kernel=2, padding=0, pool="none")
    params = {"W_0": rng.standard_normal((2, 2, 2, 2)), "b_0": rng.standard_normal(2)}
    params |= {"W_1": rng.standard_normal((8, CLASSES)), "b_1": rng.standard_normal(CLASSES)}
    found = measured(model, params, gd.LocalComplexity(rows=N // 2, vertices=8, radii=(0.5,)), images=True)

    def layers_of(x):
        windows = [[x[i : i + 2, j : j + 2] for j in range(2)] for i in range(2)]
        z = np.array([[np.einsum("ijc,ijck->k", w, params["W_0"]) for w in row] for row in windows]) + params["b_0"]
        return z, np.maximum(z, 0).ravel() @ params["W_1"] + params["b_1"]

    for name, x in points(images=True).items():
        exact = slow(layers_of, x, 0.5, 8)
        np.testing.assert_allclose(found[f"{name}_local_complexity"].isel(radius=0), exact, rtol=1e-12)


def test_directions_are_orthonormal():
    v = directions(4, 9)
    np.testing.assert_allclose(v @ v.T, np.eye(4), atol=1e-12)


def test_a_budget_of_0_is_accuracy_and_more_never_helps(network):
    _, found = network
    for part in ("train", "test"):
        under = found[f"{part}_adversarial_accuracy"].values
        assert under[0] == pytest.approx(float(found[f"{part}_accuracy"]), abs=1e-7)
        assert np.all(np.diff(under) <= 0)
        assert under[-1] < under[0]


def attacked(norm, budget, W, x, labels, steps=5, between=(-np.inf, np.inf)):
    with jax.enable_x64(True):
        one = attack(lambda x: jnp.tanh(x @ W), jnp.asarray(x), jnp.asarray(labels), budget, norm, 0.25, between)
        return np.asarray(attacks(one, jax.random.key(0), steps))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_adversary_stays_in_its_ball_and_range_and_is_never_weaker_than_one_step(norm):
    rng = np.random.default_rng(4)
    x, labels, W = rng.uniform(-1, 1, (40, D)), rng.integers(0, CLASSES, 40), rng.standard_normal((D, CLASSES))
    met = attacked(norm, 0.5, W, x, labels, between=(-1.0, 1.0))
    change = met - x
    size = np.abs(change).max(-1) if norm == "linf" else np.sqrt((change**2).sum(-1))
    assert size.max() <= 0.5 * (1 + 1e-12)
    assert size.max() > 0.49
    assert np.abs(met).max() <= 1
    # The same descent in numpy, from where it began; and the one step.
    for begin, length, taken in ((met[2], 0.125, met[3:]), (met[0], 0.5, met[1:2])):
        point = begin
        for one in taken:
            z = np.tanh(point @ W)
            others = np.where(np.eye(CLASSES, dtype=bool)[labels], 0, np.exp(z))
            slope = others / others.sum(1, keepdims=True) - np.eye(CLASSES)[labels]
            g = (slope * (1 - z**2)) @ W.T
            g = np.sign(g) if norm == "linf" else g / np.sqrt((g**2).sum(1, keepdims=True))
            moved = point + length * g - x
            reach = np.sqrt((moved**2).sum(1, keepdims=True))
            moved = np.clip(moved, -0.5, 0.5) if norm == "linf" else moved * np.minimum(1, 0.5 / reach)
            point = np.clip(x + moved, -1, 1)
            np.testing.assert_allclose(one, point, atol=1e-10)
    right = np.argmax(np.tanh(met @ W), -1) == labels
    assert np.all(right.all(0) <= right[1])
    assert right.all(0).sum() < right[0].sum()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_linear_network_is_right_where_its_margin_is_beyond_reach(norm):
    rng = np.random.default_rng(5)
    x, labels, w = rng.standard_normal((200, D)), rng.integers(0, 2, 200), rng.standard_normal(D)
    margin = (2 * labels - 1) * (x @ w)
    reach = 0.3 * (np.abs(w).sum() if norm == "linf" else np.sqrt(w @ w))
    assert np.min(np.abs(margin - reach)) > 1e-6
    W = 1e-3 * np.stack([0 * w, w], 1)  # small, so that tanh keeps the order of logits
    met = attacked(norm, 0.3, W, x, labels, steps=1)
    right = (np.argmax(met @ W, -1) == labels).all(0)
    np.testing.assert_array_equal(right, margin > reach)


def test_attacks_see_through_collapsed_logits():
    """Where the softmax of narrow logits is exactly 1 the gradient of cross-entropy is 0; this one is not."""
    with jax.enable_x64(True):
        x = jnp.asarray([[1.0, 0.0]], jnp.float32)
        W = jnp.asarray([[1e4, -1e4], [0, 0]], jnp.float32)
        one = attack(lambda x: x @ W, x, jnp.asarray([0]), 2.0, "linf", 0.25, (-9.0, 9.0))
        met = attacks(one, jax.random.key(0), 4)
    assert met[1, 0, 0] == -1
    assert np.argmax(met[1] @ W) == 1


def test_a_run_of_several_records_has_the_probe_alone():
    probe = gd.AdversarialAccuracy(rows=3, steps=2, budgets=(0.0, 0.1))
    base = cases.tiny(task=gd.Slabs(dimension=3, points=30), steps=2, record=gd.Every(1), probes=("accuracy", probe))
    found = gd.run(base.replace(batch_size=4), progress=False)
    assert np.isfinite(found.train_adversarial_accuracy).all()
    assert np.isfinite(found.test_adversarial_accuracy).all()


def test_parts_that_a_task_names_are_looked_at_too():
    task = gd.OpposingOutliers(dimension=3, points=10, outliers=2)
    probe = gd.LocalComplexity(rows=2, vertices=4, parts=("positive", "table"))
    _, found = recorded(cases.tiny(task=task, loss=gd.MSE(), probes=(probe,), steps=1, record=gd.At((0,))))
    words = {f"{name}_local_complexity" for name in ("positive", "table", "random")}
    assert {name for name in found.data_vars if name.endswith("complexity")} == words
    whole = gd.LocalComplexity(rows=N, vertices=6, radii=RADII, parts=("table",))
    model = gd.MLP(hidden=(7,))
    params = {"W_0": np.ones((D, 7)), "W_1": np.arange(21.0).reshape(7, CLASSES)}
    seen = measured(model, params, whole).table_local_complexity
    x = Scattered().table().inputs

    def layers_of(x):
        z = x @ params["W_0"]
        return z, np.maximum(z, 0) @ params["W_1"]

    for radius in RADII:
        np.testing.assert_allclose(seen.sel(radius=radius), slow(layers_of, x, radius, 6), rtol=1e-12)


def test_what_does_not_fit_is_told():
    home = cases.tiny(task=Scattered())
    with pytest.raises(gd.SpecError, match="even"):
        gd.run(home.replace(probes=(gd.LocalComplexity(vertices=5),)))
    with pytest.raises(gd.SpecError, match="at most 10"):
        gd.run(home.replace(probes=(gd.LocalComplexity(rows=3, vertices=12),)))
    with pytest.raises(gd.SpecError, match="at most 12, the test rows"):
        gd.run(home.replace(probes=(gd.AdversarialAccuracy(rows=13),)))
    with pytest.raises(gd.SpecError, match="tokens"):
        gd.run(cases.tiny(probes=("adversarial_accuracy",)))
    for parts in (("train", "other"), ()):
        with pytest.raises(gd.SpecError, match=r"parts: got .*; allowed: some of table, train, test"):
            gd.run(home.replace(probes=(gd.AdversarialAccuracy(rows=3, parts=parts),)))
    with pytest.raises(gd.SpecError, match="increasing"):
        gd.run(home.replace(probes=(gd.AdversarialAccuracy(rows=3, budgets=(0.2, 0.1)),)))
