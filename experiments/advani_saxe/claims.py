"""Advani and Saxe 2017: the error of a linear student at all times, for every number of examples."""

import numpy as np
from matplotlib.ticker import NullFormatter

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, MaximalError, Order
from grokdyn.plot import style

SOURCE = "Advani & Saxe 2017 (arXiv 1710.03667), closed form for many dimensions"
# How many steps are compared.
POINTS = 20


def exact(ds, points=None):
    """Return the closed form of these steps as a Dataset over (train_points, step)."""
    sweep = gd.Sweep.from_toml(ds.attrs["spec"])
    sweep = sweep if points is None else gd.Sweep(sweep.base, {"task.train_points": points})
    return gd.theory.of(sweep, ds.step)


def farthest(ds, part):
    """Return the largest distance of mean errors over seeds from the closed form, over the first test error."""
    some = {"step": slice(None, None, max(ds.sizes["step"] // POINTS, 1))}
    told, first = exact(ds).isel(some)[f"{part}_loss"], exact(ds).test_loss.isel(step=0)
    axes = ("train_points", "step")
    values = (ds[f"{part}_loss"].isel(some) / first).transpose("seed", *axes).values.reshape(ds.sizes["seed"], -1)
    return MaximalError(values, (told / first).transpose(*axes).values.ravel())


def at_peak(ds):
    """Return whether a number of examples is the number of weights."""
    return int(np.argmin(np.abs(ds.train_points.values - gd.Sweep.from_toml(ds.attrs["spec"]).base.task.dimension)))


def claims(results):
    ds = results["curves"]
    last, best = ds.test_loss.isel(step=-1), ds.test_loss.min("step")
    place = at_peak(ds)
    by_points = [last.isel(train_points=i).values for i in range(ds.sizes["train_points"])]
    arms = [best.sel(train_points=points).values for points in ds.train_points.values[::-1]]
    return [
        *(
            Claim(
                f"{part} errors are the closed form at every step and number of examples, to .1 of the first error",
                SOURCE,
                "equal for many dimensions",
                farthest(ds, part),
                (0, 0.1),
                unit="of the first test error",
            )
            for part in ("test", "train")
        ),
        *(
            Claim(
                f"long training is worse where examples are as many as weights than with the next {how}",
                SOURCE,
                "the largest test error at P = N",
                Contrast(by_points[place], by_points[place + step]),
                (1, np.inf),
                unit="times the error there",
            )
            for how, step in (("fewer", -1), ("more", 1))
        ),
        Claim(
            "stopped at the best time, more examples never hurt",
            SOURCE,
            "falls with P",
            Order(tuple(arms)),
            (0, np.inf),
            unit="of test error from one number of examples to the next",
        ),
    ]


def figure(results):
    ds = results["curves"]
    told, dimension = exact(ds), gd.Sweep.from_toml(ds.attrs["spec"]).base.task.dimension
    rate = 2 * gd.Sweep.from_toml(ds.attrs["spec"]).base.optimizer.learning_rate
    with style.context():
        drawn = style.new_figure(5.4, 2.4)
        left, right = drawn.subplots(1, 2)
        middle, count = at_peak(ds), ds.sizes["train_points"]
        for color, place in zip(style.CYCLE, sorted({0, middle, count - 1}), strict=False):
            one, ratio = ds.isel(train_points=place), float(ds.train_points[place]) / dimension
            left.plot(rate * ds.step[1:], told.test_loss.isel(train_points=place)[1:], color=color)
            mean = one.test_loss.mean("seed")[1:]
            left.plot(rate * ds.step[1:], mean, "o", ms=2.5, color=color, label=f"P/N = {ratio:g}")
        left.set(xscale="log", xlabel="time", ylabel="test error", ylim=(0, None))
        points = np.unique(np.rint(np.geomspace(ds.train_points[0], ds.train_points[-1], 101)).astype(int))
        dense, mean = exact(ds, points).test_loss, ds.test_loss.mean("seed")
        ends = {"at the end": lambda x: x.isel(step=-1), "at the best time": lambda x: x.min("step")}
        for color, (name, end) in zip(style.CYCLE, ends.items(), strict=False):
            right.plot(points / dimension, end(dense), color=color)
            right.plot(ds.train_points / dimension, end(mean), "o", ms=2.5, color=color, label=name)
        right.set(xscale="log", xlabel="P/N", ylabel="test error", ylim=(0, 1.15 * float(mean.isel(step=-1).max())))
        right.set_xticks([0.25, 0.5, 1, 2, 4], labels=["1/4", "1/2", "1", "2", "4"])
        right.xaxis.set_minor_formatter(NullFormatter())
        for letter, ax in zip("ab", (left, right), strict=True):
            ax.legend(fontsize=6)
            style.letter(ax, letter)
    return drawn
