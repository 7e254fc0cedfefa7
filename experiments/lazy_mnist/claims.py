"""Kumar et al. 2024 on digits: the scale of the output tunes how late a network generalises."""

import numpy as np
import xarray as xr

import grokdyn as gd
from grokdyn.analysis.claims import Claim, interpolated_step
from grokdyn.analysis.times import last_record
from grokdyn.plot import Panel

SOURCE = "Kumar et al. 2024 (arXiv 2310.06110), figure 6a"
FITS, GENERALISES = 0.95, 0.75
KERNEL = "Kumar et al. 2024, grokking as the passage from the first kernel to learned features"
# A grokking network generalises so many times as late as it fits.
LATE = 2.0
# A kernel that has turned to the labels is so many times as aligned as at first.
TURNED = 1.05


def times(ds):
    """Return the steps at which a run fits and generalises; inf where it never does."""
    return interpolated_step(ds.train_accuracy, FITS), interpolated_step(ds.test_accuracy, GENERALISES)


def lateness(ds):
    """Return steps to generalise over steps to fit; nan where a run does not do both."""
    fit, generalise = times(ds)
    return (generalise / fit).where(np.isfinite(fit) & np.isfinite(generalise))


def delay(ds):
    """Return by how many steps a run generalises later than it fits, 0 where it does so before.

    Where it fits and does not generalise it is inf, where it does not even fit nan.
    """
    fit, generalise = times(ds)
    return (generalise - fit.where(np.isfinite(fit))).clip(min=0)


def at_fit(ds, variable):
    """Return a variable at the step at which a run fits, linear between records; nan where it does not."""
    fit = times(ds)[0]

    def one(values, when):
        known = ~np.isnan(values)
        return np.interp(when, ds.step.values[known], values[known]) if np.isfinite(when) else np.nan

    return xr.apply_ufunc(one, ds[variable], fit, input_core_dims=[["step"], []], vectorize=True)


def growth(late):
    """Return by how much a delay grows from every alpha to the next, where that of the smaller one is known."""
    below, above = late.isel(output_scale=slice(None, -1)), late.isel(output_scale=slice(1, None))
    return above - below.where(np.isfinite(below)).assign_coords(output_scale=above.output_scale)


def claims(results):
    ds = results["alpha"]
    small, middle = ds.sel(output_scale=0.001), ds.sel(output_scale=0.05)
    return [
        Claim(
            "a network of small output (alpha = 0.001) generalises as it fits",
            SOURCE,
            "no grokking at small alpha",
            lateness(small),
            high=LATE,
            unit="times the steps to fit",
        ),
        Claim(
            "one of larger output (alpha = 0.05) generalises late",
            SOURCE,
            "grokking",
            lateness(middle),
            low=LATE,
            unit="times the steps to fit",
        ),
        Claim(
            "as it fits it knows less than half of the test images",
            SOURCE,
            "train accuracy first",
            at_fit(middle, "test_accuracy"),
            high=0.5,
        ),
        Claim(
            "the delay falls with alpha",
            SOURCE,
            "alpha tunes grokking",
            growth(delay(ds)),
            low=1,
            unit="steps more from one alpha to the next",
        ),
        *of_kernels(small, middle),
    ]


def of_kernels(small, middle):
    """Return the claims on the alignment of kernel and labels, centred, over its first value."""
    first = {"unit": "of its first value"}
    return [
        Claim(
            "at alpha = 0.001 the kernel turns to the labels while the network fits",
            KERNEL,
            "features are learned at once",
            at_fit(small, "kernel_cka") / small.kernel_cka.isel(step=0),
            low=TURNED,
            **first,
        ),
        Claim(
            "at alpha = 0.05 it has not when the network fits",
            KERNEL,
            "the first kernel fits",
            at_fit(middle, "kernel_cka") / middle.kernel_cka.isel(step=0),
            high=TURNED,
            **first,
        ),
        Claim(
            "and does so later",
            KERNEL,
            "features are learned late",
            last_record(middle.kernel_cka).where(np.isfinite(times(middle)[1])) / middle.kernel_cka.isel(step=0),
            low=TURNED,
            **first,
        ),
    ]


def figure(results):
    ds = results["alpha"]
    names = {
        "train_accuracy": "train images",
        "test_accuracy": "test images",
        "test_loss": "test images",
        "kernel_cka": "kernel and labels",
        "linearisation_error": "linearised network",
        "weight_norm": "weights",
    }
    look = {"hue": "output_scale", "xscale": "log"}
    return gd.plot.beside([Panel(title, ds, (name,), **look) for name, title in names.items()])
