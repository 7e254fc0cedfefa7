"""Kumar et al. 2024 on digits: the scale of the output tunes how late a network generalises."""

import numpy as np
import xarray as xr

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Median, Order, crossing, interpolated_step, quotient
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
    """Return between which records a run fits, and generalises."""
    return crossing(ds.train_accuracy, FITS), crossing(ds.test_accuracy, GENERALISES)


def lateness(ds):
    """Return between which ends steps to generalise over steps to fit lie; nan where a run does not do both."""
    fit, generalise = times(ds)
    low, high = quotient(generalise, fit)
    both = np.isfinite(fit[1])
    return np.where(both, low, np.nan), np.where(both, high, np.nan)


def delay(ds):
    """Return between which ends the steps lie by which a run generalises later than it fits, 0 where before.

    Where it fits and does not generalise the upper end is inf, where it does not even fit both are nan.
    """
    fit, generalise = times(ds)
    ends = (generalise[0] - fit[1], generalise[1] - fit[0])
    return tuple(np.where(np.isfinite(fit[1]), np.maximum(end, 0), np.nan) for end in ends)


def at_fit(ds, variable):
    """Return a variable at the step at which a run fits, linear between records; nan where it does not."""
    fit = interpolated_step(ds.train_accuracy, FITS)

    def one(values, when):
        known = ~np.isnan(values)
        return np.interp(when, ds.step.values[known], values[known]) if np.isfinite(when) else np.nan

    return xr.apply_ufunc(one, ds[variable], fit, input_core_dims=[["step"], []], vectorize=True)


def claims(results):
    ds = results["alpha"]
    small, middle = ds.sel(output_scale=0.001), ds.sel(output_scale=0.05)
    unit = "times the steps to fit"
    cells = [delay(ds.sel(output_scale=scale)) for scale in ds.output_scale.values]
    return [
        Claim(
            "a network of small output (alpha = 0.001) generalises as it fits",
            SOURCE,
            "no grokking at small alpha",
            Median(lateness(small)),
            (0, LATE),
            unit=unit,
        ),
        Claim(
            "one of larger output (alpha = 0.05) generalises late",
            SOURCE,
            "grokking",
            Median(lateness(middle)),
            (LATE, np.inf),
            unit=unit,
        ),
        Claim(
            "as it fits it knows less than half of the test images",
            SOURCE,
            "train accuracy first",
            Median(at_fit(middle, "test_accuracy")),
            (0, 0.5),
        ),
        Claim(
            "the delay grows with alpha, from each to the next",
            SOURCE,
            "alpha tunes grokking",
            Order(tuple(cells)),
            (1, np.inf),
            (0, np.inf),
            unit="steps",
        ),
        *of_kernels(small, middle),
    ]


def at_end(ds):
    """Return the last alignment over the first, by run; nan for one that does not generalise."""
    grown = last_record(ds.kernel_cka) / ds.kernel_cka.isel(step=0)
    return np.where(np.isfinite(times(ds)[1][1]), grown, np.nan)


def of_kernels(small, middle):
    """Return the claims on the alignment of kernel and labels, centred, over its first value."""
    first = {"unit": "of its first value"}
    return [
        Claim(
            "at alpha = 0.001 the kernel turns to the labels while the network fits",
            KERNEL,
            "features are learned at once",
            Median(at_fit(small, "kernel_cka") / small.kernel_cka.isel(step=0)),
            (TURNED, np.inf),
            **first,
        ),
        Claim(
            "at alpha = 0.05 it has not when the network fits",
            KERNEL,
            "the first kernel fits",
            Median(at_fit(middle, "kernel_cka") / middle.kernel_cka.isel(step=0)),
            (0, TURNED),
            **first,
        ),
        Claim(
            "and does so later",
            KERNEL,
            "features are learned late",
            Median(at_end(middle)),
            (TURNED, np.inf),
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
