"""Randomised features against rows that are put together one by one, and areas against all pairs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.probes.randomised import area, exchanged
from tests import cases
from tests.train.lanes import recorded

D, N, ROWS = 4, 40, 20


def scored(scores, labels):
    """Return the area by a loop over pairs."""
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[labels == 1] for b in scores[labels == 0]]
    return np.mean(pairs)


@pytest.mark.parametrize("ties", [False, True])
def test_an_area_is_that_of_all_pairs(ties):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        scores, labels = rng.standard_normal(31), rng.integers(0, 2, 31)
        scores = np.round(2 * scores) / 2 if ties else scores
        found = float(area(jnp.asarray(scores), jnp.asarray(labels == 1)))
        assert found == pytest.approx(scored(scores, labels), rel=1e-14)
        assert found == pytest.approx(gd.analysis.auroc(scores, labels == 1).value, rel=1e-14)
        assert np.isnan(area(jnp.asarray(scores), jnp.ones(31, bool)))
        assert np.isnan(area(jnp.asarray([1.0, np.nan, 0.0]), jnp.asarray([True, False, False])))


@pytest.mark.parametrize("rotated", [True, False])
def test_coordinates_of_other_rows_are_put_in_one_by_one(rotated):
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        z, order = rng.standard_normal((7, D)), rng.permutation(7)
        W = np.linalg.qr(rng.standard_normal((D, D)))[0] if rotated else np.eye(D)
        named = np.array([True, False, True, False])
        slow = np.empty_like(z)
        for i, j in itertools.product(range(7), range(D)):
            slow[i, j] = z[order[i], j] if named[j] else z[i, j]
        x = z @ W.T
        found = exchanged(jnp.asarray(x), jnp.asarray(order), named, jnp.asarray(W) if rotated else None)
        np.testing.assert_allclose(found, slow @ W.T, atol=1e-12)


class Turned(gd.Task):
    """Random points with random labels, turned by a matrix if wanted."""

    turned: bool = gd.field(gd.Flag(), default=True, doc="whether they are")

    def signature(self):
        return gd.Signature(gd.Vectors(D), gd.Classes(2), rows=N)

    def rotation(self, key):
        return jnp.asarray(TURN) if self.turned else None

    def table(self):
        return gd.Table(POINTS @ TURN.T if self.turned else POINTS, np.arange(N) % 2)


RNG = np.random.default_rng(1)
POINTS, TURN = RNG.standard_normal((N, D)), np.linalg.qr(RNG.standard_normal((D, D)))[0]


def measured(task, params, **more):
    probe = gd.RandomisedFeatures(rows=ROWS, part="test", coordinates=(0, 2), per_row=True)
    base = cases.tiny(
        task=task, model=gd.MLP(hidden=(5,)), steps=1, record=gd.At((0,)), probes=("accuracy", probe), dtype="float64"
    ).replace(**more)
    return recorded(base, gd.Start(params=params))[1]


@pytest.mark.parametrize("turned", [True, False])
def test_a_run_has_what_a_network_in_numpy_makes_of_the_same_rows(turned):
    rng = np.random.default_rng(2)
    params = {"W_0": rng.standard_normal((D, 5)), "W_1": rng.standard_normal((5, 2))}
    found = measured(Turned(turned=turned), params)
    np.testing.assert_allclose(found.randomised_accuracy[0], found.test_accuracy)
    labels = found.randomised_label.values
    for k in range(3):
        z = found.randomised_logit[k].values
        np.testing.assert_allclose(found.randomised_accuracy[k], np.mean((z > 0) == labels), rtol=1e-12)
        np.testing.assert_allclose(found.randomised_auc[k], scored(z, labels), rtol=1e-12)
    # Whichever permutation was drawn: one row has its coordinates beside those of one other, and no other has them.
    all_pairs = [[list(differ(params, one, other, turned)) for other in POINTS] for one in POINTS]
    plain, put_in, beside = np.moveaxis(np.asarray(all_pairs), 2, 0)
    mine = [int(np.argmin(np.abs(plain[:, 0] - z))) for z in found.randomised_logit[0].values]
    givers = []
    for row, z, w in zip(mine, *found.randomised_logit.values[1:], strict=True):
        givers.append(min(mine, key=lambda other, row=row, z=z: abs(put_in[row, other] - z)))
        assert put_in[row, givers[-1]] == pytest.approx(z, abs=1e-9)
        assert beside[row, givers[-1]] == pytest.approx(w, abs=1e-9)
    assert sorted(givers) == sorted(mine)


def differ(params, one, other, turned):
    """Yield z_1 - z_0 of a row, of it with coordinates 0 and 2 of another, and with only these its own."""
    named = np.isin(np.arange(D), (0, 2))
    for x in (one, np.where(named, other, one), np.where(named, one, other)):
        x = TURN @ x if turned else x
        z = np.maximum(x @ params["W_0"], 0) @ params["W_1"]
        yield z[1] - z[0]


def test_a_network_that_reads_the_others_alone_has_what_it_has_and_chance_without_them():
    task = gd.Slabs(dimension=D, points=4000, others="linear", corrupted=0.2, rotated=False)
    blind = {"W_0": np.zeros((D, 5)), "W_1": np.zeros((5, 2))}
    blind["W_0"][1, :2], blind["W_1"][:2, :] = (1.0, -1.0), [[0.0, 1.0], [1.0, 0.0]]
    probe = gd.RandomisedFeatures(rows=2000, part="test")
    found = measured(task, blind, probes=("accuracy", probe))
    accuracy, auc = found.randomised_accuracy.values, found.randomised_auc.values
    np.testing.assert_allclose(accuracy[0], found.test_accuracy, rtol=1e-12)
    assert accuracy[1] == accuracy[0]
    assert auc[1] == auc[0]
    # Scores do not depend on labels, 1000 of each: Mann and Whitney's variance.
    assert abs(auc[2] - 0.5) < 5 * np.sqrt(2001 / 12 / 1000**2)


def test_what_does_not_fit_is_refused():
    slabs = gd.Slabs(dimension=D, points=N)
    for task, changes, told in (
        (slabs, {"coordinates": (4,)}, r"coordinates: got \[4\]; allowed: some but not all of 0 to 3"),
        (slabs, {"coordinates": (0, 1, 2, 3)}, "coordinates: .*some but not all of 0 to 3"),
        (slabs, {"rows": 50}, "rows: got 50; allowed: at most 20, all of the test rows of every run"),
        (gd.ModularArithmetic(p=7), {}, "inputs that are no vectors"),
        (gd.LongTail(subpopulations=6, classes=3, points=60, dimension=4), {}, "3 outputs"),
        (gd.LinearTeacher(dimension=3, points=60), {}, "real targets"),
    ):
        probe = gd.RandomisedFeatures(rows=ROWS, part="test").replace(**changes)
        loss = gd.MSE() if isinstance(task, gd.LinearTeacher) else gd.CrossEntropy()
        with pytest.raises(gd.SpecError, match=told):
            gd.run(cases.tiny(task=task, loss=loss, probes=(probe,)), progress=False)
