"""Deep networks always grok (Humayun, Balestriero & Baraniuk 2024): local complexity and robustness over training."""

import matplotlib.figure
import numpy as np

from grokdyn.analysis.claims import Claim, mean
from grokdyn.plot import style

PAPER = "Humayun et al. 2024 (arXiv 2402.15555)"
# Records over which curves are averaged: one is of a sample of points.
SMOOTH = 3
# Steps from which on a scale is long enough to tell of a second descent.
LONG = 4000
# Relative changes of the complexity, and changes of accuracy, that count.
CHANGE, GAIN = 0.1, 0.02
ARMS = {"mlp": "MLP", "random": "random labels", "batch_norm": "batch norm", "cnn": "CNN"}


def arms(results):
    """Return the results of every arm [seed, step]."""
    both = results["mlp"]
    found = {"mlp": both.sel(label_noise=0.0), "random": both.sel(label_noise=1.0)}
    return found | {name: results[name] for name in ("batch_norm", "cnn")}


def complexity(ds, points="train"):
    """Return the units that change sign within the largest radius, all layers, smoothed over records [seed, step]."""
    counts = ds[f"{points}_local_complexity"].isel(radius=-1).sum("layer", skipna=False)
    return smooth(counts)


def smooth(values):
    return values.rolling(step=SMOOTH, center=True).mean().dropna("step", how="all")


def turns(ds, points="train"):
    """Return the first value, the lowest before the top, the top behind that and the last value, and the top's step.

    The lowest value is that of the records until the train rows are fitted (all of them, where they never are); the top
    is the highest since.
    """
    values = complexity(ds, points)
    fitted = (ds.train_accuracy >= 0.99).sel(step=values.step)
    until = np.where(fitted.any("step"), fitted.argmax("step"), values.sizes["step"] - 1)
    found = []
    for i, curve in enumerate(values.transpose("seed", "step").values):
        low = int(np.argmin(curve[: until[i] + 1]))
        top = low + int(np.argmax(curve[low:]))
        found.append((curve[0], curve[low], curve[top], curve[-1], values.step.values[top]))
    return np.array(found).T


def robust(ds, budget=-1):
    """Return test accuracy under the attack of one budget, smoothed [seed, step]."""
    return smooth(ds.test_adversarial_accuracy.isel(budget=budget)).transpose("seed", "step")


def claims(results):
    known = arms(results)
    long = int(results["mlp"].step[-1]) >= LONG
    return [*of_phases(known, long), *of_arms(known, long), *of_robustness(known["mlp"], long)]


def of_phases(known, long):
    """Return the claims on descent, ascent and second descent near train rows."""
    found = []
    for name in ("mlp", "cnn"):
        first, low, top, last, _ = turns(known[name])
        for told, values in (
            ("falls at first", 1 - low / first),
            ("rises again, as the network fits", top / low - 1),
            ("falls a second time", 1 - last / top),
        ):
            text = f"{ARMS[name]}: local complexity near train rows {told}, by a tenth or more"
            what = mean(values) if long else None
            found.append(Claim(text, PAPER, "seen in every network", what, (CHANGE, np.inf), (0.0, np.inf)))
    return found


def of_arms(known, long):
    """Return the claims on random labels and batch norm, against the same seeds of the plain network."""
    last = {name: turns(known[name])[3] for name in ("mlp", "random", "batch_norm")}
    fall = {name: 1 - turns(known[name])[3] / turns(known[name])[2] for name in ("mlp", "batch_norm")}
    return [
        Claim(
            "random labels leave more complexity near train rows at the end than true ones, by a tenth or more",
            PAPER,
            "the second descent is delayed or absent",
            mean(last["random"] / last["mlp"] - 1, "mean of ratios, less 1") if long else None,
            (CHANGE, np.inf),
            (0.0, np.inf),
        ),
        Claim(
            "with batch norm there is less of a second descent than without",
            PAPER,
            "batch norm removes it",
            mean(fall["mlp"] - fall["batch_norm"], "mean difference of pairs") if long else None,
            (0.03, np.inf),
            (0.0, np.inf),
        ),
    ]


def of_robustness(ds, long):
    """Return the claims on accuracy under attack of the plain network: late, and higher than ever before."""
    values, (*_, top) = robust(ds), turns(ds)
    end = values.isel(step=-1).values
    at_top = np.array([float(values.isel(seed=i).sel(step=step)) for i, step in enumerate(top)])
    before = zip(values.values, top, strict=True)
    early = np.array([np.max(row[values.step.values <= step]) for row, step in before])
    return [
        Claim(
            "during the second descent accuracy under attack rises",
            PAPER,
            "robustness groks with the second descent",
            mean(end - at_top, "mean difference of pairs") if long else None,
            (GAIN, 1.0),
            (0.0, 1.0),
            unit="of the test rows",
        ),
        Claim(
            "it ends higher than it ever was before",
            PAPER,
            "robustness comes late",
            mean(end - early, "mean difference of pairs") if long else None,
            (GAIN, 1.0),
            (0.0, 1.0),
            unit="of the test rows",
        ),
    ]


def figure(results):
    known = arms(results)
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 5.6), layout="constrained")
        axes = drawn.subplots(3, 4, sharex=True)
        for letter, ax in zip("abcdefghijkl", axes.ravel(), strict=True):
            style.letter(ax, letter)
        for column, (name, ds) in enumerate(known.items()):
            axes[0, column].set_title(ARMS[name])
            draw_accuracy(axes[0, column], ds)
            draw_complexity(axes[1, column], ds)
            draw_layers(axes[2, column], ds)
            axes[2, column].set_xlabel("updates")
        for row, told in enumerate(("accuracy", "units that change sign", "the same by layer, train")):
            axes[row, 0].set_ylabel(told)
            axes[row, 0].legend(fontsize=5.5)
    return drawn


def middle(ax, values, **look):
    """Draw the mean over seeds with its middle 80 %."""
    values = values.transpose("seed", "step")
    step = np.maximum(values.step.values, 0.5)
    (line,) = ax.plot(step, values.mean("seed"), lw=1.2, **look)
    low, high = (values.quantile(q, "seed") for q in (0.1, 0.9))
    ax.fill_between(step, low, high, color=line.get_color(), alpha=0.2, lw=0)
    ax.set_xscale("log")


def draw_accuracy(ax, ds):
    for part in ("train", "test"):
        middle(ax, ds[f"{part}_accuracy"], color=style.SPLIT_COLORS[part], label=part)
    for i, budget in enumerate(ds.budget.values[[0, -1]] if ds.sizes["budget"] > 1 else ds.budget.values):
        color = style.CYCLE[2 + i]
        middle(ax, smooth(ds.test_adversarial_accuracy.sel(budget=budget)), color=color, label=f"attack {budget:g}")
    ax.set_ylim(-0.02, 1.02)


def draw_complexity(ax, ds):
    colors = {"train": style.SPLIT_COLORS["train"], "test": style.SPLIT_COLORS["test"], "random": "#777777"}
    for points, color in colors.items():
        middle(ax, complexity(ds, points), color=color, label=f"{points} points")


def draw_layers(ax, ds):
    counts = smooth(ds.train_local_complexity.isel(radius=-1))
    for i, layer in enumerate(ds.layer.values):
        color = style.CYCLE[3 if layer == "logits" else i]
        middle(ax, counts.sel(layer=layer), color=color, label=str(layer).replace("pre_", "layer "))
