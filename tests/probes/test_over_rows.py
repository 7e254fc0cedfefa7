"""Probes of what trains, asked of other rows: against dense derivatives of the mean loss of these, in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import grokdyn as gd
from tests import cases
from tests.train.lanes import recorded

D, N, CLASSES = 3, 24, 3
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((N, D)), RNG.integers(0, CLASSES, N)
TRAIN = RNG.permutation(N)[:10]
PARAMS = {"W_0": RNG.standard_normal((D, 4)), "W_1": RNG.standard_normal((4, CLASSES))}
SETS = {"table": np.arange(0, N, 4), "test": None, "train": None}
PROBES = (
    gd.GradientNorm,
    gd.Sharpness,
    gd.HessianTrace,
    gd.HessianDensity,
    gd.LogitScale,
    gd.SoftmaxCollapse,
    gd.ZeroTerms,
    gd.ClassSum,
)


class Points(gd.Task):
    """Random points with random labels."""

    def signature(self):
        return gd.Signature(gd.Vectors(D), gd.Classes(CLASSES), rows=N)

    def table(self):
        return gd.Table(X, Y)


def made(kind, **more):
    """Return a probe with as many products as there are parameters, so that eigenvalues are exact."""
    size = {gd.Sharpness: {"iterations": 24}, gd.HessianDensity: {"iterations": 24}}.get(kind, {})
    return kind(**size, **more)


def losses(flat, places):
    params = ravel_pytree(jax.tree.map(jnp.asarray, PARAMS))[1](flat)
    z = jnp.tanh(jnp.asarray(X)[places] @ params["W_0"]) @ params["W_1"]
    return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(places)), jnp.asarray(Y)[places]])


@pytest.fixture(scope="module")
def run():
    sets = itertools.product(PROBES, (("table", 6), ("test", 7), ("train", 5)))
    probes = [made(kind, rows=rows, part=part, name=f"{part}{i}") for i, (kind, (part, rows)) in enumerate(sets)]
    whole = [made(kind) for kind in PROBES]
    seen = gd.Predictions(rows=N)
    experiment = cases.tiny(
        task=Points(),
        model=gd.MLP(hidden=(4,), activation="tanh"),
        loss=gd.CrossEntropy(precision="float64"),
        probes=(*probes, *whole, seen),
        steps=1,
        record=gd.At((0,)),
        dtype="float64",
    )
    start = gd.Start(params=PARAMS, train_rows=TRAIN)
    return recorded(experiment, start)[1]


def named(part, kind):
    order = list(itertools.product(PROBES, ("table", "test", "train")))
    return f"{part}{order.index((kind, part))}_"


# Rows that come first in the run's own order are not known beforehand: all sets of so many are tried.
def candidates(part, rows):
    if part == "table":
        return [SETS["table"]]
    pool = TRAIN if part == "train" else np.setdiff1d(np.arange(N), TRAIN)
    return [np.asarray(one) for one in itertools.combinations(pool, rows)]


@pytest.mark.parametrize(("part", "rows"), [("table", 6), ("test", 7), ("train", 5)])
def test_loss_and_logits_are_those_of_the_rows_that_were_asked_for(run, part, rows):
    with jax.enable_x64(True):
        flat = ravel_pytree(jax.tree.map(jnp.asarray, PARAMS))[0]
        grad = jax.jit(jax.grad(losses))
        norm = float(run[named(part, gd.GradientNorm) + "gradient_norm"])
        single = np.stack([np.asarray(grad(flat, np.asarray([i]))) for i in range(N)])
        sizes = [np.linalg.norm(single[places].mean(0)) for places in candidates(part, rows)]
        place = int(np.argmin(np.abs(np.asarray(sizes) - norm)))
        assert sizes[place] == pytest.approx(norm, rel=1e-10)
        places = candidates(part, rows)[place]
        H = np.asarray(jax.jit(jax.hessian(losses))(flat, places))
    values = np.linalg.eigvalsh(H)
    sharp = named(part, gd.Sharpness)
    np.testing.assert_allclose(run[sharp + "sharpness"], values[-1], rtol=1e-8)
    np.testing.assert_allclose(run[sharp + "hessian_lowest"], values[0], rtol=1e-8)
    trace = named(part, gd.HessianTrace) + "hessian_trace"
    assert abs(run[trace] - values.sum()) < 5 * run[trace + "_error"]
    density = named(part, gd.HessianDensity)
    largest = float(run[density + "density_node"].max())
    np.testing.assert_allclose(largest, values[-1], rtol=1e-7)
    z = np.tanh(X[places] @ PARAMS["W_0"]) @ PARAMS["W_1"]
    np.testing.assert_allclose(run[named(part, gd.LogitScale) + "logit_max_abs"], np.abs(z).max(), rtol=1e-12)
    np.testing.assert_allclose(run[named(part, gd.LogitScale) + "logit_mean_abs"], np.abs(z).mean(), rtol=1e-12)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    g = (p - np.eye(CLASSES)[Y[places]]) / rows
    off = float(run[named(part, gd.ClassSum) + "logit_gradient_imbalance"])
    assert off == pytest.approx(np.abs(g.sum(1)).sum() / np.abs(g).sum(), abs=1e-12)
    assert float(run[named(part, gd.ZeroTerms) + "zero_loss"]) == 0
    assert float(run[named(part, gd.SoftmaxCollapse) + "softmax_collapse"]) == 0


def test_all_train_rows_and_their_names_are_as_they_were(run):
    with jax.enable_x64(True):
        flat = ravel_pytree(jax.tree.map(jnp.asarray, PARAMS))[0]
        g = np.asarray(jax.jit(jax.grad(losses))(flat, TRAIN))
    np.testing.assert_allclose(run.gradient_norm, np.linalg.norm(g), rtol=1e-10)
    assert run.gradient_norm.long_name == "gradient norm"
    assert run[named("test", gd.GradientNorm) + "gradient_norm"].long_name == "gradient norm, 7 test rows"
    told = run[named("train", gd.SoftmaxCollapse) + "softmax_collapse"].long_name
    assert told == "share of 5 train rows with softmax collapse"


class UpdateOfOthers(gd.Probe):
    """Lengths of the update along the gradient of four rows, before and after that of training was asked for."""

    def variables(self, shapes):
        return {name: gd.Variable(name) for name in ("first", "training", "later", "wanted")}

    def measure(self, view):
        rows = jnp.arange(4)
        first = view.over(rows).update
        training = view.update
        later, gradient = view.over(rows).update, view.over(rows).gradient
        found = {"first": first, "training": training, "later": later, "wanted": gradient}
        lengths = {name: jnp.linalg.norm(ravel_pytree(one)[0]) for name, one in found.items()}
        return lengths | {"wanted": lengths["wanted"] * view.experiment.optimizer.learning_rate}


def test_what_was_asked_of_the_train_rows_before_is_not_told_of_others():
    optimizer = gd.SGD(learning_rate=0.5)
    base = cases.tiny(task=Points(), optimizer=optimizer, probes=(UpdateOfOthers(),), steps=1, record=gd.At((0,)))
    _, found = recorded(base.replace(dtype="float64"))
    np.testing.assert_allclose([found.first, found.later], found.wanted, rtol=1e-12)
    assert found.training != found.first


def test_more_rows_than_a_tile_are_all_there():
    """As many rows as train, and the very ones, in tiles that they do not fill."""
    probes = ("gradient_norm", gd.GradientNorm(rows=3000, part="train", name="again"))
    task = gd.LinearTeacher(dimension=3, points=3300, train_points=3000)
    base = cases.tiny(task=task, loss=gd.MSE(), probes=probes, steps=1, record=gd.At((0,)), dtype="float64")
    _, found = recorded(base)
    np.testing.assert_allclose(found.again_gradient_norm, found.gradient_norm, rtol=1e-12)


def test_batches_are_drawn_from_the_rows_that_were_asked_for():
    """All train rows, in their order, are what they are drawn from anyway."""
    defect = gd.CommutatorDefect(batch=3, pairs=2)
    again, other = (defect.replace(rows=n, part=part, name=part) for n, part in ((10, "train"), (6, "table")))
    base = cases.tiny(task=Points(), probes=(defect, again, other), steps=1, record=gd.At((0,)), dtype="float64")
    start = gd.Start(params={"W_0": PARAMS["W_0"], "W_1": PARAMS["W_1"]}, train_rows=TRAIN)
    _, found = recorded(base.replace(model=gd.MLP(hidden=(4,))), start)
    np.testing.assert_allclose(found.train_commutator_defect, found.commutator_defect, rtol=1e-12)
    assert found.table_commutator_defect.values != found.commutator_defect.values
    with pytest.raises(gd.SpecError, match=r"batch: got 4; allowed: at most 3, half of 6 table rows"):
        gd.run(base.replace(probes=(other.replace(batch=4),)), progress=False)


def test_what_does_not_fit_is_refused():
    for probe, told in (
        (gd.Sharpness(part="test"), r"rows: .*a number of rows, where part is 'test'"),
        (gd.GradientNorm(rows=99, part="test"), r"rows: got 99; allowed: at most 12, all of the test rows"),
        (gd.LogitScale(rows=4, part="elsewhere"), r"part: got 'elsewhere'; allowed: one of table, train, test"),
    ):
        with pytest.raises(gd.SpecError, match=told):
            gd.run(cases.tiny(task=Points(), probes=(probe,)), progress=False)
    normed = gd.MLP(hidden=(4,), norm="batch")
    with pytest.raises(gd.SpecError, match="rows see each other"):
        gd.run(cases.tiny(task=Points(), model=normed, probes=(gd.Sharpness(rows=4),)), progress=False)
