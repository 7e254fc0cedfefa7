"""Kumar et al. 2024 beside their committee machine: its limit of many units, a teacher and student, a transformer."""

import functools

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, MaximalError, Median, Order, Student, crossing, quotient
from grokdyn.plot import style
from grokdyn.theory.lines.committee_network import mean_field

SOURCE = "Kumar et al. 2024 (arXiv 2310.06110)"
EXACT = "theory.lines.committee_network.mean_field, exact on these rows for many units"
# A target is met where the squared error is below this (Liu et al. 2023); a transformer fits and generalises from here.
MET, KNOWN = 1e-3, 0.95
# Generalising is late where it takes so many times the steps to fit, and as good as at once up to so many.
LATE, ONCE = 5.0, 3.0
# Near which step networks of few units are compared with the limit: half way down.
WHEN = 17
ARMS = {"small": 0, "lazy": 1, "decayed": 2, "back": 3}


def sweep(ds):
    return gd.Sweep.from_toml(ds.attrs["spec"])


def widths(ds):
    return ds.width.values.astype(int)


@functools.cache
def limit(text, steps):
    """Return the losses of infinitely many units on the rows of a sweep, by part."""
    one = next(iter(gd.Sweep.from_toml(text).experiments()))
    return mean_field(one, np.array(steps))


def line(ds, part):
    return limit(ds.attrs["spec"], tuple(int(step) for step in ds.step))[f"{part}_loss"]


def losses(ds, part, place):
    """Return losses of the runs of one width [seed, step]."""
    return ds[f"{part}_loss"].isel(size=place).transpose("seed", "step").values.astype(np.float64)


def excess(ds, part):
    """Return mean losses beyond the limit near step WHEN, and their errors, by width below the largest."""
    at = int(np.argmin(np.abs(ds.step.values - WHEN)))
    values = [losses(ds, part, place)[:, at] for place in range(ds.sizes["size"] - 1)]
    error = [one.std(ddof=1) / len(one) ** 0.5 for one in values]
    return np.array([one.mean() for one in values]) - line(ds, part)[at], np.array(error)


def slope(ds, part):
    """Return the slope of the log of the excess in that of the width, weighed by its errors."""
    value, error = excess(ds, part)
    x, weight = np.log(widths(ds)[:-1]), np.square(value / error)
    A = np.stack([np.ones_like(x), x], axis=1)
    inverse = np.linalg.inv(A.T @ (weight[:, None] * A))
    found = (inverse @ A.T @ (weight * np.log(np.abs(value))))[1]
    n = ds.sizes["seed"]
    return Student(float(found), float(inverse[1, 1] ** 0.5), n - 1, n, "exponent of width")


def farthest(ds, part):
    """Return the largest distance of mean losses of the widest from the limit, over the first one."""
    values, told = losses(ds, part, -1), line(ds, part)
    return MaximalError((values / told[0]).round(5), told / told[0])


def times(one, fitted, general):
    """Return between which records runs fit, and generalise."""
    return crossing(*fitted(one)), crossing(*general(one))


def of_losses(one):
    return times(one, lambda one: (-one.train_loss, -MET), lambda one: (-one.test_loss, -MET))


def of_accuracies(one):
    return times(one, lambda one: (one.train_accuracy, KNOWN), lambda one: (one.test_accuracy, KNOWN))


def lateness(found):
    """Return between which ends steps to generalise over steps to fit lie; nan where a run does not fit."""
    fit, general = found
    low, high = quotient(general, fit)
    return np.where(np.isfinite(fit[1]), low, np.nan), np.where(np.isfinite(fit[1]), high, np.nan)


def delay(found):
    """Return between which ends the steps lie by which a run generalises later than it fits; nan where it does not."""
    fit, general = found
    ends = general[0] - fit[1], general[1] - fit[0]
    return tuple(np.where(np.isfinite(fit[1]), np.maximum(end, 0), np.nan) for end in ends)


def claims(results):
    ds = results["mean_field"]
    found = [
        Claim(
            f"{widths(ds)[-1]} units: mean {part} losses are the limit's at every record, to .01 of the first",
            EXACT,
            "equal for many units",
            farthest(ds, part),
            (0, 0.01),
            unit="of the first loss",
        )
        for part in ("train", "test")
    ]
    found += [
        Claim(
            f"what the mean {part} loss has beyond the limit near step {WHEN} falls as 1 / width, exponent to .3",
            EXACT,
            "-1",
            slope(ds, part),
            (-1.3, -0.7),
            published=-1.0,
        )
        for part in ("train", "test")
    ]
    return [*found, *of_students(results["teacher_student"]), *of_transformers(results["transformer"])]


def of_students(ds):
    """Return the claims on a teacher and a student of two hidden layers."""
    arms = [of_losses(ds.isel(output_scale=place)) for place in range(ds.sizes["output_scale"])]
    ends = {f"{ds.output_scale.values[place]:g}": lateness(arms[place]) for place in (0, -1)}
    (small, first), (large, last) = ends.items()
    return [
        Claim(
            "teacher and student: the delay grows with alpha, from each to the next",
            SOURCE,
            "alpha takes the place of the initial norm",
            Order(tuple(delay(arm) for arm in arms)),
            (1, np.inf),
            unit="steps",
        ),
        Claim(
            f"teacher and student: alpha = {large} generalises later, in times of its fitting, than alpha = {small}",
            SOURCE,
            "grokking at large alpha",
            Contrast(last, first),
            (1, np.inf),
            unit="times the ratio there",
        ),
        Claim(
            f"teacher and student: alpha = {large} generalises at 2 times the steps to fit or later",
            SOURCE,
            "grokking at large alpha",
            Median(last),
            (2, np.inf),
            unit="times the steps to fit",
        ),
    ]


def of_transformers(ds):
    """Return the claims on alpha and weight decay together."""
    late = {name: lateness(of_accuracies(ds.isel(arm=place))) for name, place in ARMS.items()}
    unit, source = "times the steps to fit", SOURCE + ", figure 12"
    return [
        Claim(
            f"transformer, alpha .5 and little decay: it generalises at {LATE:g} times the steps to fit or later",
            source,
            "alpha .5, decay 1: groks",
            Median(late["lazy"]),
            (LATE, np.inf),
            unit=unit,
        ),
        Claim(
            f"transformer, alpha .5 and five times the decay: it does by {ONCE:g} times",
            source,
            "alpha .5, decay 5: no delay",
            Median(late["decayed"]),
            (0, ONCE),
            unit=unit,
        ),
        Claim(
            "transformer: five times the decay halves the ratio or more",
            source,
            "less delay",
            Contrast(late["lazy"], late["decayed"]),
            (2, np.inf),
            unit="times the ratio with more decay",
        ),
        Claim(
            "transformer, five times the decay: alpha 1.4 for .5 doubles it again or more",
            source,
            "alpha 1.4, decay 5: delay back",
            Contrast(late["back"], late["decayed"]),
            (2, np.inf),
            unit="times the ratio of alpha .5",
        ),
        Claim(
            f"transformer, little decay: at alpha .15 it generalises by {ONCE:g} times the steps to fit",
            SOURCE + ", figure 6b",
            "grokking vanishes at alpha .15",
            Median(late["small"]),
            (0, ONCE),
            unit=unit,
        ),
    ]


def draw_limit(axes, ds):
    """Draw train losses beside the limit, and what they have beyond it by width."""
    for color, part in zip(style.CYCLE, ("train", "test"), strict=False):
        values = losses(ds, part, -1)
        low, high = np.quantile(values, (0.1, 0.9), axis=0)
        axes[0].fill_between(ds.step[1:], low[1:], high[1:], color=color, alpha=0.15, lw=0)
        axes[0].plot(ds.step[1:], values.mean(0)[1:], "o", ms=2.5, color=color, label=part)
        axes[0].plot(ds.step[1:], line(ds, part)[1:], color=color, lw=1)
        value, error = excess(ds, part)
        axes[1].errorbar(widths(ds)[:-1], value, 2 * error, fmt="o", ms=3.5, mfc="white", lw=1, color=color, label=part)
        axes[1].plot(widths(ds)[:-1], value[0] * widths(ds)[0] / widths(ds)[:-1], color=color, lw=0.8, ls=":")
    axes[0].set(xscale="log", xlabel="step", ylabel="mean squared error", title=f"{widths(ds)[-1]} units; lines: limit")
    told = {"xlabel": "units", "ylabel": "mean loss - limit", "title": f"step {WHEN}; dotted: 1 / units"}
    axes[1].set(xscale="log", yscale="log", **told)
    axes[1].set_xticks(widths(ds)[:-1], [str(n) for n in widths(ds)[:-1]])
    axes[1].minorticks_off()
    for ax in axes:
        ax.legend(fontsize=6)


def draw_losses(ax, ds):
    """Draw median losses of the student, train dotted, by alpha."""
    for color, scale in zip(style.CYCLE, ds.output_scale.values, strict=False):
        one = ds.sel(output_scale=scale).isel(step=slice(1, None))
        ax.plot(one.step, one.train_loss.median("seed"), color=color, lw=1, ls=":")
        ax.plot(one.step, one.test_loss.median("seed"), color=color, label=f"{scale:g}")
    ax.axhline(MET, color=style.INK, lw=0.6)
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel="mean squared error", title="student: train dotted")
    ax.legend(title="alpha", fontsize=6, title_fontsize=6)


def draw_late(ax, results):
    """Draw steps to generalise over steps to fit of every run, those that did not by the end at the top."""
    ds, student = results["transformer"], results["teacher_student"]
    arms = {f"{a:g}": of_losses(student.sel(output_scale=a)) for a in student.output_scale.values}
    cells = [(ds.isel(arm=place), of_accuracies(ds.isel(arm=place))) for place in ARMS.values()]
    arms |= {f"{float(one.output_scale):g}, {float(one.weight_decay):g}": found for one, found in cells}
    rng = np.random.default_rng(0)
    for place, found in enumerate(arms.values()):
        low, high = lateness(found)
        x = place + rng.uniform(-0.2, 0.2, len(low))
        ends = np.isinf(high)
        color = style.CYCLE[int(place >= student.sizes["output_scale"])]
        ax.plot(x[~ends], np.sqrt(low * high)[~ends], "o", ms=2, color=color)
        ax.plot(x[ends], low[ends], "^", ms=3, mfc="none", color=color)
    ax.axhline(1, color=style.INK, lw=0.6)
    ax.axvline(student.sizes["output_scale"] - 0.5, color=style.INK, lw=0.6, ls=":")
    ax.set_xticks(range(len(arms)), list(arms), rotation=30, ha="right", fontsize=6)
    ax.set(yscale="log", ylabel="steps to generalise / to fit", title="student (alpha); transformer (alpha, decay)")


def figure(results):
    with style.context():
        drawn = style.new_figure(7.2, 5)
        axes = drawn.subplots(2, 2)
        draw_limit(axes[0], results["mean_field"])
        draw_losses(axes[1, 0], results["teacher_student"])
        draw_late(axes[1, 1], results)
        for letter, ax in zip("abcd", axes.flat, strict=True):
            style.letter(ax, letter)
    return drawn
