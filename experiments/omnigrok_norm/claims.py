"""Omnigrok (Liu, Michaud & Tegmark 2023): a weight norm that is held small generalises while it fits."""

import matplotlib.figure
import numpy as np
from matplotlib.ticker import NullFormatter, ScalarFormatter

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, crossing, most, quotient, within
from grokdyn.plot import Panel, style

SOURCE = "Liu et al. 2023, modular addition; from the released notebook, one seed of a transformer"
GENERALISES, FITS = 0.95, 0.95
ARMS = {"constrained": "norm held", "unconstrained": "norm free"}


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
            Contrast(*steps, paired=False),
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
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(6.4, 4.8), layout="constrained")
        axes = drawn.subplot_mosaic([["constrained", "unconstrained"], ["norm", "steps"]])
        for letter, ax in zip("abcd", axes.values(), strict=True):
            style.letter(ax, letter)
        for name, words in ARMS.items():
            gd.plot.beside([Panel(words, results[name], xscale="log")], ax=axes[name])
        axes["unconstrained"].get_legend().remove()  # the same as of the other
        draw_norms(axes["norm"], results)
        draw_steps(axes["steps"], results)
    return drawn


def draw_norms(ax, results):
    """Draw the weight norm of both arms: the median over seeds and the middle four fifths, a run's last value held."""
    for (name, words), color in zip(ARMS.items(), style.CYCLE[2:], strict=False):
        norm = results[name].weight_norm.transpose("seed", "step")
        known = np.maximum.accumulate(np.where(norm.notnull(), np.arange(norm.sizes["step"]), 0), axis=1)
        low, middle, high = np.quantile(np.take_along_axis(norm.values, known, 1), [0.1, 0.5, 0.9], axis=0)
        seen = norm.notnull().any("seed").values
        ax.plot(norm.step[seen], middle[seen], color=color, label=words)
        ax.fill_between(norm.step[seen], low[seen], high[seen], color=color, alpha=0.18, lw=0)
    ax.set_xscale("symlog", linscale=0.3)
    ax.set_xticks([tick for tick in (0, 10, 100, 1000, 10_000) if tick <= norm.step[-1]])
    ax.set(xlim=(0, None), xlabel="step (log; linear below 2)", ylabel="weight norm", title="both")
    ax.legend()


def draw_steps(ax, results):
    """Draw the step at which every run generalises over that at which it fits; open triangles: later."""
    ax.set(xscale="log", yscale="log", xlabel="step to 95 % of train rows", ylabel="step to 95 % of test rows")
    for (name, words), color in zip(ARMS.items(), style.CYCLE[2:], strict=False):
        ds = results[name]
        fit, (low, high) = crossing(ds.train_accuracy, FITS)[1], crossing(ds.test_accuracy, GENERALISES)
        seen = np.isfinite(high)
        ax.plot(fit[seen], high[seen], "o", ms=3, mew=0, color=color, label=words)
        ax.plot(fit[~seen], low[~seen], "^", ms=3.5, mfc="none", mew=0.7, color=color)
    ends = ax.get_xlim(), ax.get_ylim()
    line = np.geomspace(min(ends[0][0], ends[1][0]), max(ends[0][1], ends[1][1]), 2)
    ax.plot(line, line, color=style.INK, lw=0.6, ls=":")
    ax.set(xlim=ends[0], ylim=ends[1], title="every run; dotted: as it fits")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend()
