"""Saad and Solla 1995: a soft committee machine that learns online, its plateau and the escape from it."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, MaximalError, Median, crossing
from grokdyn.plot import style
from grokdyn.theory.online import linear_error
from grokdyn.theory.soft_committee import Overlaps, dynamics

SOURCE = "Saad & Solla 1995 (PRL 74, 4337), order parameters for N to infinity"
# Rate at which the difference of the units grows on the plateau of two units each, eta = 1, in the equation: that of
# its escapes from 1e-4 and 1e-3, ln 10 / (171.8 - 132.4). Its error there is .0208.
GROWTH, PLATEAU = 0.0586, 0.0208
ESCAPED = 0.005


def base(ds):
    return gd.Sweep.from_toml(ds.attrs["spec"]).base


def times(ds):
    """Return examples over dimension at every record."""
    return ds.step.values / base(ds).task.dimension


def exact(ds, at=None) -> Overlaps:
    """Return the equation from the overlaps that all runs begin with."""
    first, experiment = ds.isel(seed=0, step=0), base(ds)
    rate = 2 * experiment.task.dimension * experiment.optimizer.learning_rate
    teacher = np.eye(experiment.task.teacher.width)
    at = times(ds) if at is None else at
    return dynamics(at, first.student_overlap.values, first.teacher_overlap.values, teacher, rate)


def farthest(values, told, unit):
    """Return the largest distance of mean values [seeds, points] from what is told."""
    values = np.asarray(values)
    return MaximalError(values.reshape(len(values), -1) / unit, np.ravel(told) / unit)


def online(ds):
    """Return the closed form of linear regression at every record."""
    e = base(ds)
    D = e.task.dimension
    return linear_error(
        ds.step.values, D * (1 + e.model.init_scale**2), 2 * e.optimizer.learning_rate, D, 1 / D, noise=e.task.noise_std
    )


def escape(ds):
    """Return between which times each run's error falls to ESCAPED."""
    low, high = crossing(-ds.generalisation_error, -ESCAPED)
    N = base(ds).task.dimension
    return low / N, high / N


def on_plateau(ds, at=25.0):
    """Return the error of every run at a time, nan where it was over by then."""
    return ds.generalisation_error.isel(step=int(np.argmin(np.abs(times(ds) - at)))).values


def claims(results):
    ds, small, large, linear = (results[name] for name in ("equation", "small", "large", "regression"))
    told, order = exact(ds), ("seed", "step", "unit", ...)
    ratio = base(large).task.dimension / base(small).task.dimension
    expected = np.log(ratio) / (2 * GROWTH)
    return [
        Claim(
            "errors are those of the equation at every record, to a tenth of the plateau's",
            SOURCE,
            "equal for N to infinity",
            farthest(ds.generalisation_error.transpose("seed", "step")[:, 1:], told.error[1:], PLATEAU),
            (0, 0.1),
            unit="of the plateau's error",
        ),
        *(
            Claim(
                f"{what} are those of the equation at every record, to .05",
                SOURCE,
                "equal for N to infinity",
                farthest(ds[name].transpose(*order), values, 1.0),
                (0, 0.05),
            )
            for what, name, values in (
                ("overlaps of units", "student_overlap", told.Q),
                ("overlaps with the teacher", "teacher_overlap", told.R),
            )
        ),
        Claim(
            "after 25 N examples from random weights the error is that of the symmetric plateau, to a tenth",
            SOURCE,
            f"{PLATEAU}",
            Median(on_plateau(large)),
            (0.9 * PLATEAU, 1.1 * PLATEAU),
            published=PLATEAU,
        ),
        Claim(
            f"with {ratio:g} times the dimension units stay alike for longer",
            SOURCE,
            f"ln {ratio:g} / (2 x {GROWTH}) = {expected:.1f} more, as first differences are N^-1/2",
            Contrast(escape(large), escape(small), "difference", paired=False),
            (0, np.inf),
            unit="examples over N",
        ),
        Claim(
            "by the logarithm of the dimension, over twice the rate of growth, within a factor of two",
            SOURCE,
            f"{expected:.1f}",
            Contrast(escape(large), escape(small), "difference", paired=False),
            (expected / 2, expected * 2),
            published=expected,
            unit="examples over N",
        ),
        Claim(
            "online linear regression is on its closed form at every record, to .05 of the first error",
            "recursion of the mean squared distance, exact at every dimension (theory.online)",
            "equal",
            farthest(linear.test_loss.transpose("seed", "step"), online(linear), online(linear)[0]),
            (0, 0.05),
            unit="of the first error",
        ),
    ]


def figure(results):
    ds, small, large, linear = (results[name] for name in ("equation", "small", "large", "regression"))
    with style.context():
        drawn = style.new_figure(7.2, 2.3)
        axes = drawn.subplots(1, 3)
        mean_and_line(axes[0], ds)
        escapes(axes[1], {base(one).task.dimension: one for one in (small, large)})
        error = linear.test_loss
        of = linear.step / base(linear).task.dimension
        axes[2].plot(of, online(linear), color=style.CYCLE[0], label="closed form")
        axes[2].plot(of, error.mean("seed"), "o", ms=2.5, color=style.CYCLE[0], label="mean of runs")
        axes[2].set(xlabel="examples / N", ylabel="test error", ylim=(0, None), title="linear regression")
        for letter, ax in zip("abc", axes, strict=True):
            ax.legend(fontsize=6)
            style.letter(ax, letter)
    return drawn


def mean_and_line(ax, ds):
    """Draw means over seeds as dots on the lines of the equation: the error, and overlaps with the teacher."""
    dense = np.linspace(0, times(ds)[-1], 201)
    told, seen = exact(ds, dense), ds.teacher_overlap.mean("seed")
    lines = {
        "10 x error": (10 * told.error, 10 * ds.generalisation_error.mean("seed")),
        "$R_{11}$": (told.R[:, 0, 0], seen.isel(unit=0, teacher_unit=0)),
        "$R_{12}$": (told.R[:, 0, 1], seen.isel(unit=0, teacher_unit=1)),
    }
    for color, (name, (line, dots)) in zip(style.CYCLE, lines.items(), strict=False):
        ax.plot(dense, line, color=color)
        ax.plot(times(ds), dots, "o", ms=2.5, color=color, label=name)
    ax.set(xlabel="examples / N", ylim=(-0.05, 1.1), title="soft committee, on its equation")


def escapes(ax, by_dimension):
    """Draw the share of runs that still are on the plateau."""
    for color, (N, ds) in zip(style.CYCLE, by_dimension.items(), strict=False):
        ended = np.sort(escape(ds)[1])
        left = 1 - np.arange(1, len(ended) + 1) / len(ended)
        ax.step(np.concatenate([[0], ended]), np.concatenate([[1], left]), where="post", color=color, label=f"N = {N}")
    ax.set(xlabel="examples / N", ylabel="share on the plateau", ylim=(0, 1.02), title="escape from random weights")
