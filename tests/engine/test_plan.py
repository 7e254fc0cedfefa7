"""Cutting runs into cohorts, batches and chunks; putting records together again."""

import jax
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import grokdyn as gd
from grokdyn.engine.plan import cohort, schedule, structure
from grokdyn.engine.plan import cohorts as plan
from grokdyn.engine.store.results import STATUS, Part, dataset
from grokdyn.probes.base import Variable
from tests import cases


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 6), st.integers(1, 5))
def test_every_run_is_in_one_batch_and_all_batches_are_alike(runs, width, devices, block):
    batches = cohort.cut(np.random.default_rng(runs).permutation(runs), width, devices, block)
    assert len({len(batch) for batch in batches}) == 1, "one program for all"
    assert len(batches[0]) % (devices * block) == 0
    assert width <= len(batches[0]) < width + devices * block
    real = [set(batch.tolist()) for batch in batches]
    assert [len(lanes) for lanes in real[:-1]] == [width] * (len(real) - 1)
    assert sorted(lane for lanes in real for lane in lanes) == list(range(runs)), "padding repeats a run of the batch"


STEPS = st.lists(st.integers(0, 10**6), max_size=30, unique=True).map(sorted)


@settings(deadline=None, derandomize=True)
@given(STEPS.filter(bool), STEPS, st.integers(0, 10**6))
def test_a_schedule_pauses_at_all_wanted_steps_and_ends_a_chunk_at_every_snapshot(recorded, snapshots, first):
    recorded, snapshots = (np.asarray([s for s in steps if s >= first], np.int64) for steps in (recorded, snapshots))
    assume(len(recorded))
    chunks = schedule.schedule(recorded, snapshots, first)
    pauses, wanted = np.unique(chunks), {*recorded.tolist(), *snapshots.tolist()}
    assert wanted <= set(pauses.tolist())
    assert np.all(np.diff(chunks.ravel()) >= 0)
    assert all(chunk[-1] == step for step in snapshots for chunk in chunks if step in chunk)
    assert pauses[-1] == max(wanted)
    longest = max(schedule.SHORTEST, -(-(max(wanted) - first) // schedule.STRETCHES))
    assert np.diff(pauses, prepend=first).max() <= longest
    assert len(pauses) <= len(wanted) + schedule.STRETCHES


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 20_000), st.sampled_from([structure.CPU_TILE, 128, structure.VECTOR]))
def test_padding_to_tiles_holds_all_rows_and_wastes_less_than_a_vector_for_each(most, largest):
    rows, tile = structure.padded(most, True, largest)
    assert rows >= most
    assert rows % tile == 0
    assert rows - most < structure.VECTOR * rows // tile
    assert tile <= largest * 3 // 2
    assert structure.padded(rows, True, largest) == (rows, tile), "a run that goes on is padded as before"
    assert structure.padded(most, False, largest) == (most, most)


def test_long_sequences_have_smaller_tiles():
    assert structure.most_rows(gd.Tokens(5, 8)) == structure.most_rows(gd.Vectors(900)) == structure.CPU_TILE
    assert structure.most_rows(gd.Sequences(19, 3)) == structure.CPU_TILE
    assert structure.most_rows(gd.Tokens(5, 19)) == 32
    assert structure.most_rows(gd.Tokens(5, 10_000)) == structure.VECTOR


def cohorts(what):
    with jax.enable_x64(True):
        return plan.cohorts(list(what.experiments()), None, jax.local_devices())


def test_runs_of_one_structure_are_one_cohort():
    axes = {"model.hidden": [(4,), (8,)], "optimizer.weight_decay": [0, 1, 2], "seed": range(2)}
    found = cohorts(gd.Sweep(cases.tiny(), axes))
    assert [cohort.runs.tolist() for cohort in found] == [list(range(6)), list(range(6, 12))]
    assert found[0].experiments.optimizer.weight_decay.tolist() == [0, 0, 1, 1, 2, 2]


def test_train_rows_are_padded_to_the_largest_count_of_a_cohort():
    (found,) = cohorts(gd.Sweep(cases.tiny(), {"task.train_fraction": [0.9, 0.3, 0.5]}))
    assert found.program.rows == int(0.9 * 49)
    assert not found.program.noisy
    (found,) = cohorts(gd.Sweep(cases.tiny(), {"task.label_noise": [0, 0.5]}))
    assert found.program.noisy


def part(runs, steps, names, value):
    arrays = {
        "train_loss": value + np.zeros((len(runs), len(steps))),
        "norm": value + np.arange(len(names), dtype=float) + np.zeros((len(runs), len(steps), len(names))),
    }
    variables = {
        "train_loss": Variable("train loss"),
        "norm": Variable("norm", dims=("tensor",), coordinates={"tensor": names}),
    }
    status = {name: np.full(len(runs), 0 if name == "status" else -1) for name in STATUS}
    return Part(np.asarray(runs), np.asarray(steps), variables, arrays, status)


def test_parts_of_different_shape_are_put_in_their_place():
    sweep = gd.Sweep(cases.tiny(), {"model.hidden": [(4,), (4, 4)], "seed": [3, 4, 5]})
    shallow = part([2, 0], [0, 10], ["W_0", "W_1"], 100)
    deep = part([4], [0, 5, 10], ["W_0", "W_1", "W_2"], 200)
    found = dataset(sweep, [shallow, deep])
    assert found.norm.dims == ("hidden", "seed", "step", "tensor")
    assert found.step.values.tolist() == [0, 5, 10]
    assert found.tensor.values.tolist() == ["W_0", "W_1", "W_2"]
    assert found.hidden.values.tolist() == ["4", "4-4"]
    assert found.status.values.tolist() == [[0, -1, 0], [-1, 0, -1]]
    loss = found.train_loss.values
    assert loss[0, 0].tolist()[::2] == [100, 100]
    assert np.isnan(loss[0, 0, 1])
    assert loss[1, 1].tolist() == [200, 200, 200]
    assert np.isnan(loss[0, 1]).all()
    assert np.isnan(loss[1, 0]).all()
    np.testing.assert_array_equal(found.norm.values[0, 2, 0], [100, 101, np.nan])
    np.testing.assert_array_equal(found.norm.values[1, 1, 1], [200, 201, 202])
