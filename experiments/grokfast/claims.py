"""Grokfast (Lee et al. 2024): amplifying the slow part of the gradients shortens the delay of generalisation."""

import numpy as np
import xarray as xr

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, crossing, quotient
from grokdyn.plot import Panel

SOURCE = "Lee et al. 2024, x * y mod 97; README of the released code, one seed of a transformer"
LEVEL = 0.95


def times(ds, part="test"):
    """Return between which records a part's accuracy comes to 95 %, by seed."""
    return crossing(ds[f"{part}_accuracy"], LEVEL)


def claims(results):
    baseline, ema, ma = (results[name] for name in ("baseline", "ema", "ma"))
    faster = {"unit": "times fewer"}
    return [
        Claim(
            "the baseline generalises long after it fits",
            SOURCE,
            "39,890 steps to 95 %",
            Median(quotient(times(baseline), times(baseline, "train"))),
            (5, np.inf),
            unit="times the steps to fit",
        ),
        Claim(
            "Grokfast-EMA needs five times fewer steps to 95 %, or less",
            SOURCE,
            "910 steps, 44 times fewer",
            Contrast(times(baseline), times(ema)),
            (5, np.inf),
            **faster,
        ),
        Claim(
            "Grokfast-MA needs fewer steps to 95 %",
            SOURCE,
            "790 steps, 50 times fewer",
            Contrast(times(baseline), times(ma)),
            (1, np.inf),
            **faster,
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
