"""Bordelon and Pehlevan 2022: deep networks that learn features follow one law at infinite width, from rich to lazy."""

import functools

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, MaximalError, Student
from grokdyn.plot import style
from grokdyn.theory.deep_mean_field import Size
from grokdyn.theory.lines.deep_feature_network import function
from grokdyn.theory.lines.rows import metrics, rows_of

SOURCE = "Bordelon & Pehlevan 2022 (arXiv 2205.09653)"
PARTS = ("train_loss", "test_loss")
# Samples of the limit, whose spread is its error.
SAMPLES, SIZE = 8, Size(units=4096, responding=128, repeats=2)


def runs(ds):
    return gd.Sweep.from_toml(ds.attrs["spec"])


def first(ds, dim, place):
    """Return the experiment of one setting, with the first seed."""
    whole = runs(ds)
    axes = {name: axis.given() for name, axis in whole.dims.items() if name != "seed"}
    return list(gd.Sweep(whole.base, axes).experiments())[place]


@functools.cache
def limit(text, place, steps):
    """Return losses of the limit by samples [part, sample, step] of the settings of a sweep's text."""
    ds_free = gd.Sweep.from_toml(text)
    axes = {name: axis.given() for name, axis in ds_free.dims.items() if name != "seed"}
    one = list(gd.Sweep(ds_free.base, axes).experiments())[place]
    rows, at = rows_of(one), np.array(steps)
    drawn = [function(one, rows, steps[-1], SIZE, seed).mean[at] for seed in range(SAMPLES)]
    found = [metrics(f, rows, one.loss) for f in drawn]
    return np.stack([[one[part] for one in found] for part in PARTS])


def told(ds, place):
    return limit(ds.attrs["spec"], place, tuple(int(step) for step in ds.step))


def measured(ds, dim, place):
    """Return losses of the runs of one setting [part, seed, step]."""
    one = ds.isel({dim: place})
    return np.stack([one[part].transpose("seed", "step").values for part in PARTS]).astype(np.float64)


def widths(ds):
    return np.array([first(ds, "width", place).model.hidden[0] for place in range(ds.sizes["width"])])


def against(ds, dim, place, line):
    """Return the largest distance of mean losses from a line [part, step], over the first ones."""
    values = measured(ds, dim, place)
    scale = values[:, :, :1].mean(1, keepdims=True)
    shares = (values / scale).transpose(1, 0, 2)[:, :, 1:]
    return MaximalError(shares.reshape(len(shares), -1).round(5), (line / scale[:, 0])[:, 1:].ravel())


def kernel(ds):
    """Return the line of infinite width at the same pace where no unit moves [part, step]."""
    base = runs(ds).base
    pace = base.optimizer.learning_rate / base.model.hidden[0]
    lazy = base.replace(**{"model.init": "ntk", "model.output_scale": 1.0, "optimizer.learning_rate": pace})
    line = gd.theory.of(lazy, ds.step)
    return np.stack([line[part].values for part in PARTS])


def excess(ds, part=0):
    """Return mean losses at the end less the limit, and their errors, by width."""
    value, error = [], []
    for place in range(ds.sizes["width"]):
        values, line = measured(ds, "width", place)[part, :, -1], told(ds, place)[part, :, -1]
        value.append(values.mean() - line.mean())
        error.append(np.hypot(values.std(ddof=1) / len(values) ** 0.5, line.std(ddof=1) / len(line) ** 0.5))
    return np.array(value), np.array(error)


def exponent(ds, part=0):
    """Return the slope of the log of the excess in that of the width, weighed by its errors."""
    value, error = excess(ds, part)
    x, weight = np.log(widths(ds)), np.square(value / error)
    A = np.stack([np.ones_like(x), x], axis=1)
    inverse = np.linalg.inv(A.T @ (weight[:, None] * A))
    slope = (inverse @ A.T @ (weight * np.log(np.abs(value))))[1]
    return Student(
        float(slope), float(inverse[1, 1] ** 0.5), ds.sizes["seed"] - 1, ds.sizes["seed"], "exponent of width"
    )


def claims(results):
    width, lazy = results["width"], results["laziness"]
    line, last = kernel(lazy), lazy.sizes["output_scale"] - 1
    found = [
        Claim(
            "what the train loss has beyond the limit falls as 1 / width from 16 to 128, to .3",
            SOURCE,
            "-1",
            exponent(width),
            (-1.3, -0.7),
            published=-1.0,
        ),
    ]
    for place, scale in enumerate(lazy.output_scale.values):
        found.append(
            Claim(
                f"F = {scale:g}, gamma_0 = {1 / scale:g}: mean losses are the limit's, to .03 of the first",
                SOURCE,
                "equal for many units",
                against(lazy, "output_scale", place, told(lazy, place).mean(1)),
                (0, 0.03),
                unit="of the first loss",
            )
        )
    ends = [measured(lazy, "output_scale", place)[0, :, -1] for place in (0, last)]
    return [
        *found,
        Claim(
            f"F = {lazy.output_scale.values[-1]:g}: they are the kernel's, to .03 of the first",
            SOURCE,
            "equal for gamma_0 to 0",
            against(lazy, "output_scale", last, line),
            (0, 0.03),
            unit="of the first loss",
        ),
        Claim(
            f"F = {lazy.output_scale.values[0]:g}: the train loss in the end is below the kernel's by a tenth or more",
            SOURCE,
            "features help to fit",
            Contrast(ends[0], np.full_like(ends[0], line[0, -1])),
            (0, 0.9),
            unit="of the kernel's loss",
        ),
    ]


def figure(results):
    width, lazy = results["width"], results["laziness"]
    with style.context():
        drawn = style.new_figure(7.2, 2.6)
        axes = drawn.subplots(1, 3)
        for ax, part, name in zip(axes, (0, 1), ("train", "test"), strict=False):
            for place, (color, scale) in enumerate(zip(style.CYCLE, lazy.output_scale.values, strict=False)):
                values = measured(lazy, "output_scale", place)[part]
                low, high = np.quantile(values, (0.1, 0.9), axis=0)
                ax.fill_between(lazy.step, low, high, color=color, alpha=0.15, lw=0)
                ax.plot(lazy.step, values.mean(0), "o", ms=3, color=color, label=f"{scale:g}")
                ax.plot(lazy.step, told(lazy, place)[part].mean(0), color=color, lw=1)
            ax.plot(lazy.step, kernel(lazy)[part], color=style.INK, lw=0.9, ls=(0, (2.5, 1.5)), label="kernel")
            ax.set(xlabel="step", ylabel=f"{name} loss", title="points: 512 units; lines: limit")
        axes[0].legend(title="F", fontsize=6, title_fontsize=6)
        for color, part, name in zip(style.CYCLE, (0, 1), ("train", "test"), strict=False):
            value, error = excess(width, part)
            axes[2].errorbar(
                widths(width),
                np.abs(value),
                2 * error,
                fmt="o",
                ms=3.5,
                mfc="white",
                lw=1,
                color=color,
                label=name,
            )
            guide = np.abs(value[0]) * widths(width)[0] / widths(width)
            axes[2].plot(widths(width), guide, color=color, lw=0.8, ls=":")
        axes[2].set(
            xscale="log",
            yscale="log",
            xlabel="width",
            ylabel="|mean loss - limit|",
            title="dotted: 1 / width",
        )
        axes[2].set_xticks(widths(width), [str(n) for n in widths(width)])
        axes[2].minorticks_off()
        axes[2].legend(fontsize=6)
        for letter, ax in zip("abc", axes, strict=True):
            style.letter(ax, letter)
    return drawn
