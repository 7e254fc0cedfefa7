"""Changes of sign against a loop over records, and by the map that oscillates by turns."""

import numpy as np
import pytest
import xarray as xr

from grokdyn.analysis import sign_flips
from grokdyn.analysis.checks import ArgumentError
from grokdyn.theory import oscillation

STEPS = np.array([0, 1, 2, 5, *range(20, 60)])


def dataset(values, steps=STEPS):
    data = {"residual": (("seed", "step", "target_sign"), values)}
    return xr.Dataset(data, {"step": steps, "seed": np.arange(len(values)), "target_sign": [-1, 1]}, {"axes": "seed"})


@pytest.mark.parametrize("beyond", [0.0, 0.3])
def test_flips_are_those_of_a_loop_and_records_apart_tell_none(beyond):
    values = np.random.default_rng(0).normal(size=(3, len(STEPS), 2))
    values[0, 5:9] = np.nan
    values[1, 7] = 0
    found = sign_flips(dataset(values), beyond=beyond)
    assert found.dims == ("seed", "target_sign")
    for run, axis in np.ndindex(3, 2):
        one = values[run, :, axis]
        pairs = [(one[i], one[i + 1]) for i in range(len(STEPS) - 1) if STEPS[i + 1] == STEPS[i] + 1]
        told = [a * b < 0 and abs(a) >= beyond <= abs(b) for a, b in pairs if np.isfinite(a * b)]
        assert found.values[run, axis] == np.mean(told)


def test_an_oscillating_residual_flips_at_every_update_and_a_stable_one_never():
    orbits = [oscillation.orbit(c, 300)[-len(STEPS) :] - 1 for c in (0.28, 0.1)]
    values = np.stack(orbits)[:, :, None].repeat(2, axis=2)
    np.testing.assert_array_equal(sign_flips(dataset(values)), [[1, 1], [0, 0]])


def test_an_oscillation_that_settles_counts_only_where_none_is_asked_to_last():
    values = (oscillation.orbit(0.2, 300) - 1)[-len(STEPS) - 250 :][: len(STEPS), None].repeat(2, axis=1)[None]
    assert np.all(sign_flips(dataset(values)) > 0.9)
    np.testing.assert_array_equal(sign_flips(dataset(values), beyond=0.01), [[0, 0]])


def test_mistakes_are_told():
    values = np.zeros((1, 3, 2))
    with pytest.raises(ArgumentError, match="no two records are one update apart; record every step"):
        sign_flips(dataset(values, np.array([0, 2, 4])))
    with pytest.raises(ArgumentError, match="beyond=-1: expected a number from 0 on"):
        sign_flips(dataset(values, np.arange(3)), beyond=-1)
