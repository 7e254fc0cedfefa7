"""Forced softmax collapse, appendix of Prieto et al. 2025: without the correct logit's gradient learning stops."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median
from grokdyn.plot import Panel

SOURCE = "Prieto et al. 2025, appendix; one seed, setting not published"


def claims(results):
    ds = results["spec"]
    never = ds.isel(at=-1)
    found = []
    for at in ds["at"].values[:-1]:
        gained, without = (gain(part.test_accuracy, at) for part in (ds.sel(at=at), never))
        found += [
            Claim(
                f"nothing more generalises once collapse is forced at step {at:,}",
                SOURCE,
                "freezes near 8 %",
                Median(gained),
                (-1.0, 0.05),
                unit="of test accuracy gained from there on",
            ),
            Claim(
                f"the same run without it goes on to generalise (forced at {at:,})",
                SOURCE,
                "goes on to 87 %",
                Contrast(without, gained, "difference"),
                (0.1, 1.0),
                unit="of test accuracy more",
            ),
        ]
    return found


def gain(accuracy, at):
    """Return how much is gained from a step to the end, by seed."""
    return (accuracy.isel(step=-1) - accuracy.sel(step=at, method="nearest")).values


def figure(results):
    ds = results["spec"]
    named = [f"from step {at:,}" for at in ds["at"].values[:-1]] + ["never"]
    ds = ds.assign_coords(at=np.asarray(named, np.dtypes.StringDType()))
    ds["at"].attrs["long_name"] = "forced collapse"
    return gd.plot.beside(
        [
            Panel("test accuracy", ds, ("test_accuracy",), hue="at"),
            Panel("train loss", ds, ("train_loss",), hue="at"),
        ]
    )
