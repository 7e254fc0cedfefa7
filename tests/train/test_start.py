"""Beginning from given parameters, rows and labels."""

import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.train.lane import begin
from grokdyn.train.start import given
from tests import cases
from tests.train.lanes import taken_apart

P = 7
EXPERIMENT = cases.tiny(model=gd.MLP(hidden=(3,), init_scale=5.0))
TABLE = EXPERIMENT.task.table()
PARAMS = {"W_0": np.zeros((14, 3)), "W_1": np.ones((3, 7))}
WRONG = [
    ({"params": {"W_0": PARAMS["W_0"]}}, "start.params", "tensors W_0, W_1"),
    ({"params": {**PARAMS, "b_0": np.zeros(3)}}, "start.params", "tensors W_0, W_1"),
    ({"params": {**PARAMS, "W_1": np.ones((7, 3))}}, "start.params.W_1", "shape (3, 7)"),
    ({"train_rows": []}, "start.train_rows", "whole numbers"),
    ({"train_rows": np.zeros(0, int)}, "start.train_rows", "not none"),
    ({"train_rows": [0, 0]}, "start.train_rows", "distinct rows from 0 to 48"),
    ({"train_rows": [-1]}, "start.train_rows", "distinct rows from 0 to 48"),
    ({"train_rows": [49]}, "start.train_rows", "distinct rows from 0 to 48"),
    ({"train_rows": [0.5]}, "start.train_rows", "whole numbers"),
    ({"train_rows": [[1, 2]]}, "start.train_rows", "whole numbers"),
    ({"train_rows": 5}, "start.train_rows", "whole numbers"),
    ({"train_rows": ["a"]}, "start.train_rows", "whole numbers"),
    ({"train_rows": np.ones(48, bool)}, "start.train_rows", "one truth value for each of 49 rows"),
    ({"train_rows": np.zeros(49, bool)}, "start.train_rows", "not none"),
    ({"train_rows": set()}, "start.train_rows", "whole numbers"),
    ({"train_rows": {1, "a"}}, "start.train_rows", "a set of what has no order"),
    ({"train_rows": {1: 2}}, "start.train_rows", "whole numbers"),
    ({"train_rows": [3, 1, 3]}, "start.train_rows", "row 3 more than once"),
    ({"train_rows": [3, 60]}, "start.train_rows", "row 60 among them"),
    ({"train_rows": [10**30]}, "start.train_rows", "whole numbers"),
    ({"train_rows": np.array([2**64 - 1], np.uint64)}, "start.train_rows", "distinct rows from 0 to 48"),
    ({"train_rows": [1, 2], "train_labels": {1, 2}}, "start.train_labels", "a set, which has no order"),
    ({"params": 3}, "start.params", "a mapping"),
    ({"params": {**PARAMS, "W_1": 1j * PARAMS["W_1"]}}, "start.params.W_1", "complex128"),
    ({"params": {**PARAMS, "W_1": "ones"}}, "start.params.W_1", "text"),
    ({"train_labels": [1]}, "start.train_rows", "the rows that train_labels belong to"),
    ({"train_rows": [1, 2], "train_labels": [1]}, "start.train_labels", "2 labels from 0 to 6"),
    ({"train_rows": [1, 2], "train_labels": [1, 7]}, "start.train_labels", "2 labels from 0 to 6"),
    ({"train_rows": [1, 2], "train_labels": [1, -1]}, "start.train_labels", "2 labels from 0 to 6"),
    ({"train_rows": [1, 2], "train_labels": [0.0, 1.0]}, "start.train_labels", "whole numbers"),
]


@pytest.mark.parametrize(("arguments", "path", "words"), WRONG)
def test_what_does_not_fit_is_told_before_anything_runs(arguments, path, words):
    with pytest.raises(gd.SpecError) as caught:
        gd.run(EXPERIMENT, start=gd.Start(**arguments))
    assert caught.value.path == path
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_noise_is_not_dropped_in_silence_where_rows_are_given():
    noisy = EXPERIMENT.replace(**{"task.label_noise": 0.5})
    with pytest.raises(gd.SpecError, match=r"task.label_noise: got 0.5; allowed: 0 for given train_rows"):
        gd.run(noisy, start=gd.Start(train_rows=[1, 2]))


@pytest.fixture
def beginning(x64):
    """Return a function from a Start to the run's constants and first state."""

    def beginning(**arguments):
        run = taken_apart(EXPERIMENT)
        checked = given(gd.Start(**arguments), TABLE, run.state.params)
        lane, state = begin(run.program, run.lane.experiment, run.table, checked)
        return run, lane, state

    return beginning


def test_given_parameters_are_taken_as_they_are_in_the_runs_dtype(beginning):
    run, lane, state = beginning(params=PARAMS)
    assert all(np.array_equal(state.params[name], w) for name, w in PARAMS.items())
    assert {w.dtype for w in state.params.values()} == {np.dtype("float32")}
    assert np.array_equal(lane.split.order, run.lane.split.order)


def test_given_rows_train_in_their_order_and_the_rest_tests(beginning):
    rows = np.array([40, 3, 17])
    run, lane, state = beginning(train_rows=rows)
    assert lane.split.order[:3].tolist() == rows.tolist()
    assert sorted(np.asarray(lane.split.order)) == list(range(P * P))
    assert lane.split.n_train == 3
    assert np.array_equal(lane.split.labels, TABLE.labels)
    assert not lane.split.corrupted.any()
    assert all(np.array_equal(state.params[name], w) for name, w in run.state.params.items())


def test_rows_of_any_kind_are_the_same_rows(beginning):
    pandas = pytest.importorskip("pandas")
    rows = [3, 17, 40]
    mask = np.isin(np.arange(P * P), rows)
    kinds = [set(rows), frozenset(rows), mask, mask.tolist(), jnp.asarray(mask), jnp.asarray(rows), tuple(rows)]
    kinds += [
        pandas.Index(rows),
        pandas.Series(rows),
        pandas.Series(mask),
        np.array(rows, np.uint8),
        {3: 0, 17: 0, 40: 0}.keys(),
    ]
    for kind in kinds:
        _, lane, _ = beginning(train_rows=kind)
        assert (lane.split.order[:3].tolist(), int(lane.split.n_train)) == (rows, 3)
    _, lane, _ = beginning(train_rows=range(5, 2, -1))
    assert lane.split.order[:3].tolist() == [5, 4, 3]


def test_given_labels_count_as_corrupted_where_they_are_not_the_tables(beginning):
    rows = np.array([10, 0, 30])
    labels = TABLE.labels[rows].copy()
    labels[1] = (labels[1] + 1) % P
    _, lane, _ = beginning(train_rows=rows, train_labels=labels)
    assert np.asarray(lane.split.labels)[rows].tolist() == labels.tolist()
    assert np.flatnonzero(lane.split.corrupted).tolist() == [0]
    rest = np.setdiff1d(np.arange(P * P), rows)
    assert np.array_equal(np.asarray(lane.split.labels)[rest], TABLE.labels[rest])
