"""What every task offers."""

from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from grokdyn.tasks.signature import Reals, Tokens
from tests import cases
from tests.contract import arrays, assert_same
from tests.tasks.draws import HASHED, drawn, tabled

pytestmark = pytest.mark.usefixtures("x64")


class Found(NamedTuple):
    """Split and labels of a task, with its table where that is drawn, and of the task with other numbers.

    Attributes:
        one, other: of the task and of the other one, from one program for any numbers, traced so many times.
        fixed: of the other one, with its numbers as constants of the program.
    """

    one: Any
    other: Any
    fixed: Any
    traces: int


@pytest.fixture(scope="module", params=cases.cases("task"))
def task(request):
    return request.param


@pytest.fixture(scope="module")
def found(task):
    """Return what one program draws, with numbers that are traced and with fixed ones: most of both is the same."""
    other, traces = arrays(cases.changed(task)), []

    @jax.jit
    def both(task):
        traces.append(task)
        return evaluated(task), evaluated(other)

    with jax.enable_x64(True):
        (one, _), (traced, fixed) = (jax.device_get(both(numbers)) for numbers in (arrays(task), other))
    return Found(one, traced, fixed, len(traces))


def evaluated(task):
    table = tabled(task, kind=HASHED)
    return drawn(task, kind=HASHED, table=table), table.labels, table if task.drawn else None


def test_a_table_fits_its_signature(task, found):
    (inputs, labels), shapes = found.one[2] if task.drawn else task.table(), task.signature()
    real, tokens = isinstance(shapes.targets, Reals), isinstance(shapes.inputs, Tokens)
    assert inputs.shape == (shapes.rows, *shapes.inputs.shape)
    several = (shapes.outputs,) if real else (shapes.answers,) if shapes.answers > 1 else ()
    assert labels.shape == (shapes.rows, *several)
    assert labels.dtype == (np.float32 if real else np.int32)
    assert inputs.dtype == (np.int32 if tokens else np.float32)
    assert not tokens or set(np.ravel(inputs).tolist()) <= set(range(-shapes.inputs.padded, shapes.inputs.vocabulary))
    assert real or set(np.ravel(labels).tolist()) <= set(range(-shapes.targets.partial, shapes.outputs))


def test_numbers_of_a_task_are_traced_and_its_split_is_exact(task, found):
    assert found.traces == 1
    jax.tree.map(assert_same, found.other, found.fixed)
    for one, (split, clean, _) in zip((task, cases.changed(task)), (found.one, found.other), strict=True):
        rows = task.signature().rows
        assert sorted(split.order.tolist()) == list(range(rows))
        assert 0 < split.n_train <= rows
        assert split.corrupted.sum() == int(one.label_noise * split.n_train)
        assert set(np.flatnonzero(split.corrupted)) <= set(split.order[: split.n_train].tolist())
        assert np.array_equal(split.labels[~split.corrupted], clean[~split.corrupted])
