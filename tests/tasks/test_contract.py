"""What every task offers."""

import jax
import numpy as np
import pytest

from tests import cases
from tests.contract import assert_numbers_are_traced
from tests.tasks.draws import drawn, tabled

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("task", cases.cases("task"))
def test_numbers_of_a_task_are_traced(task):
    assert_numbers_are_traced(drawn, task)


@pytest.mark.parametrize("task", cases.cases("task"))
def test_a_table_fits_its_signature(task):
    (inputs, labels), shapes = tabled(task), task.signature()
    assert inputs.shape == (shapes.rows, shapes.width)
    assert labels.shape == (shapes.rows,)
    assert labels.dtype == np.int32
    assert inputs.dtype == (np.int32 if shapes.vocabulary else np.float32)
    assert not shapes.vocabulary or set(np.ravel(inputs).tolist()) <= set(range(shapes.vocabulary))
    assert set(labels.tolist()) <= set(range(shapes.outputs))


@pytest.mark.parametrize("task", cases.cases("task"))
def test_a_split_is_exact_and_leaves_test_labels_clean(task):
    split, clean = jax.device_get(drawn(task)), tabled(task).labels
    rows = task.signature().rows
    assert sorted(split.order.tolist()) == list(range(rows))
    assert 0 < split.n_train <= rows
    assert split.corrupted.sum() == int(task.label_noise * split.n_train)
    assert set(np.flatnonzero(split.corrupted)) <= set(split.order[: split.n_train].tolist())
    assert np.array_equal(split.labels[~split.corrupted], np.asarray(clean)[~split.corrupted])
