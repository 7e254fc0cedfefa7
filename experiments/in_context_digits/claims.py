"""Kirsch et al. 2022 on digits: classes of images that never train, in tasks that never train, from the sequence."""

import numpy as np

from grokdyn.analysis.claims import Claim, Contrast, mean
from grokdyn.plot import style

SOURCE = "Kirsch et al. 2022 (arXiv 2212.04458)"
OURS = "ours"
# Differences of accuracy that are none; runs shorter than this tell nothing.
NOTHING, EQUAL, SHORT = 0.05, 0.03, 50


def ends(ds):
    """Return the last record of the runs with the fewest tasks and of those with the most."""
    last = ds.isel(step=-1).transpose("seed", "tasks", ...)
    return [last.isel(tasks=place) for place in (0, -1)]


def at(ds, part, place):
    """Return the accuracy of every run after so many examples, -1 being the last answer."""
    return ds[f"{part}_shown_accuracy"].isel(examples=place).values


def chance(ds):
    import grokdyn as gd

    return 1 / gd.Sweep.from_toml(ds.attrs["spec"]).base.task.classes


def claims(results):
    ds = results["digits"]
    few, many = ends(ds)
    told = [f"{int(n)} tasks" for n in (few.tasks, many.tasks)]
    measured = int(ds.step[-1]) >= SHORT
    gained = many.unseen_improvement.values
    rows = [
        (
            f"{told[0]}: 3 in 4 answers right on tasks that train before any example",
            SOURCE,
            "known by heart",
            mean(at(few, "test", 0)),
            (0.75, 1),
            (0.5, 1),
        ),
        (
            f"{told[0]}: chance on unseen tasks after all examples, to .05",
            SOURCE,
            "chance",
            mean(at(few, "unseen", -1) - chance(ds)),
            (-NOTHING, NOTHING),
            None,
        ),
        (
            f"{told[1]}: better by .2 within a sequence of an unseen task",
            SOURCE,
            ".6 on 10 classes of MNIST, sequences of 100",
            mean(gained),
            (0.2, 1),
            (0, 1),
        ),
        (
            f"{told[1]}: as much on unseen tasks as on those that train, to .03",
            SOURCE,
            "equal",
            mean(gained - many.test_improvement.values),
            (-EQUAL, EQUAL),
            None,
        ),
        (
            f"{told[1]}: after all examples as good on images that do not train as on those that do, to .05",
            OURS,
            "equal",
            mean(at(many, "test", -1) - at(many, "train", -1)),
            (-NOTHING, NOTHING),
            None,
        ),
        (
            f"on unseen tasks, after all examples: {told[1]} against {told[0]}",
            SOURCE,
            "higher",
            Contrast(at(many, "unseen", -1), at(few, "unseen", -1), "difference"),
            (0.2, np.inf),
            (0, np.inf),
        ),
    ]
    unit = "of accuracy"
    return [Claim(t, s, e, found if measured else None, a, b, unit=unit) for t, s, e, found, a, b in rows]


def figure(results):
    ds = results["digits"]
    with style.context():
        drawn = style.new_figure(7.2, 2.5)
        axes = drawn.subplots(1, 3)
        for ax, one in zip(axes[:2], ends(ds), strict=True):
            by_examples(ax, one)
        axes[1].legend(fontsize=6, loc="lower right")
        over_steps(axes[2], ds)
        for letter, ax in zip("abc", axes, strict=True):
            style.letter(ax, letter)
    return drawn


def banded(ax, x, values, color, label, size):
    """Draw the mean over seeds with two standard errors; values [seeds, x]."""
    middle, error = values.mean(0), 2 * values.std(0, ddof=1) / len(values) ** 0.5
    ax.fill_between(x, middle - error, middle + error, color=color, alpha=0.25, lw=0)
    ax.plot(x, middle, "o-", ms=size, lw=1.1, color=color, label=label)


def by_examples(ax, ds):
    """Draw accuracies by the number of examples shown."""
    for name, label, color in (("test", "tasks that train", 0), ("unseen", "unseen tasks", 1)):
        values = ds[f"{name}_shown_accuracy"].values
        banded(ax, ds.examples.values, values, style.CYCLE[color], label, 4 - 2 * color)
    near = ds.unseen_nearest_accuracy.mean("seed")
    ax.plot(ds.examples, near, color="0.5", ls="--", lw=1, label="nearest example")
    ax.set(xlabel="examples shown", ylabel="accuracy", title=f"{int(ds.tasks)} tasks", ylim=(0, 1.05))
    ax.set_xticks(ds.examples.values[:: max(1, len(ds.examples) // 6)])


def over_steps(ax, ds):
    """Draw the loss on unseen tasks over steps with the most tasks: median, the middle 80 %, and guessing."""
    losses = ds.unseen_loss.isel(tasks=-1).transpose("step", "seed")
    steps, low, high = losses.step.values, losses.quantile(0.1, "seed"), losses.quantile(0.9, "seed")
    ax.fill_between(steps, low, high, color=style.CYCLE[1], alpha=0.25, lw=0)
    ax.plot(steps, losses.median("seed"), color=style.CYCLE[1], label="unseen tasks")
    guess = -np.log(chance(ds))
    ax.axhline(guess, color="0.5", ls=":", label="guessing")
    ax.set(xlabel="step", ylabel="loss", title=f"{int(ds.tasks[-1])} tasks", ylim=(0.8 * guess, 1.05 * guess))
    ax.legend(fontsize=6, loc="lower left")
