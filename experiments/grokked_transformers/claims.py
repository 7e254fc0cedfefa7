"""Grokked transformers: composition by the share of inferred facts, its limits out of distribution, comparison."""

import matplotlib.figure
import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, Order, crossing, mean, quotient
from grokdyn.plot import style

PAPER = "Wang et al. 2024 (arXiv 2405.15071)"
# Accuracy at which facts are memorised, and compositions generalised to.
FITTED = 0.9
OOD = "inferred_ood_accuracy"


def tau(ds):
    """Return t_gen / t_mem of runs [seeds]: first test accuracy of 0.9 over first accuracy of 0.9 on inferred facts."""
    return quotient(crossing(ds.test_accuracy, FITTED), crossing(ds.inferred_accuracy, FITTED))


def task_of(ds):
    """Return the task of a store's base."""
    return gd.Sweep.from_toml(ds.attrs["spec"]).base.task


def unshared(results):
    """Return the runs of the largest ratio with layers of their own."""
    return results["sharing"].isel(blocks=0)


def ratios(results):
    """Return phi -> runs, in rising order."""
    ds = results["composition"]
    task = task_of(ds)
    found = {task.replace(inferred=int(n)).phi: ds.sel(inferred=n) for n in ds.inferred.values}
    return {**found, task_of(results["sharing"]).phi: unshared(results)}


def last(ds, name):
    """Return a variable at the last record of every run."""
    values = ds[name].transpose(..., "step").values
    place = np.isfinite(values).cumsum(-1).argmax(-1)
    return np.take_along_axis(values, place[..., None], -1)[..., 0]


def claims(results):
    arms = ratios(results)
    low, high = min(arms), max(arms)
    delays = [tau(ds) for _, ds in sorted(arms.items())]
    chance = 1 / task_of(results["sharing"]).entities
    sizes = results["size"]
    counts = " and ".join(map(str, counted(sizes)))
    few, many = (tau(sizes.isel(size=place)) for place in (0, 1))
    shared = results["sharing"].isel(blocks=1)
    apart = last(shared, OOD) - last(unshared(results), OOD)
    values, compared = task_of(results["comparison"]).values, results["comparison"].isel(pairs=0)
    word = (1 - 1 / values) / 2
    return [
        Claim(
            "the larger phi, the shorter the delay t_gen / t_mem, from one ratio to the next",
            PAPER,
            "falls",
            Order(tuple(delays[::-1])),
            (0, np.inf),
        ),
        Claim(
            f"the delay at phi = {low:g} is at least half as long again as at {high:g}",
            PAPER,
            "longer",
            Contrast(delays[0], delays[-1]),
            agrees=(1.5, np.inf),
            bears=(1, np.inf),
        ),
        Claim(
            f"at the same phi the number of facts does not matter: {counts} atomic ones",
            PAPER,
            "the same relative speed",
            Contrast(many, few, paired=False),
            agrees=(0.8, 1.25),
        ),
        Claim(
            "compositions of facts that were never composed stay at chance, at most two in E right",
            PAPER,
            "0",
            mean(last(unshared(results), OOD)),
            (0, 2 * chance),
            published=0.0,
        ),
        Claim(
            "with one block run twice they do not: more are right than with layers of their own",
            PAPER,
            "above 0, slowly",
            mean(apart, "mean difference"),
            agrees=(chance, 1),
            bears=(0, 1),
        ),
        Claim(
            "comparison of entities that were never compared is above that of always saying one word",
            PAPER,
            "1",
            mean(last(compared, OOD)),
            agrees=(word, 1),
        ),
        Claim(
            "comparison generalises out of distribution, nine in ten right",
            PAPER,
            "1",
            mean(last(compared, OOD)),
            agrees=(0.9, 1),
            published=1.0,
        ),
    ]


def counted(ds):
    """Return the number of atomic facts of every size."""
    task = task_of(ds)
    return [int(n) * task.facts for n in ds.entities.values]


def figure(results):
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = drawn.subplot_mosaic([["curves", "delay", "size"], ["ood", "sharing", "comparison"]])
        for letter, ax in zip("abcdef", axes.values(), strict=True):
            style.letter(ax, letter)
        draw_curves(axes["curves"], ratios(results))
        draw_delays(
            axes["delay"], {f"{phi:g}": ds for phi, ds in ratios(results).items()}, "phi", "every run; bars: medians"
        )
        sizes = results["size"]
        named = {str(n): sizes.isel(size=place) for place, n in enumerate(counted(sizes))}
        draw_delays(axes["size"], named, "atomic facts", "the same phi")
        draw_parts(axes["ood"], unshared(results), "layers of their own")
        draw_parts(axes["sharing"], results["sharing"].isel(blocks=1), "one block, twice")
        draw_parts(axes["comparison"], results["comparison"].isel(pairs=0), "comparison")
        for name in ("ood", "sharing"):
            axes[name].axhline(1 / task_of(results["sharing"]).entities, color=style.INK, lw=0.6, ls=":")
        values = task_of(results["comparison"]).values
        axes["comparison"].axhline((1 - 1 / values) / 2, color=style.INK, lw=0.6, ls=":")
    return drawn


def held(values):
    """Return records with the last one held after a run's end, so that means are of all seeds."""
    found = values.transpose(..., "step").copy()
    known = np.where(np.isfinite(found.values), np.arange(found.sizes["step"]), 0)
    found.values = np.take_along_axis(found.values, np.maximum.accumulate(known, -1), -1)
    return found


def line(ax, values, color, label, **how):
    """Draw the mean over seeds with the band of their middle half."""
    values = held(values)
    low, high = (values.quantile(q, "seed") for q in (0.25, 0.75))
    ax.plot(values.step, values.mean("seed"), color=color, label=label, **how)
    ax.fill_between(values.step, low, high, color=color, alpha=0.15, lw=0)


def draw_curves(ax, arms):
    """Draw test accuracy by ratio, and that of inferred facts that train, dotted."""
    for (phi, ds), color in zip(sorted(arms.items()), style.CYCLE, strict=False):
        line(ax, ds.test_accuracy, color, f"phi = {phi:g}")
        ax.plot(ds.step, held(ds.inferred_accuracy).mean("seed"), ":", lw=0.8, color=color)
    ax.set(xlabel="step", ylabel="accuracy", title="test; dotted: train", ylim=(-0.02, 1.02))
    ax.legend(loc="lower right")


def draw_delays(ax, arms, xlabel, title):
    """Draw t_gen / t_mem of every run by arm; open triangles: at least."""
    rng = np.random.default_rng(0)
    for place, ds in enumerate(arms.values()):
        low, high = tau(ds)
        seen, x = np.isfinite(high), place + rng.uniform(-0.2, 0.2, len(low))
        middle = np.sqrt(low * np.where(seen, high, low))
        ax.plot(x[seen], middle[seen], ".", ms=3, mew=0, color=style.CYCLE[place])
        ax.plot(x[~seen], low[~seen], "^", ms=2.6, mfc="none", mew=0.5, color=style.CYCLE[place])
        bar = Median((low, high)).estimate()
        if np.isfinite(bar):
            ax.plot([place - 0.3, place + 0.3], [bar] * 2, color=style.INK, lw=1.2)
    ax.set_xticks(range(len(arms)), list(arms))
    ax.set(xlabel=xlabel, ylabel="t_gen / t_mem", title=title, ylim=(0.9, None))


def draw_parts(ax, ds, title):
    """Draw the accuracy of every part."""
    names = {"inferred": "inferred, train", "test": "inferred, in distribution", "inferred_ood": "out of distribution"}
    for (name, label), color in zip(names.items(), style.CYCLE, strict=False):
        line(ax, ds[f"{name}_accuracy"], color, label)
    ax.set(xlabel="step", ylabel="accuracy", title=title, ylim=(-0.02, 1.02))
    if title == "comparison":
        ax.legend(loc="lower right")
