"""How far accuracies fall after a switch, against a transcription record by record."""

import itertools

import numpy as np
import pytest
import xarray as xr

import grokdyn as gd

STEPS = np.array([0, 5, 10, 11, 12, 13, 14, 20, 21, 22, 23, 25, 30])
PARTS, SWITCHES = ("a", "b", "c"), (10, 20)


def made(seeds=3, steps=STEPS, parts=PARTS):
    rng = np.random.default_rng(0)
    dims, shape = ("lr", "seed", "step"), (2, seeds, len(steps))
    curves = {f"{part}_accuracy": (dims, rng.integers(0, 21, shape) / 20, {"part": part}) for part in parts}
    return xr.Dataset(curves, {"step": steps, "lr": [0.1, 0.2], "seed": range(seeds)}, {"axes": "lr seed"})


def slow(curves, steps, switches, window):
    """Return all of it for one run, as the definitions read; curves: task -> step -> accuracy."""
    worst, minima = {}, {}
    for t in steps:
        k = 1 + sum(t > T for T in switches)
        least = [min(curves[i][s] for s in steps if switches[i] < s <= t) for i in range(k - 1)]
        minima[t] = sum(least) / (k - 1) if least else np.nan
        worst[t] = curves[k - 1][t] / k + (sum(least) / k if least else 0)
    events = {}
    for j, T in enumerate(switches):
        E = [*switches, steps[-1]][j + 1]
        for i in range(j + 1):
            inside = [s for s in steps if T < s <= E]
            level, low = min(curves[i][T], curves[i][E]), min(curves[i][s] for s in inside)
            first = next(s for s in inside if curves[i][s] == low)
            lost = [(s, max(0, level - curves[i][s])) for s in [T, *inside]]
            area = sum((q - p) * (x + y) / 2 for (p, x), (q, y) in itertools.pairwise(lost))
            events[j, i] = (curves[i][T], curves[i][E], low, first - T, max(0, level - low), area)
    pairs = [(s, t) for s in steps for t in steps if 0 < t - s < window]
    falls = [max(0, *(curve[s] - curve[t] for s, t in pairs)) for curve in curves]
    return minima, worst, events, sum(falls) / len(falls)


@pytest.mark.parametrize("window", [2, 4, 10])
def test_it_is_what_the_definitions_say(window):
    ds = made()
    found = gd.analysis.stability(ds, PARTS, SWITCHES, window=window)
    for lr in ds.lr.values:
        for seed in ds.seed.values:
            one, mine = ds.sel(lr=lr, seed=seed), found.sel(lr=lr, seed=seed)
            curves = [dict(zip(STEPS.tolist(), one[f"{p}_accuracy"].values.tolist(), strict=True)) for p in PARTS]
            minima, worst, events, forgotten = slow(curves, STEPS.tolist(), SWITCHES, window)
            np.testing.assert_allclose(mine.min_accuracy, list(minima.values()), rtol=1e-12)
            np.testing.assert_allclose(mine.worst_case_accuracy, list(worst.values()), rtol=1e-12)
            np.testing.assert_allclose(mine.windowed_forgetting, forgotten, rtol=1e-12)
            for (j, i), expected in events.items():
                names = ("before", "after", "lowest", "lowest_after", "gap_depth", "gap_area")
                got = [float(mine[name].isel(switch=j, part=i)) for name in names]
                np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)
            assert np.isnan(mine.gap_depth.isel(switch=0, part=1))


def test_known_curves():
    steps = np.arange(4)
    values = {"a": [1.0, 1.0, 0.4, 0.9], "b": [0.0, 0.1, 0.2, 0.8]}
    curve = {f"{part}_accuracy": ("step", accuracies, {"part": part}) for part, accuracies in values.items()}
    found = gd.analysis.stability(xr.Dataset(curve, {"step": steps}), ("a", "b"), 1)
    assert found.min_accuracy.values[2:].tolist() == [0.4, 0.4]
    np.testing.assert_allclose(found.windowed_forgetting, 0.6 / 2)  # b only rises
    np.testing.assert_allclose(found.gap_depth, [[0.5]])
    np.testing.assert_allclose(found.gap_area, [[(0 + 0.5) / 2 + (0.5 + 0) / 2]])
    np.testing.assert_allclose(found.worst_case_accuracy, [1, 1, 0.3, 0.6])


def test_a_run_that_ended_has_nan_from_there_on():
    ds = made()
    ds.a_accuracy.values[0, 0, 5:] = np.nan
    found = gd.analysis.stability(ds, PARTS, SWITCHES).isel(lr=0, seed=0)
    assert np.isfinite(found.min_accuracy.values[4])
    assert np.isnan(found.min_accuracy.values[5:]).all()
    for name in ("lowest", "lowest_after", "gap_depth", "gap_area"):
        assert np.isnan(found[name].isel(switch=0, part=0)), name
    assert np.isnan(found.windowed_forgetting)


@pytest.mark.parametrize(
    ("parts", "switches", "told"),
    [
        (("a", "d"), 10, "part='d': expected one of a, b, c"),
        ("a", 10, "parts='a': expected two or more distinct parts"),
        (("a", "a"), 10, "distinct parts"),
        (PARTS, 10, "switches=10: expected 2 increasing records before the last, 30"),
        (PARTS, (20, 10), "increasing"),
        (PARTS, (10, 15), "records"),
        (("a", "b"), 30, "before the last"),
    ],
)
def test_mistakes_are_told(parts, switches, told):
    ds = made()
    with pytest.raises(ValueError, match=told):
        gd.analysis.stability(ds, parts, switches)
