"""Omnigrok (Liu, Michaud & Tegmark 2023): a weight norm that is held small generalises while it fits."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Median, crossing, most, quotient, within
from grokdyn.plot import Panel

SOURCE = "Liu et al. 2023, modular addition; from the released notebook, one seed of a transformer"
GENERALISES, FITS = 0.95, 0.95


def lateness(ds):
    """Return between which ends steps to generalise over steps to fit lie, by run; nan where a run does neither."""
    fit, generalise = crossing(ds.train_accuracy, FITS), crossing(ds.test_accuracy, GENERALISES)
    return quotient(generalise, fit)


def claims(results):
    norm = results["constrained"].weight_norm
    moved = (norm.max("step") - norm.min("step")) / norm.isel(step=0)
    unit = "times the steps to fit"
    return [
        Claim(
            "with its norm held a network generalises as it fits",
            SOURCE,
            "310 steps to generalise, 290 to fit",
            Median(lateness(results["constrained"])),
            (0.0, 1.3),
            published=310 / 290,
            unit=unit,
        ),
        Claim(
            "with its norm free it generalises late",
            SOURCE,
            "8,000 steps to generalise, 150 to fit",
            Median(lateness(results["unconstrained"])),
            (20, np.inf),
            published=8000 / 150,
            unit=unit,
        ),
        most(
            "the norm that is held does not move by more than 1e-5 of itself",
            "Liu et al. 2023, released code: rescaled after each step",
            "constant",
            within(moved, high=1e-5),
        ),
    ]


def figure(results):
    free = results["unconstrained"]
    return gd.plot.beside(
        [
            Panel("norm held", results["constrained"], xscale="log"),
            Panel("norm free", free, xscale="log"),
            Panel("norm free: weight norm", free, ("weight_norm",), xscale="log"),
        ]
    )
