"""When the compiled program pauses."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.plan.schedule import schedule

NOTHING = np.asarray([], np.int64)


@pytest.mark.parametrize("slices", [1, 100, 1000])
@pytest.mark.parametrize("record", [gd.Every(50), gd.LogSpaced(200), gd.At((0, 7, 40_000))])
@pytest.mark.parametrize("snapshots", [NOTHING, np.asarray([0, 123, 20_000])])
def test_chunks_are_equally_long_and_meet_every_step_that_is_wanted(record, snapshots, slices):
    recorded = record.at(40_000)
    found = schedule(recorded, snapshots, 0, slices)
    steps = found.ravel()
    assert (np.diff(steps) >= 0).all()
    assert steps[-1] == 40_000
    assert np.isin(recorded, steps).all()
    assert np.isin(snapshots, found[:, -1]).all()
    # More work, more chunks, as far as pauses cost little: one in a hundred steps besides the records.
    assert len(np.unique(steps)) <= len(recorded) + len(snapshots) + 400
    assert len(found) <= max(64, slices) + len(snapshots) + 1
    ends = np.unique(np.append(found[:, -1], 0))
    assert np.diff(ends).max() <= max(40_000 / 16, 40_000 / slices) * 2


def test_a_sweep_of_much_work_has_more_chunks():
    few, many = (schedule(gd.Every(50).at(40_000), NOTHING, 0, slices) for slices in (1, 400))
    assert len(few) <= 64
    assert 200 < len(many) <= 400
