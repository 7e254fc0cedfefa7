"""Forced softmax collapse, appendix of Prieto et al. 2025: without the correct logit's gradient learning stops."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim
from grokdyn.plot import Panel

SOURCE = "Prieto et al. 2025, appendix; one seed, setting not published"


def claims(results):
    ds = results["spec"]
    never = ds.isel(at=-1)
    found = []
    for at in ds["at"].values[:-1]:
        part = ds.sel(at=at)
        gained = part.test_accuracy.isel(step=-1) - part.test_accuracy.sel(step=at, method="nearest")
        without = never.test_accuracy.isel(step=-1) - never.test_accuracy.sel(step=at, method="nearest")
        found += [
            Claim(
                f"nothing more generalises once collapse is forced at step {at:,}",
                SOURCE,
                "freezes near 8 %",
                gained,
                high=0.05,
            ),
            Claim(
                f"the same run without it goes on to generalise (forced at {at:,})",
                SOURCE,
                "goes on to 87 %",
                without,
                0.1,
            ),
        ]
    return found


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
