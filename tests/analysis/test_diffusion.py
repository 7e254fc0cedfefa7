"""Laws of the distance from the first weights, of distances whose law is known."""

import numpy as np
import pytest
import xarray as xr

from grokdyn.analysis import diffusion

STEPS = np.unique(np.geomspace(1, 1000, 25).astype(int))


def dataset(distances, steps=STEPS):
    return xr.Dataset({"distance_from_init": (("seed", "step"), distances)}, {"step": steps}, {"axes": "seed"})


def test_exact_laws_are_found_to_the_last_digits():
    found = diffusion(dataset(np.stack([0.5 + 2 * np.log(STEPS), 3 * STEPS**0.37])))
    np.testing.assert_allclose([found.intercept[0], found.slope[0]], [0.5, 2], rtol=1e-12)
    np.testing.assert_allclose(found.exponent[1], 0.37, rtol=1e-5)
    np.testing.assert_allclose([found.log_explained[0], found.power_explained[1]], 1, atol=1e-9)
    assert found.power_explained[0] < 0.999
    assert found.log_explained[1] < 0.99


def test_least_squares_are_those_of_a_fine_grid():
    d = 1 + np.log(STEPS) + 0.2 * np.random.default_rng(0).standard_normal(len(STEPS))
    found = diffusion(dataset(d[None]), first=3, last=400).isel(seed=0)
    t = STEPS[(STEPS >= 3) & (STEPS <= 400)].astype(float)
    y = d[(STEPS >= 3) & (STEPS <= 400)]
    np.testing.assert_allclose([found.slope, found.intercept], np.polyfit(np.log(t), y, 1), rtol=1e-12)

    def left(k):
        c = (y @ t**k) / (t**k @ t**k)
        return np.sum((y - c * t**k) ** 2)

    k = min(np.linspace(0.001, 2, 20_000), key=left)
    assert float(found.exponent) == pytest.approx(k, abs=2e-4)
    assert float(found.power_explained) == pytest.approx(1 - left(k) / np.sum((y - y.mean()) ** 2), abs=1e-6)


def test_the_interval_covers_the_slope_as_often_as_it_says():
    rng = np.random.default_rng(1)
    slopes = 2 + rng.standard_normal((200, 8))
    steps = np.array([1, 10, 100, 1000])
    distances = 1 + slopes[..., None] * np.log(steps)
    ds = xr.Dataset(
        {"distance_from_init": (("cell", "seed", "step"), distances)}, {"step": steps}, {"axes": "cell seed"}
    )
    found = diffusion(ds)
    inside = ((found.slope_low <= 2) & (found.slope_high >= 2)).mean()
    assert abs(float(inside) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 200)
    np.testing.assert_allclose(found.slope_mean, slopes.mean(1), rtol=1e-10)


def test_a_run_that_ended_or_never_moved_has_no_law():
    moved, still = np.log(STEPS) + 1, np.zeros(len(STEPS))
    ended = np.where(np.arange(len(STEPS)) < 3, moved, np.nan)
    assert np.isnan(diffusion(dataset(np.stack([still, ended]))).slope).all()


@pytest.mark.parametrize(("changes", "told"), [({"first": 0}, "first=0"), ({"last": 2}, "last=2")])
def test_too_few_records_are_told(changes, told):
    with pytest.raises(ValueError, match=told):
        diffusion(dataset(np.log(STEPS)[None]), **changes)
