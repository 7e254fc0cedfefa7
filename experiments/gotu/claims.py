"""Generalisation on the unseen: learned coefficients against an interpolator, held-out errors against influence."""

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.ticker import NullFormatter

import grokdyn as gd
from grokdyn.analysis.agreement import student_quantile
from grokdyn.analysis.claims import Claim, MaximalError, Student, mean
from grokdyn.plot import style
from grokdyn.theory import boolean

UNSEEN = "Abbe et al. 2023 (arXiv 2301.13105)"
REASON = "Abbe et al. 2022 (arXiv 2205.13647)"
# Folder's file -> name in the figure; the axis over which its runs vary by chance.
MODELS = {
    "random_features": "random features",
    "relu_features": "random features, ReLU",
    "mlp": "MLP",
    "transformer": "transformer",
}
HOLDOUTS = {"holdout_features": "random features", "holdout_mlp": "MLP"}
CONFIDENCE = 0.95


def chance(ds):
    return "seed" if "seed" in ds.dims else "draw"


def interval(values):
    """Return the mean over runs and its 95 % interval, as statistic = low, mean, high."""
    over = chance(values)
    runs = values.sizes[over]
    half = student_quantile(runs - 1, CONFIDENCE) * values.std(over, ddof=1) / np.sqrt(runs)
    mean = values.mean(over)
    return xr.concat([mean - half, mean, mean + half], xr.IndexVariable("statistic", ["low", "mean", "high"]))


def tasks(ds, **at):
    """Return the task of a sweep with the values of some of its axes."""
    return gd.Sweep.from_toml(ds.attrs["spec"]).base.task.replace(**at)


def predicted(ds):
    """Return the coefficients of the target and of the minimum-degree interpolator [function, set]."""
    found = {"target": [], "minimum degree": []}
    for function in ds.function.values:
        task = tasks(ds, function=str(function))
        places = [place(name) for name in ds["set"].values]
        values, seen = task.values(), task.seen_rows()
        found["target"].append(boolean.coefficients(values)[places])
        found["minimum degree"].append(boolean.coefficients(boolean.minimum_degree(values, seen))[places])
    axes = {"function": ds.function, "set": ds["set"]}
    return {name: xr.DataArray(np.asarray(rows), axes, ("function", "set")) for name, rows in found.items()}


def place(name):
    """Return the entry of a set such as x0x2 among the coefficients."""
    return sum(2 ** int(i) for i in name.split("x")[1:])


def last(ds):
    return ds.isel(step=-1)


def farthest(ds, function):
    """Return the distance of mean coefficients from the prediction, the worst of the sets."""
    values = last(ds).walsh_coefficient.sel(function=function).transpose(chance(ds), "set")
    return MaximalError(values.values, predicted(ds)["minimum degree"].sel(function=function).values)


def leak(ds):
    """Return the share of the way from the prediction to the target, by the coefficients that differ, per run.

    0 at the minimum-degree interpolator, 1 at the target.
    """
    known = predicted(ds)
    way = known["target"] - known["minimum degree"]
    moved = last(ds).walsh_coefficient - known["minimum degree"]
    return (moved * way).sum("set") / (way**2).sum("set")


def ratio(ds):
    """Return the held-out error over its prediction 4 Inf_k, per run [function, coordinate, run]."""
    found = last(ds).unseen_loss
    influence = [
        [influences(ds, str(function))[k] for k in range(found.sizes["coordinates"])] for function in ds.function.values
    ]
    return found / (4 * xr.DataArray(influence, dims=("function", "coordinates")))


def influences(ds, function):
    return boolean.influences(boolean.coefficients(tasks(ds, function=function).values()))


def claims(results):
    found, functions = [], [str(name) for name in results["mlp"].function.values]
    for function in functions:
        text = (
            f"{function}: random features of a small gain have the minimum-degree interpolator's coefficients of "
            "all eight subsets of x0, x1, x2, to .1 in the mean"
        )
        worst = farthest(results["random_features"], function)
        found.append(Claim(text, UNSEEN, "equal as d grows", worst, (0, 0.1)))
    for name, model in MODELS.items():
        for function in functions:
            found.append(leaking(model, function, leak(results[name]).sel(function=function)))
    found += [least(results, function) for function in functions]
    for name, model in HOLDOUTS.items():
        found += held_out(model, ratio(results[name]))
    return found


def least(results, function):
    """Return the claim that random features leak least: with draws and seeds of their own, so not by pairs."""
    leaks = {name: mean(leak(results[name]).sel(function=function)) for name in MODELS}
    one, *others = (leaks[name] for name in ("random_features", "mlp", "transformer"))
    other = min(others, key=lambda of: of.value)
    text = f"{function}: random features of a small gain leak less than the MLP and the transformer"
    return Claim(text, UNSEEN, "random features nearly not", less(other, one), (0, 2), unit="less of the way")


def less(one, other):
    """Return the difference of two means of independent runs, with Welch's degrees of freedom."""
    squares = np.array([one.error**2, other.error**2])
    freedom = squares.sum() ** 2 / (squares**2 / (one.freedom, other.freedom)).sum()
    seeds = min(one.seeds, other.seeds)
    return Student(one.value - other.value, float(np.sqrt(squares.sum())), freedom, seeds, "difference of means")


def leaking(model, function, values):
    """Return the claim that a model is nearer to the interpolator than to the target."""
    return Claim(
        f"{function}, {model}: nearer to the minimum-degree interpolator than to the target",
        UNSEEN,
        "a small leak",
        mean(values),
        (-np.inf, 0.5),
        unit="of the way to the target",
    )


def held_out(model, values):
    """Return the claims on the canonical holdout: the mean error is 4 Inf_k to a tenth, for all k of a function."""
    return [
        Claim(
            f"{function}, {model}: mean held-out error is 4 Inf_k to a tenth, for every k",
            REASON,
            "1",
            off_one(values.sel(function=function)),
            (0, 0.1),
            unit="times 4 Inf_k off",
        )
        for function in values.function.values
    ]


def off_one(values):
    """Return the largest distance of mean ratios from 1; a coordinate of no influence has none."""
    table = values.transpose(chance(values), "coordinates").values
    return MaximalError(table[:, np.isfinite(table).all(0)], 1.0)


COLORS = dict(zip(MODELS.values(), style.CYCLE, strict=False))


def figure(results):
    functions = [str(name) for name in results["mlp"].function.values]
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 4.6), layout="constrained")
        top = [function for function in functions for _ in range(6 // len(functions))]
        axes = drawn.subplot_mosaic([top, [*["leak"] * 2, *["error"] * 4]])
        for letter, ax in zip("abcde", axes.values(), strict=False):
            style.letter(ax, letter)
        for i, function in enumerate(functions):
            draw_coefficients(axes[function], results, function, labelled=i == 0)
        draw_leaks(axes["leak"], results, functions)
        draw_errors(axes["error"], results)
        handles, labels = axes[functions[0]].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return drawn


def draw_coefficients(ax, results, function, labelled):
    """Draw mean coefficients and their intervals beside those of the target and of the interpolator."""
    known = {name: values.sel(function=function) for name, values in predicted(results["mlp"]).items()}
    sets = list(known["target"]["set"].values)
    x = np.arange(len(sets))
    wide = {"width": 0.86, "align": "center"}
    ax.bar(x, known["minimum degree"], color="#D9D9D9", label="minimum degree", **wide)
    ax.bar(x, known["target"], fill=False, edgecolor=style.INK, linewidth=0.5, linestyle=":", label="target", **wide)
    for i, (name, model) in enumerate(MODELS.items()):
        found = interval(last(results[name]).walsh_coefficient.sel(function=function))
        low, mean, high = (found.sel(statistic=s).values for s in ("low", "mean", "high"))
        place = x + 0.2 * (i - (len(MODELS) - 1) / 2)
        ax.errorbar(
            place,
            mean,
            yerr=[mean - low, high - mean],
            fmt="o",
            markersize=2,
            linewidth=0.8,
            color=COLORS[model],
            label=model,
        )
    ax.axhline(0, color=style.INK, linewidth=0.4)
    ax.set_xticks(x, ["1" if s == "constant" else s.replace("x", " x").strip() for s in sets], rotation=60)
    ax.set_title(function)
    if labelled:
        ax.set_ylabel("coefficient")


def draw_leaks(ax, results, functions):
    """Draw the leak of every model and function with its interval, single runs faint."""
    for i, (name, model) in enumerate(MODELS.items()):
        values = leak(results[name])
        place = np.arange(len(functions)) + 0.2 * (i - (len(MODELS) - 1) / 2)
        over = chance(values)
        runs = values.transpose(over, "function").values
        ax.plot(np.broadcast_to(place, runs.shape).ravel(), runs.ravel(), ".", ms=1.5, alpha=0.25, color=COLORS[model])
        ax.plot(place, values.mean(over), "_", markersize=7, color=COLORS[model])
    ax.set_xticks(np.arange(len(functions)), functions)
    ax.axhline(0, color=style.INK, linewidth=0.4)
    ax.set(title="leak", ylabel="share of the way to the target")


def draw_errors(ax, results):
    """Draw held-out errors against four times the influence, means with intervals."""
    limits = []
    for name, model in HOLDOUTS.items():
        found = interval(last(results[name]).unseen_loss)
        for function, marker in zip(found.function.values, "os^", strict=False):
            one = found.sel(function=function)
            x = 4 * influences(results[name], str(function))[: one.sizes["coordinates"]]
            low, mean, high = (one.sel(statistic=s).values for s in ("low", "mean", "high"))
            label = f"{model}, {function}"
            look = {"markersize": 3.5, "linewidth": 0.8, "color": COLORS[model], "label": label}
            ax.errorbar(x, mean, yerr=[mean - low, high - mean], fmt=marker, **look)
            limits += [*x]
    ends = np.array([0.7 * min(limits), 1.4 * max(limits)])
    ax.plot(ends, ends, color=style.INK, linewidth=0.6, linestyle=":", label="equal")
    ax.set(
        xscale="log",
        yscale="log",
        xlim=ends,
        title="canonical holdout",
        xlabel="4 Inf_k",
        ylabel="held-out squared error",
    )
    ax.set_xticks([4, 10, 20, 40], ["4", "10", "20", "40"])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="lower right", fontsize=6)
