"""What every task offers."""

import jax
import numpy as np
import pytest

from grokdyn.tasks.signature import Reals, Tokens
from tests import cases
from tests.contract import assert_numbers_are_traced
from tests.tasks.draws import drawn, tabled

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("task", cases.cases("task"))
def test_a_table_fits_its_signature(task):
    (inputs, labels), shapes = jax.device_get(jax.jit(lambda: tabled(task))()), task.signature()
    real, tokens = isinstance(shapes.targets, Reals), isinstance(shapes.inputs, Tokens)
    assert inputs.shape == (shapes.rows, *shapes.inputs.shape)
    several = (shapes.outputs,) if real else (shapes.answers,) if shapes.answers > 1 else ()
    assert labels.shape == (shapes.rows, *several)
    assert labels.dtype == (np.float32 if real else np.int32)
    assert inputs.dtype == (np.int32 if tokens else np.float32)
    assert not tokens or set(np.ravel(inputs).tolist()) <= set(range(-shapes.inputs.padded, shapes.inputs.vocabulary))
    assert real or set(np.ravel(labels).tolist()) <= set(range(-shapes.targets.partial, shapes.outputs))


@pytest.mark.parametrize("task", cases.cases("task"))
def test_numbers_of_a_task_are_traced_and_its_split_is_exact(task):
    found = assert_numbers_are_traced(lambda task: (drawn(task), tabled(task).labels), task)
    for one, (split, clean) in zip((task, cases.changed(task)), jax.device_get(found), strict=True):
        rows = task.signature().rows
        assert sorted(split.order.tolist()) == list(range(rows))
        assert 0 < split.n_train <= rows
        assert split.corrupted.sum() == int(one.label_noise * split.n_train)
        assert set(np.flatnonzero(split.corrupted)) <= set(split.order[: split.n_train].tolist())
        assert np.array_equal(split.labels[~split.corrupted], clean[~split.corrupted])
