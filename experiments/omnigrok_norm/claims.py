"""Omnigrok (Liu, Michaud & Tegmark 2023): a weight norm that is held small generalises while it fits."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, interpolated_step
from grokdyn.plot import Panel

SOURCE = "Liu et al. 2023, modular addition; from the released notebook, one seed of a transformer"
GENERALISES, FITS = 0.95, 0.95


def delay(ds):
    """Return steps to generalise over steps to fit: inf where a run fits and does not generalise, nan where neither."""
    fit = interpolated_step(ds.train_accuracy, FITS)
    generalise = interpolated_step(ds.test_accuracy, GENERALISES)
    return (generalise / fit).where(np.isfinite(fit))


def claims(results):
    held, free = delay(results["constrained"]), delay(results["unconstrained"])
    norm = results["constrained"].weight_norm
    return [
        Claim(
            "with its norm held a network generalises as it fits",
            SOURCE,
            "310 steps to generalise, 290 to fit",
            held,
            high=1.3,
            unit="times the steps to fit",
        ),
        Claim(
            "with its norm free it generalises late",
            SOURCE,
            "8,000 steps to generalise, 150 to fit",
            free.where(np.isfinite(free)),
            low=20,
            unit="times the steps to fit",
        ),
        Claim(
            "the norm that is held does not move",
            "Liu et al. 2023, released code: rescaled after each step",
            "constant",
            (norm.max("step") - norm.min("step")) / norm.isel(step=0),
            high=1e-5,
            unit="of the first norm",
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
