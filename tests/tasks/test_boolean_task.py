"""Functions on the cube: rows, seen points, what is refused, a user's own function and rule."""

import itertools

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.parts import parts_of
from tests import cases


def product(x):
    return x[:, 0] * x[:, 1] + 0.5


def heavy(x):
    return (x < 0).sum(axis=1) >= 2


def points(d):
    """All points, x_0 turning fastest, +1 first."""
    return [point[::-1] for point in itertools.product((1, -1), repeat=d)]


@pytest.mark.parametrize(
    ("task", "value", "seen"),
    [
        (gd.Boolean(dimension=4, seen="own"), lambda x: x[0] * x[1] - 1.25 * x[1] * x[2] + 1.5 * x[2] * x[0], None),
        (gd.Boolean(function="2parity", dimension=3, seen="own"), lambda x: x[0] * x[1], lambda x: 1 in x[:2]),
        (gd.Boolean(function="parity", active=2, dimension=4, seen="cyclic3"), None, lambda x: 1 in x[:3]),
        (gd.Boolean(function="majority", dimension=3), lambda x: 1 if sum(x) > 0 else -1, lambda x: True),
        (gd.Boolean(function="parity", dimension=5, seen="light", weight=2), None, lambda x: x.count(-1) <= 2),
        (gd.Boolean(function=product, dimension=3, seen=heavy), lambda x: x[0] * x[1] + 0.5, lambda x: x.count(-1) > 1),
        (
            gd.Boolean(function="staircase", dimension=3, seen="frozen", coordinates=(0, 2), value="-1"),
            lambda x: x[0] + x[0] * x[1] + x[0] * x[1] * x[2],
            lambda x: x[0] == x[2] == -1,
        ),
    ],
)
def test_rows_are_the_points_of_the_cube_in_their_parts(task, value, seen):
    value = value or (lambda x: np.prod(x[: task.active]))
    seen = seen or (lambda x: x[0] * x[1] * x[2] == 1)
    inputs, targets = task.table()
    assert inputs.tolist() == [list(x) for x in points(task.dimension)]
    np.testing.assert_allclose(targets[:, 0], [value(x) for x in points(task.dimension)])
    np.testing.assert_array_equal(task.seen_rows(), [seen(x) for x in points(task.dimension)])
    parts = parts_of(task)
    assert parts.whole == bool(task.seen_rows().all())
    if not parts.whole:
        np.testing.assert_array_equal(parts.mask("unseen"), ~task.seen_rows())
    tokens = task.replace(encoding="tokens").table().inputs
    np.testing.assert_array_equal(1 - 2 * tokens, inputs)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"active": 9}, r"task.active: got 9; allowed: at most 4"),
        ({"seen": "frozen", "coordinates": (4,)}, r"task.coordinates: got \[4\]; allowed: coordinates below 4"),
        ({"function": "pointer_value"}, r"task.function: .*pointer_value has 11"),
        ({"function": "cyclic3", "active": 2}, r"task.function: got 'cyclic3'; allowed: one of 2 .* it needs 3"),
        ({"dimension": 2, "function": "2parity", "seen": "threesym"}, r"task.seen: got 'threesym'; .* it needs 3"),
        ({"function": "majority", "seen": "own"}, r"task.seen: got 'own'; allowed: another rule, unless"),
        ({"seen": "light", "weight": 4}, r"task.weight: got 4; allowed: below 4"),
        ({"function": lambda x: x}, r"task.function: .*one per row"),
        ({"function": lambda x: x[:, 7]}, r"task.function: .*index 7 is out of bounds"),
        ({"function": lambda x: x[:, 0] / np.float64(0)}, r"task.function: .*(finite|divide)"),
        ({"seen": lambda x: x[:, 0] > 1}, r"task.seen: got no seen point"),
        ({"seen": lambda x: x[:, 0]}, r"task.seen: got values other than true and false"),
        ({"function": "treesym"}, r"threesym"),
    ],
)
def test_what_does_not_fit_is_told(changes, told):
    with pytest.raises(gd.SpecError, match=told):
        gd.run(cases.tiny(task=gd.Boolean(dimension=4).replace(**changes), loss=gd.MSE()), progress=False)


def test_losses_are_those_of_seen_and_unseen_points():
    task = gd.Boolean(function=product, dimension=4, seen=heavy, train_fraction=1.0)
    ds = gd.run(cases.tiny(task=task, loss=gd.MSE(), model=gd.MLP(hidden=()), probes=("loss", "walsh")), progress=False)
    assert gd.analysis.parts(ds, "loss") == ("train", "test", "unseen")
    assert ds.test_loss.isnull().all()
    share = task.seen_rows().mean()
    whole = share * ds.train_loss + (1 - share) * ds.unseen_loss
    np.testing.assert_allclose(whole, ds.walsh_target_distance, rtol=1e-6)
