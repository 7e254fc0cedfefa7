"""Learned coefficients against sums over the cube; which tasks are cubes."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.probes.walsh import cube_of, name_of, set_of
from grokdyn.theory import boolean
from tests import cases
from tests.train.lanes import recorded

D = 4


class Shuffled(gd.Task):
    """Two real targets of bits, rows in an order of their own; the last four rows only test."""

    def signature(self):
        return gd.Signature(gd.Vectors(D), gd.Reals(2), 2**D, {"seen": "pool", "unseen": "test"})

    def membership(self):
        return np.where(np.arange(2**D) < 12, "seen", "unseen")

    def table(self):
        bits = np.random.default_rng(0).permutation(2**D)[:, None] >> np.arange(D) & 1
        x = 1 - 2 * bits
        return gd.Table(bits.astype(np.float32), np.stack([x[:, 0] * x[:, 2], x[:, 1]], axis=1).astype(np.float32))


class Repeated(Shuffled):
    def table(self):
        inputs, targets = super().table()
        inputs[0] = inputs[1]
        return gd.Table(inputs, targets)


@pytest.mark.parametrize("task", [gd.Boolean(dimension=D, seen="own"), Shuffled()])
def test_a_linear_network_has_the_coefficients_of_its_weights(task):
    """f = x W + b of +-1 has coefficients b and W; of bits (1 - x)/2, b + W/2 summed and -W/2."""
    outputs = task.signature().outputs
    W = np.arange(1.0, D * outputs + 1).reshape(D, outputs)
    start = gd.Start(params={"W_0": W, "b_0": np.full(outputs, 0.25)})
    sets = ("constant", "x0", "x3", "x1x2")
    exp = cases.tiny(
        task=task, model=gd.MLP(hidden=(), bias=True), loss=gd.MSE(), probes=(gd.Loss(), gd.Walsh(sets=sets))
    )
    _, found = recorded(exp, start)
    plain = isinstance(task, gd.Boolean)
    linear = W if plain else -W / 2
    constant = 0.25 + (0 if plain else W.sum(axis=0) / 2)
    expected = np.stack([np.broadcast_to(constant, outputs), linear[0], linear[3], np.zeros(outputs)], axis=1)
    np.testing.assert_allclose(found.walsh_coefficient.values.reshape(outputs, -1), expected, atol=1e-6)
    profile = np.stack([np.broadcast_to(constant**2, outputs), np.square(linear).sum(0)], axis=1)
    np.testing.assert_allclose(found.walsh_profile.values.reshape(outputs, -1)[:, :2], profile, rtol=1e-6)
    np.testing.assert_allclose(found.walsh_profile.values.reshape(outputs, -1)[:, 2:], 0, atol=1e-9)


def test_distances_are_means_over_the_cube():
    task = gd.Boolean(dimension=D, seen="own", train_fraction=1.0)
    exp = cases.tiny(task=task, loss=gd.MSE(), probes=("loss", "walsh"))
    ds = gd.run(exp, progress=False).isel(step=-1)
    seen = task.seen_rows()
    target = np.mean(seen) * ds.train_loss + np.mean(~seen) * ds.unseen_loss
    np.testing.assert_allclose(ds.walsh_target_distance, target, rtol=1e-6)
    terms = {"x0": -1.25, "x1": 1.5, "x2": 1.0, "x0x1": 1.0, "x0x2": 1.5, "x1x2": -1.25}
    assert ds["set"].values.tolist() == list(terms)
    cube = cube_of(task)
    predicted = {name_of(T): round(float(c), 9) for T, c in enumerate(cube.interpolator[0]) if abs(c) > 1e-9}
    assert predicted == {"x0": -1.25, "x1": 1.5, "x2": 1.0}


def test_with_classes_sets_are_named():
    class Bits(gd.Task):
        def signature(self):
            return gd.Signature(gd.Tokens(2, 3), gd.Classes(2), 8)

        def table(self):
            x = (np.arange(8)[:, None] >> np.arange(3) & 1).astype(np.int32)
            return gd.Table(x, (x.sum(1) > 1).astype(np.int32))

    ds = gd.run(cases.tiny(task=Bits(), probes=(gd.Walsh(sets=("x0",)),)), progress=False)
    assert ds.walsh_coefficient.dims == ("step", "output", "set")
    assert "walsh_target_distance" not in ds
    with pytest.raises(gd.SpecError, match=r"probes\[0\].sets: got \[\]; allowed: named sets"):
        gd.run(cases.tiny(task=Bits(), probes=("walsh",)), progress=False)


@pytest.mark.parametrize(
    ("task", "probe", "told"),
    [
        (gd.MultiIndex(dimension=3, points=8), gd.Walsh(), r"probes\[0\].kind: got MultiIndex with 8 rows"),
        (gd.ModularArithmetic(p=5), gd.Walsh(), r"got ModularArithmetic with 25 rows; allowed: a task whose rows"),
        (Repeated(), gd.Walsh(), r"got Repeated with 16 rows"),
        (gd.Boolean(dimension=4), gd.Walsh(sets=("x1x4",)), r"probes\[0\].sets\[0\]: got 'x1x4'; .*below 4"),
        (gd.Boolean(dimension=4), gd.Walsh(sets=("x1x1",)), r"sets\[0\]: got 'x1x1'"),
        (gd.Boolean(dimension=4), gd.Walsh(sets=("y",)), r"sets\[0\]: got 'y'; allowed: constant, or coordinates"),
        (gd.Boolean(dimension=4), gd.Walsh(sets=("x0x1", "x1x0")), r"sets\[1\]: got 'x1x0'; allowed: each set once"),
    ],
)
def test_what_is_no_cube_or_no_set_is_told(task, probe, told):
    loss = gd.CrossEntropy() if isinstance(task, gd.ModularArithmetic) else gd.MSE()
    with pytest.raises(gd.SpecError, match=told):
        gd.run(cases.tiny(task=task, loss=loss, probes=(probe,)), progress=False)


def test_names_of_sets_are_read_back():
    for T in range(2**D):
        members = set_of(name_of(T))
        assert members is not None
        assert sum(2**i for i in members) == T
    np.testing.assert_array_equal(boolean.cube(D)[0], 1)
