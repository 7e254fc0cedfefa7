"""Digits as several tasks: how they are turned, permuted and divided, and what parts and replay make of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks import digit_tasks, digits
from grokdyn.tasks.parts import parts_of
from tests import cases

pytestmark = [
    pytest.mark.usefixtures("x64"),
    pytest.mark.skipif(digits.source() is None, reason="needs the extra grokdyn[mnist]"),
]


def table(task, seed=0):
    found = jax.jit(task.draw)(jax.random.key(seed))
    return np.asarray(found.inputs), np.asarray(found.labels), task.membership()


@pytest.mark.parametrize("angle", [0.0, 30.0, 80.0, 90.0, -45.0])
def test_images_are_turned_as_scipy_turns_them(angle):
    ndimage = pytest.importorskip("scipy.ndimage")
    x = np.asarray(digit_tasks.pictures().inputs[:20], np.float64)
    turned = x @ np.asarray(digit_tasks.rotation(jnp.float64(angle))).T
    # Nothing outside, also between the last pixel and the first beyond it: scipy needs a margin for that.
    wide = np.pad(x.reshape(-1, 8, 8), ((0, 0), (8, 8), (8, 8)))
    expected = ndimage.rotate(wide, angle, axes=(1, 2), reshape=False, order=1, prefilter=False)[:, 8:16, 8:16]
    np.testing.assert_allclose(turned.reshape(-1, 8, 8), expected, atol=1e-12)
    if angle == 90:
        np.testing.assert_allclose(turned.reshape(-1, 8, 8), np.rot90(x.reshape(-1, 8, 8), axes=(1, 2)), atol=1e-12)


def test_tasks_show_the_same_images_and_test_on_others():
    x, y, part = table(gd.DigitTasks(tasks=3, angle=20.0, images=50, unseen=30))
    for name in ("second", "third"):
        assert np.array_equal(y[part == "first"], y[part == name])
        assert np.array_equal(y[part == "first_unseen"], y[part == f"{name}_unseen"])
    turn = np.asarray(digit_tasks.rotation(jnp.float64(40.0)), np.float32)
    np.testing.assert_allclose(x[part == "third"], x[part == "first"] @ turn.T, atol=1e-6)
    rows = {row.tobytes() for row in x[part == "first"]}
    assert not rows & {row.tobytes() for row in x[part == "first_unseen"]}
    known = {row.tobytes(): digit for row, digit in zip(*digit_tasks.pictures(), strict=True)}
    assert [known[row.tobytes()] for row in x[part == "first"]] == y[part == "first"].tolist()
    other = table(gd.DigitTasks(tasks=3, angle=20.0, images=50, unseen=30), seed=1)[0]
    assert not np.array_equal(x, other)


def test_permutations_and_classes_tell_tasks_apart():
    x, y, part = table(gd.DigitTasks(by="permutation", images=40, unseen=20))
    first, second = x[part == "first"], x[part == "second"]
    assert np.array_equal(np.sort(first, 1), np.sort(second, 1))
    orders = [np.flatnonzero((second == column[:, None]).all(0)) for column in first.T]
    assert all(len(found) for found in orders)
    assert not np.array_equal(first, second)
    x, y, part = table(gd.DigitTasks(by="classes", tasks=5, images=300, unseen=50))
    for k, name in enumerate(("first", "second", "third", "fourth", "fifth")):
        assert set(y[part == name]) == set(y[part == f"{name}_unseen"]) == {2 * k, 2 * k + 1}


def test_all_unseen_images_are_the_test_rows_and_a_memory_bounds_what_is_replayed():
    task = gd.DigitTasks(images=30, unseen=20)
    assert np.array_equal(parts_of(task).held_out(), np.char.endswith(task.membership(), "_unseen"))
    exp = cases.tiny(
        task=task,
        steps=6,
        record=gd.Every(1),
        probes=("loss", "accuracy", "train_set"),
        transforms=(gd.PartSequence(every=3, replay=0.5, memory=4),),
    )
    ds = gd.run(gd.Sweep(exp, {"transforms[0].memory": [4, 30, 99]}), progress=False)
    assert ds.present_rows.values.tolist() == [[30] * 3 + [34] * 4, [30] * 3 + [60] * 4, [30] * 3 + [60] * 4]
    both = (ds.first_unseen_accuracy + ds.second_unseen_accuracy) / 2
    np.testing.assert_allclose(ds.test_accuracy, both, rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"by": "classes", "tasks": 3}, "task.tasks: got 3; allowed: a divisor of 10"),
        ({"images": 1500, "unseen": 400}, "task.unseen: got 400; allowed: at most 297"),
        ({"by": "classes", "tasks": 5, "images": 300, "unseen": 60}, "task.unseen: got 60; allowed: at most"),
        ({"tasks": 6}, "task.tasks"),
    ],
)
def test_mistakes_are_told(fields, told):
    with pytest.raises(gd.SpecError, match=told):
        gd.run(cases.tiny(task=gd.DigitTasks(**fields)), progress=False)
