"""One seed, named streams: overriding one moves nothing else."""

import numpy as np
import pytest

import grokdyn as gd
from tests import cases
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
NOISY = cases.tiny(**{"task.label_noise": 0.5, "task.train_fraction": 0.7})


def draws(**changes):
    """Return what each stream decides."""
    run = taken_apart(NOISY.replace(**changes))
    noise = {"corrupted": run.lane.split.corrupted, "labels": run.lane.split.labels}
    found = {"init": run.state.params, "split": {"order": run.lane.split.order}, "noise": noise}
    return {name: np.concatenate([np.ravel(x) for x in tree.values()]) for name, tree in found.items()}


@pytest.mark.parametrize(
    ("stream", "moves"),
    [("init", {"init"}), ("noise", {"noise"}), ("split", {"split", "noise"}), ("batch", set()), ("probe", set())],
)
def test_a_stream_of_its_own_moves_nothing_else(stream, moves):
    """Which rows are corrupted follows the split too: only train rows are."""
    first, other = draws(), draws(**{f"seeds.{stream}": 7})
    assert {name for name in first if not np.array_equal(first[name], other[name])} == moves


def test_the_seed_moves_everything():
    first, other = draws(), draws(seed=7)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_a_stream_named_by_its_own_seed_is_that_of_the_seed():
    first, other = draws(seed=7), draws(seed=3, seeds=gd.Seeds(init=7, split=7, noise=7))
    assert all(np.array_equal(first[name], other[name]) for name in first)


def test_streams_of_one_seed_are_not_each_other():
    """The same key would sort two permutations alike."""
    run = taken_apart(NOISY)
    order = np.asarray(run.lane.split.order)[: int(run.lane.split.n_train)]
    corrupted = np.asarray(run.lane.split.corrupted)[order]
    assert 0 < corrupted.sum() < len(order)
    assert not corrupted[: corrupted.sum()].all()
