"""Train longer, generalize better (Hoffer, Hubara & Soudry 2017): batches, updates, and how far weights wander."""

import matplotlib.figure
import numpy as np

from grokdyn.analysis import diffusion
from grokdyn.analysis.claims import Claim, Contrast, mean, most
from grokdyn.plot import style

PAPER = "Hoffer et al. 2017 (arXiv 1705.08741)"
SMALL, LARGE, CHUNK = 16, 256, 16
RATE, ROOT = 0.02, 0.08
# Of the test rows: the smallest difference that counts.
COUNTS = 0.003
# Updates over which the laws of the distance are fitted: after the first ballistic ones, to the last.
FIRST, LAST = 10, 512
# Slopes within this factor are alike.
ALIKE = 1.25
ARMS = {"same rate": (RATE, LARGE), "root rate": (ROOT, LARGE), "root rate, ghost": (ROOT, CHUNK)}


def accuracies(results):
    """Return the test accuracy at the end of every arm [seeds], by batch, epochs and name."""
    found = {"small": results["small"].test_accuracy.isel(step=-1).values}
    for file in ("large", "adapted"):
        ds = results[file].test_accuracy.isel(step=-1)
        for name, (rate, ghost) in ARMS.items():
            found[f"{file}, {name}"] = ds.sel(learning_rate=rate, ghost=ghost).values
    return found


def wandered(results):
    """Return the fits of the distance for every arm of batch and rate; None where a scale has too few records."""
    ds = results["diffusion"]
    return diffusion(ds, first=FIRST, last=LAST) if ds.step[-1] >= LAST else None


def arm(found, batch, rate):
    """Return the fits of the runs of one batch and rate [seeds]."""
    here = np.flatnonzero((found.batch_size == batch) & np.isclose(found.learning_rate, rate))
    return found.isel(arm=int(here[0]))


def claims(results):
    return [*of_accuracy(accuracies(results)), *of_distance(wandered(results))]


def of_accuracy(at):
    """Return the claims on test accuracy at the end, differences of the same seeds."""

    def difference(one, other):
        return mean(at[one] - at[other], "mean difference of pairs")

    worse, better = (-1.0, -COUNTS), (COUNTS, 1.0)
    large, adapted = "large, same rate", "adapted, root rate, ghost"
    return [
        Claim(
            "after as many epochs at the same rate, batches of 256 generalise worse than batches of 16",
            PAPER,
            "by 1 to 5 % of the test rows",
            difference(large, "small"),
            worse,
            (-1.0, 0.0),
        ),
        Claim(
            "a rate larger by the root of the batch's factor takes back a part of that",
            PAPER,
            "a part",
            difference("large, root rate", large),
            better,
            (0.0, 1.0),
        ),
        Claim(
            "ghost batch norm takes back a further part",
            PAPER,
            "a part",
            difference("large, root rate, ghost", "large, root rate"),
            better,
            (0.0, 1.0),
        ),
        Claim(
            "with as many updates, root rate and ghost batch norm nothing is left of the gap",
            PAPER,
            "none",
            difference(adapted, "small"),
            (-COUNTS, 1.0),
        ),
        Claim(
            "as many updates alone close it, at the same rate and with whole batches",
            PAPER,
            "updates are what counts",
            difference("adapted, same rate", "small"),
            (-COUNTS, 1.0),
        ),
    ]


def of_distance(found):
    """Return the claims on the distance from the first weights."""
    told, found_claims = "|w_t - w_0| grows as log t", []
    for batch, rate in ((SMALL, RATE), (LARGE, ROOT)):
        text = f"with batches of {batch} the distance is nearer to a + b log t than to c t^k"
        one = None if found is None else arm(found, batch, rate)
        hits = [] if one is None else one.log_explained > one.power_explained
        found_claims.append(most(text, PAPER, told, hits, measured=one is not None))
    for rate, text, region, bears in (
        (RATE, "at one rate larger batches wander slower: slope at 256 over slope at 16", (0.0, 0.8), (0.0, 1.0)),
        (ROOT, "at rates as the root of the batch they wander alike: the same ratio", (1 / ALIKE, ALIKE), None),
    ):
        ratio = None
        if found is not None:
            ratio = Contrast(arm(found, LARGE, rate).slope.values, arm(found, SMALL, RATE).slope.values)
        expected = "below 1" if rate == RATE else "1"
        found_claims.append(Claim(text, PAPER, expected, ratio, region, bears, unit="times"))
    return found_claims


def figure(results):
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 5.2), layout="constrained")
        axes = drawn.subplots(2, 2)
        for letter, ax in zip("abcd", axes.ravel(), strict=True):
            style.letter(ax, letter)
        draw_distance(axes[0, 0], results["diffusion"], wandered(results))
        draw_slopes(axes[0, 1], wandered(results))
        draw_accuracy(axes[1, 0], accuracies(results))
        draw_reached(axes[1, 1], results)
    return drawn


def labels(ds):
    return [f"{int(batch)}, rate {float(rate):g}" for batch, rate in zip(ds.batch_size, ds.learning_rate, strict=True)]


def draw_distance(ax, ds, found):
    """Draw the mean distance of every arm over log steps, with the fitted logarithm."""
    for i, label in enumerate(labels(ds)):
        color, line = style.CYCLE[(0, 1, 2, 1, 2)[i]], "-" if i < 3 else "--"
        mid = ds.distance_from_init.isel(arm=i).mean("seed")
        ax.plot(ds.step[1:], mid[1:], line, color=color, lw=1.2, label=label)
        if found is not None:
            t = np.array([FIRST, LAST])
            a, b = (float(found[f"{name}_mean"][i]) for name in ("intercept", "slope"))
            ax.plot(t, a + b * np.log(t), ":", color=style.INK, lw=0.8)
    ax.set(xscale="log", xlabel="updates", ylabel="distance from the first weights", title="dotted: a + b log t")
    ax.legend(title="batch")


def draw_slopes(ax, found):
    """Draw how much of the distance's variance both laws explain, a point a run."""
    ax.set(xlabel="explained by c t$^k$", ylabel="explained by a + b log t", title="a point a run")
    if found is None:
        return
    for i, label in enumerate(labels(found)):
        marker = "o" if i < 3 else "v"
        color = style.CYCLE[(0, 1, 2, 1, 2)[i]]
        one = found.isel(arm=i)
        ax.plot(one.power_explained, one.log_explained, marker, ms=3, mfc="none", color=color, label=label)
    low = min(float(found.power_explained.min()), float(found.log_explained.min()))
    ax.plot([low, 1], [low, 1], color=style.INK, lw=0.5)
    words = [f"{text}: b = {float(found.slope_mean[i]):.2f}" for i, text in enumerate(labels(found))]
    ax.text(0.98, 0.03, "\n".join(words), transform=ax.transAxes, ha="right", fontsize=6)


def draw_accuracy(ax, at):
    """Draw test accuracy at the end, every seed, with means and 95 % intervals."""
    names = list(at)
    for i, name in enumerate(names):
        color = style.CYCLE[0 if i == 0 else 1 if name.startswith("large") else 2]
        spot = i + 0.12 * np.linspace(-1, 1, len(at[name]))
        ax.plot(at[name], spot, ".", ms=2, color=color, alpha=0.5)
        middle = mean(at[name])
        low, high = middle.interval(0.95)
        ax.errorbar([middle.value], [i], xerr=[[middle.value - low], [high - middle.value]], fmt="o", ms=4, color=color)
    told = {"small": "batches of 16"} | {n: n.replace("large, ", "256, equal epochs, ") for n in names if "large" in n}
    told |= {n: n.replace("adapted, ", "256, equal updates, ") for n in names if "adapted" in n}
    ax.set_yticks(range(len(names)), [told[name] for name in names], fontsize=6)
    ax.set(xlabel="test accuracy at the end", ylim=(len(names) - 0.5, -0.5))


def draw_reached(ax, results):
    """Draw test accuracy against the distance that the weights came to, a point a run."""
    sets = {"batches of 16": results["small"], "256, equal epochs": results["large"], "256, equal updates": None}
    for color, (label, ds) in zip(style.CYCLE, sets.items(), strict=False):
        last = (results["adapted"] if ds is None else ds).isel(step=-1)
        far, right = (last[name].values.ravel() for name in ("distance_from_init", "test_accuracy"))
        ax.plot(far, right, ".", ms=3, color=color, label=label)
    ax.set(xlabel="distance from the first weights at the end", ylabel="test accuracy at the end")
    ax.legend()
