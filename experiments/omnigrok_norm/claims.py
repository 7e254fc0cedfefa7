"""Omnigrok (Liu, Michaud & Tegmark 2023): a weight norm that is held small generalises while it fits."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, crossing, most, quotient, within
from grokdyn.plot import Panel

SOURCE = "Liu et al. 2023, modular addition; from the released notebook, one seed of a transformer"
GENERALISES, FITS = 0.95, 0.95


def lateness(ds):
    """Return between which ends steps to generalise over steps to fit lie, by run; nan where a run does neither."""
    fit, generalise = crossing(ds.train_accuracy, FITS), crossing(ds.test_accuracy, GENERALISES)
    return quotient(generalise, fit)


def whole(results):
    """Return whether this is the paper's setting; its ratios are no guide to another."""
    return gd.Sweep.from_toml(results["constrained"].attrs["spec"]).base.task.p == 113


def norm_when_right(ds):
    """Return between which ends the norm at generalisation over the largest lies; of an unfinished run, below its last.

    The norm falls from the one record to the other.
    """
    low, high = (end.reshape(ds.seed.shape) for end in crossing(ds.test_accuracy, GENERALISES))
    share = (ds.weight_norm / ds.weight_norm.max("step")).transpose("seed", "step").values
    place = np.arange(len(share))
    before, after = (np.searchsorted(ds.step, np.where(np.isfinite(end), end, 0)) for end in (low, high))
    return np.where(np.isfinite(high), share[place, after], 0.0), share[place, before]


def claims(results):
    held, free = results["constrained"], results["unconstrained"]
    norm, paper = held.weight_norm, whole(results)
    moved = (norm.max("step") - norm.min("step")) / norm.isel(step=0)
    unit = "times the steps to fit"
    steps = [crossing(ds.test_accuracy, GENERALISES) for ds in (free, held)]
    return [
        Claim(
            "with its norm held a network generalises as it fits",
            SOURCE,
            "310 steps to generalise, 290 to fit",
            Median(lateness(held)),
            (0.0, 1.3),
            published=310 / 290,
            unit=unit,
        ),
        Claim(
            "with its norm free it generalises late",
            SOURCE,
            "8,000 steps to generalise, 150 to fit" + ("" if paper else " (p = 113)"),
            Median(lateness(free)),
            (20 if paper else 3, np.inf),
            published=8000 / 150 if paper else None,
            unit=unit,
        ),
        Claim(
            "free it takes at least twice the steps to generalise",
            SOURCE,
            "8,000 for 310 (p = 113)",
            Contrast(*steps),
            agrees=(2, np.inf),
            bears=(1, np.inf),
            unit="times the steps with the norm held",
        ),
        Claim(
            "free, it generalises when its norm has fallen, by a tenth of the largest or more",
            SOURCE,
            "falls from 60.5 to 30.5",
            Median(norm_when_right(free)),
            agrees=(0, 0.9),
            bears=(0, 0.99),
            unit="of the largest",
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
