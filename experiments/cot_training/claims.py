"""Steps written out in training: facts never composed are, and what wrong steps do, drawn row by row or by a loop."""

import matplotlib.figure
import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, crossing, mean
from grokdyn.plot import style

PAPER = "Yao et al. 2025 (arXiv 2502.04667)"
FITTED = 0.9
# Records at the end whose mean is a run's accuracy in the end.
LAST = 5
TEST, OOD = "test_accuracy", "inferred_ood_accuracy"


def task_of(ds):
    """Return the task of a store's base."""
    return gd.Sweep.from_toml(ds.attrs["spec"]).base.task


def in_the_end(ds, name):
    """Return the mean of the last records of every run [seeds]."""
    return ds[name].transpose("seed", "step").values[:, -LAST:].mean(1)


def best(ds, name):
    """Return the largest record of every run [seeds]."""
    return ds[name].transpose("seed", "step").values.max(1)


def largest(ds):
    """Return the runs with the largest share of wrong bridges by themselves, and by a loop."""
    share = float(ds.wrong_bridges.max())
    return share, *(ds.sel(wrong=how, wrong_bridges=share) for how in ("each", "loop"))


def claims(results):
    plain, steps = results["without"], results["with"]
    share, alone, loop = largest(results["bridges"])
    ends = results["ends"]
    wrong = float(ends.wrong_ends.min())
    ends = ends.sel(wrong_ends=wrong)
    faster = Contrast(crossing(plain[TEST], FITTED), crossing(steps[TEST], FITTED))
    apart = in_the_end(steps, OOD) - in_the_end(plain, OOD)
    worse = best(alone, TEST) - best(loop, TEST)
    return [
        Claim("with steps it composes in less than half the time", PAPER, "sooner", faster, (2, np.inf), (1, np.inf)),
        Claim(
            "with steps facts that were never composed are, more than without",
            PAPER,
            "OOD too",
            mean(apart, "mean difference"),
            (0.1, 1),
            (0, 1),
        ),
        Claim(
            "nine in ten of them, in the end",
            PAPER,
            "0.98 after 20,000 steps",
            mean(in_the_end(steps, OOD)),
            (0.9, 1),
            published=0.98,
        ),
        Claim(
            f"{wrong:g} of the ends wrong are survived: nine in ten of other compositions right at the best record",
            PAPER,
            ".999",
            mean(best(ends, TEST)),
            (0.9, 1),
            published=0.999,
        ),
        Claim(
            f"{share:g} of the bridges wrong, each by itself, are survived",
            "ours",
            "",
            mean(best(alone, TEST)),
            (0.9, 1),
        ),
        Claim(
            f"the same nominal {share:g} written by a loop leaves fewer right, by a tenth or more",
            "released code",
            "another share is wrong",
            mean(worse, "mean difference"),
            (0.1, 1),
            (0, 1),
        ),
        Claim(
            f"with it, {rate(loop, share):.0%} of bridges wrong, at most half of other compositions end right",
            PAPER,
            "0.11",
            mean(in_the_end(loop, TEST)),
            (0, 0.5),
            published=0.11,
        ),
    ]


def rate(ds, share):
    """Return the share of bridges that a loop makes wrong, 1 - mean of (1 - x)^j over the facts of b."""
    return 1 - np.mean((1 - share) ** np.arange(1, task_of(ds).seen + 1))


def figure(results):
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 2.5), layout="constrained")
        axes = drawn.subplot_mosaic([["id", "ood", "wrong"]])
        for letter, ax in zip("abc", axes.values(), strict=True):
            style.letter(ax, letter)
        named = {"without": "at once", "with": "in two steps"}
        for ax, name, title in ((axes["id"], TEST, "other compositions"), (axes["ood"], OOD, "facts never composed")):
            for (key, label), color in zip(named.items(), style.CYCLE, strict=False):
                line(ax, results[key][name], color, label)
            ax.axhline(1 / task_of(results["with"]).entities, color=style.INK, lw=0.6, ls=":")
            ax.set(xlabel="step", ylabel="accuracy", title=title, ylim=(-0.02, 1.02))
        axes["id"].legend(loc="right", bbox_to_anchor=(1, 0.7))
        draw_wrong(axes["wrong"], results)
    return drawn


def line(ax, values, color, label, **how):
    """Draw the mean over seeds with the band of their middle half."""
    low, high = (values.quantile(q, "seed") for q in (0.25, 0.75))
    ax.plot(values.step, values.mean("seed"), color=color, label=label, **how)
    ax.fill_between(values.step, low, high, color=color, alpha=0.15, lw=0)


def draw_wrong(ax, results):
    """Draw accuracy on other compositions over steps, with wrong steps."""
    bridges, ends = results["bridges"], results["ends"]
    for how, dash in (("each", "-"), ("loop", "--")):
        for share, color in zip(bridges.wrong_bridges.values, style.CYCLE[2:], strict=False):
            values = bridges[TEST].sel(wrong=how, wrong_bridges=share)
            label = f"bridges, {share:g}" + (" by a loop" if how == "loop" else "")
            line(ax, values, color, label, ls=dash)
    wrong = float(ends.wrong_ends.min())
    line(ax, ends[TEST].sel(wrong_ends=wrong), style.CYCLE[0], f"ends, {wrong:g}")
    ax.set(xlabel="step", ylabel="accuracy", title="with wrong steps", ylim=(-0.02, 1.02))
    ax.legend(loc="lower right", bbox_to_anchor=(1, 0.1), fontsize="x-small")
