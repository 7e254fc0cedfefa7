"""Grokfast (Lee et al. 2024): amplifying the slow part of the gradients shortens the delay of generalisation."""

import numpy as np
import xarray as xr

import grokdyn as gd
from grokdyn.analysis.claims import Claim, interpolated_step
from grokdyn.plot import Panel

SOURCE = "Lee et al. 2024, x * y mod 97; README of the released code, one seed of a transformer"
LEVEL = 0.95


def generalises(ds):
    """Return the steps to 95 % on the test rows, by seed; the whole budget where a run does not get there."""
    found = interpolated_step(ds.test_accuracy, LEVEL)
    return found.where(np.isfinite(found), float(ds.step[-1]))


def speed_up(baseline, filtered):
    """Return steps to 95 % without the filter over those with it, by seed; at least that where the former has none."""
    return generalises(baseline) / interpolated_step(filtered.test_accuracy, LEVEL)


def claims(results):
    baseline, ema, ma = (results[name] for name in ("baseline", "ema", "ma"))
    late = interpolated_step(baseline.test_accuracy, LEVEL)
    return [
        Claim(
            "the baseline generalises long after it fits",
            SOURCE,
            "39,890 steps to 95 %",
            (late / interpolated_step(baseline.train_accuracy, LEVEL)).where(np.isfinite(late)),
            low=5,
            unit="times the steps to fit",
        ),
        Claim(
            "Grokfast-EMA needs fewer steps to 95 %",
            SOURCE,
            "910 steps, 44 times fewer",
            speed_up(baseline, ema),
            low=5,
            unit="times fewer",
        ),
        Claim(
            "Grokfast-MA needs fewer steps to 95 %",
            SOURCE,
            "790 steps, 50 times fewer",
            speed_up(baseline, ma),
            low=1,
            unit="times fewer",
        ),
    ]


NAMES = {"baseline": "baseline", "ema": "Grokfast-EMA", "ma": "Grokfast-MA"}


def figure(results):
    axis = xr.Variable("filter", np.asarray(list(NAMES.values()), np.dtypes.StringDType()))
    drawn = ["train_accuracy", "test_accuracy", "stopped_at"]
    together = xr.concat([results[name][drawn] for name in NAMES], axis, join="outer")
    return gd.plot.beside(
        [
            Panel(f"{part} rows", together, (f"{part}_accuracy",), hue="filter", xscale="log")
            for part in ("train", "test")
        ]
    )
