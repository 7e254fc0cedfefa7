"""Nguyen et al. 2024: slow features beside fast ones, under SAM, and where rows without the fast one count for more."""

import numpy as np

from grokdyn.analysis.claims import Claim, Contrast, crossing, most
from grokdyn.plot import style

SOURCE = "Nguyen et al. 2024 (arXiv 2404.17768), USEFUL"
ARMS = {"plain": "plain", "sam": "SAM", "upsampled": "twice the weight", "sam_upsampled": "SAM, twice the weight"}
LEARNED, CLUSTERED, EARLY, SHORT = 0.95, 10, 10, 1000


def learned(ds, feature):
    """Return between which updates the accuracy on rows with a feature alone comes to LEARNED."""
    return crossing(ds[f"only_{feature}_accuracy"], LEARNED)


def evenness(ds, step):
    """Return the slow feature's alignment over the fast one's at a step [seed]."""
    return evennesses(ds).sel(step=step).values


def upper_of_two(values):
    """Return which values [n] are in the upper of two clusters: the cut with the least squares within both."""
    order = np.sort(values)
    spread = [np.var(order[:k]) * k + np.var(order[k:]) * (len(order) - k) for k in range(1, len(order))]
    return values > order[int(np.argmin(spread))]


def clusters_are_the_kinds(ds):
    """Return for every run whether in both classes the rows of larger error are those without the fast feature.

    Rows of a part take turns between the classes.
    """
    slow, fast = (ds[f"{name}_el2n"].sel(step=CLUSTERED).transpose("seed", ...).values for name in ("slow", "fast"))
    found = []
    for one, other in zip(slow, fast, strict=True):
        halves = [(one[k::2], other[k::2]) for k in (0, 1)]
        upper = [(upper_of_two(np.concatenate(pair)), len(pair[0])) for pair in halves]
        found.append(all(mask[:n].all() and not mask[n:].any() for mask, n in upper))
    return np.array(found)


def claims(results):
    long = results["plain"].step[-1] >= SHORT
    times = {name: learned(results[name], "rare") for name in ARMS}

    def sooner(text, one, other, agrees=(0, 0.8), bears=(0, 1)):
        unit = f"times the updates to {LEARNED:g} on rows with the slow feature alone"
        what = Contrast(times[one], times[other]) if long else None
        return Claim(text, SOURCE, "sooner; by a fifth or more (ours)", what, agrees, bears=bears, unit=unit)

    return [
        Claim(
            "the fast feature is learned long before the slow one",
            SOURCE,
            "first; 10 times as early or more (ours)",
            Contrast(times["plain"], learned(results["plain"], "common")) if long else None,
            (10, np.inf),
            bears=(1, np.inf),
            unit=f"times the updates to {LEARNED:g} on rows with the fast feature alone",
        ),
        most(
            f"after {CLUSTERED} updates the clusters of a class by error are its rows with and without the fast one",
            SOURCE,
            "clusters separate rows by their fast feature",
            clusters_are_the_kinds(results["early"]) if long else np.zeros(0),
            measured=bool(long),
        ),
        sooner(
            "twice the weight on rows without the fast feature: the slow one is learned sooner", "upsampled", "plain"
        ),
        sooner("the same under SAM", "sam_upsampled", "sam"),
        Claim(
            "clusters of the present losses, at every update anew, do as well",
            "ours",
            "the same, to a fifth",
            Contrast(learned(results["clustered"], "rare"), times["upsampled"]) if long else None,
            (0.8, 1.25),
            unit="times the updates with weights by name",
        ),
        Claim(
            f"SAM's features are more even after {EARLY} updates",
            SOURCE,
            "more even at the same update; by a tenth or more (ours)",
            Contrast(*(evenness(results[name], EARLY) for name in ("sam", "plain"))) if long else None,
            (1.1, np.inf),
            bears=(1, np.inf),
            unit="times plain training's slow over fast alignment",
        ),
        Claim(
            f"and still after {SHORT}",
            SOURCE,
            "more even at the same update; by a tenth or more (ours)",
            Contrast(*(evenness(results[name], SHORT) for name in ("sam", "plain"))) if long else None,
            (1.1, np.inf),
            bears=(1, np.inf),
            unit="times plain training's slow over fast alignment",
        ),
        sooner("SAM learns the slow feature sooner", "sam", "plain"),
    ]


def figure(results):
    with style.context():
        drawn = style.new_figure(7.2, 2.5)
        times, alignment, even = drawn.subplots(1, 3)
        for color, (name, told) in zip(style.CYCLE, ARMS.items(), strict=False):
            ds = results[name].isel(step=slice(1, None))
            ended = np.sort(learned(ds, "rare")[1])
            shares = [np.mean(ended <= step) for step in ds.step.values]
            times.step(ds.step, shares, where="post", color=color, label=told, linewidth=1)
            found = ds.feature_alignment.mean("row_class")
            for feature, look in (("rare", "-"), ("common", ":")):
                alignment.plot(ds.step, found.sel(feature=feature).median("seed"), look, color=color, linewidth=1)
            if name != "plain":
                band(even, evennesses(ds) / evennesses(results["plain"].isel(step=slice(1, None))), color)
        times.set(xlabel="step", ylabel=f"share of runs at {LEARNED:g}", ylim=(0, 1.03))
        alignment.set(xlabel="step", yscale="log", ylabel="alignment: slow, fast (dots)")
        even.axhline(1, color="0.6", linewidth=0.6, zorder=0)
        even.set(xlabel="step", yscale="log", ylabel="slow over fast, to plain's")
        times.legend(fontsize=5.5, loc="lower right")
        for letter, ax in zip("abc", (times, alignment, even), strict=True):
            style.letter(ax, letter)
    return drawn


def evennesses(ds):
    """Return the slow feature's alignment over the fast one's [seed, step]."""
    found = ds.feature_alignment.mean("row_class")
    return found.sel(feature="rare", drop=True) / found.sel(feature="common", drop=True)


def band(ax, values, color):
    """Draw the median over seeds, shaded from the 10 % to the 90 % quantile."""
    ax.plot(values.step, values.median("seed"), color=color, linewidth=1)
    low, high = values.quantile((0.1, 0.9), "seed").transpose("quantile", "step").values
    ax.fill_between(values.step, low, high, color=color, alpha=0.15, linewidth=0)
