import numpy as np
import pytest
import xarray as xr

from grokdyn.analysis import phases
from grokdyn.analysis.classify import PHASES, majority

STEPS = np.arange(0, 2050, 50)


def runs(train_at, test_at):
    """Build step-function accuracies that jump to 1 at given steps (inf: never)."""
    jump = {
        f"{s}_accuracy": (("run", "step"), (np.asarray(at)[:, None] <= STEPS) * 1.0)
        for s, at in (("train", train_at), ("test", test_at))
    }
    return xr.Dataset(jump, {"step": STEPS})


NEVER = np.inf


def test_the_four_phases_by_the_papers_rule():
    ds = runs([50, 50, 50, NEVER, 50, NEVER], [1000, 1050, NEVER, NEVER, 0, 300])
    found = phases(ds, delay=1000)["phase"]
    assert [PHASES[code] for code in found.values] == [
        "comprehension", "grokking", "memorization", "confusion", "comprehension", "confusion",
    ]  # fmt: skip
    assert found.attrs["flag_meanings"].split() == list(PHASES)
    assert found.attrs["flag_values"] == [0, 1, 2, 3]


def test_the_relative_rule_asks_for_a_record_below_at_five_times_the_fitting_time():
    #            below at 250: yes, at 200 only, below at 950 of 1000, at 1000 of 1000, both at step 0, fitted at step 0
    ds = runs([50, 50, 200, 200, 0, 0], [300, 250, 1000, 1050, 0, 50])
    np.testing.assert_array_equal(phases(ds)["phase"], [1, 0, 0, 1, 0, 0])


def test_steps_that_only_other_runs_recorded_do_not_count():
    ds = runs([50, 50], [300, 300])
    ds["test_accuracy"][1] = ds["test_accuracy"][1].where(ds["step"] != 250)  # then seen below at 200 only
    np.testing.assert_array_equal(phases(ds)["phase"], [1, 0])


def test_diverged_runs_keep_what_they_reached_and_absent_runs_have_no_phase():
    ds = runs([50, NEVER, NEVER, NEVER], [NEVER, NEVER, NEVER, NEVER]).assign(status=("run", [1, 1, 1, 0]))
    ds = ds.where(ds.step < 100)
    ds["train_accuracy"][2:] = np.nan
    ds["test_accuracy"][2:] = np.nan
    ds["status"] = ("run", [1, 1, 1, 0])
    np.testing.assert_array_equal(phases(ds)["phase"], [2, 3, 3, -1])


def test_a_run_that_forgets_what_it_fitted_is_in_confusion():
    ds = runs([50, 50, 50], [NEVER, 300, 300])
    early = ds["step"] < 1000
    ds["train_accuracy"] = ds["train_accuracy"].where(early, 0.1)
    ds["test_accuracy"][1] = ds["test_accuracy"][1].where(early, 0.1)  # the last run still generalises
    np.testing.assert_array_equal(phases(ds)["phase"], [3, 3, 1])


def test_a_single_run_has_a_phase():
    assert phases(runs([50], [1500]).isel(run=0))["phase"].item() == 1


# Every pair of times that a run may have.
TRAIN, TEST = (times.ravel() for times in np.meshgrid([*STEPS, NEVER], [*STEPS, NEVER]))


@pytest.mark.parametrize("delay", [None, 0, 1, 49, 50, 730, 1000, 2000])
def test_phases_equal_a_run_by_run_decision(delay):
    def decide(fit, generalise):
        if fit == NEVER:
            return "confusion"
        if generalise == NEVER:
            return "memorization"
        late = generalise - 50 >= max(5 * fit, fit + 1) if delay is None else generalise - fit >= delay
        return "grokking" if late else "comprehension"

    found = phases(runs(TRAIN, TEST), delay=delay)["phase"].values
    assert [PHASES[c] for c in found] == [decide(*pair) for pair in zip(TRAIN, TEST, strict=True)]


def test_permuting_runs_permutes_phases():
    ds, order = runs(TRAIN, TEST), np.random.default_rng(0).permutation(len(TRAIN))
    np.testing.assert_array_equal(phases(ds.isel(run=order))["phase"], phases(ds)["phase"].values[order])


def test_longer_training_moves_no_run_between_comprehension_and_grokking():
    ds = runs([50, 100, 300], [400, 150, 500])
    np.testing.assert_array_equal(phases(ds)["phase"], phases(ds.sel(step=slice(0, 600)))["phase"])


def test_majority_counts_and_breaks_ties_towards_less_generalisation():
    phase = xr.DataArray(np.int8([[0, 0, 0, 1], [1, 1, 2, 2], [3, -1, 3, 3], [-1, -1, -1, -1]]), dims=("a", "seed"))
    most = majority(phase, ("seed",))
    np.testing.assert_array_equal(most["phase"], [0, 2, 3, -1])
    np.testing.assert_array_equal(most["share"], [0.75, 0.5, 1, 0])
    np.testing.assert_array_equal(most["second"], [1, 1, -1, -1])
    np.testing.assert_array_equal(most["second_share"], [0.25, 0.5, 0, 0])


def test_a_negative_delay_is_refused():
    with pytest.raises(ValueError, match=r"delay=-1.*>= 0"):
        phases(runs([0], [0]), delay=-1)
