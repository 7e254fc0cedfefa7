"""To grok or not to grok (Doshi, Das, He & Gromov 2023): what a network makes of corrupted labels."""

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch

import grokdyn as gd
from grokdyn.analysis.claims import Claim, interpolated_step, mean
from grokdyn.analysis.corruption import COEXISTENCE, CORRUPTION_PHASES, FULL, PARTIAL, UNKNOWN
from grokdyn.plot import style

PAPER = "Doshi et al. 2023 (arXiv 2310.13061)"
CURVES = f"{PAPER}, released notebook, one seed"
COLORS = ("#009E73", "#56B4E9", "#0072B2", "#E69F00", "#C4C4C4")
# Steps at which the released runs pass half of the test rows, between their records, and a quarter around them.
HALF = {5.0: ("52 % at step 100", 98.0), 15.0: ("20 % at step 80, 67 % at 100", 93.0)}
AROUND = 0.25
# A cell is settled in a phase when so many of its seeds are.
MOST = 0.75


def claims(results):
    return [
        *of_curves(results["inversion"]),
        *of_diagrams(results),
        *of_pruning(results["pruning"]),
        scales(results["batch_norm"]),
    ]


def of_curves(ds):
    """Return the claims on single runs at p = 97."""
    found, last = [], int(ds.step[-1])
    for decay, (told, step) in HALF.items():
        if decay not in ds.weight_decay:
            continue
        half = interpolated_step(ds.sel(weight_decay=decay).test_accuracy, 0.5)
        found.append(
            Claim(
                f"with weight decay {decay:g} half of the test rows are right near the released run's step",
                CURVES,
                told,
                mean(half) if last >= 2 * step else None,
                (step * (1 - AROUND), step * (1 + AROUND)),
                unit="steps",
            )
        )
    full = ds.sel(weight_decay=15).train_accuracy.isel(step=-1)
    found.append(
        Claim(
            "with weight decay 15 it ends with all corrupted rows inverted: train accuracy is the share of true labels",
            CURVES,
            "65.4 % from step 270 on",
            mean(full) if last >= 300 else None,
            (0.634, 0.674),
        )
    )
    return found


def of_diagrams(results):
    """Return the claims on the diagrams over noise and train fraction, each on the mean over seeds."""
    decay, rate = phase_of(results["spec"]), phase_of(results["dropout"])
    batch = phase_of(results["batch_norm"])
    seen = xr.concat([(decay == code).any(cells(decay)) for code in range(5)], "code").sum("code")
    strong = decay.sel(weight_decay=[w for w in decay.weight_decay.values if 5 < w <= 15] or [5])
    gain = generalising(batch.sel(norm="batch")) - generalising(batch.sel(norm="none"))
    none, share = inverted(decay.sel(weight_decay=0)), (0.1, 1.0)
    return [
        Claim("decays, noise and fractions hold all five phases", PAPER, "5", mean(seen), (4.5, 5.0)),
        Claim("without decay networks do not invert", PAPER, "none at decay 0", mean(none), (0.0, 0.05)),
        Claim("strong decay inverts in a tenth of the cells or more", PAPER, "decay 15", mean(inverted(strong)), share),
        Claim("so does dropout, without decay", PAPER, "diagrams of dropout", mean(inverted(rate)), share),
        Claim(
            "batch norm generalises in more cells than the same mini-batches without",
            PAPER,
            "diagrams of batch norm",
            mean(gain, "mean difference of pairs"),
            (0.05, 1.0),
        ),
    ]


def phase_of(ds):
    return gd.analysis.corruption_phases(ds).phase


def cells(phase):
    """Return the axes that are no seeds."""
    return [d for d in phase.dims if d != "seed"]


def inverted(phase):
    """Return the share of cells whose run inverted corrupted rows, partly or all, for every seed."""
    return phase.isin([PARTIAL, FULL]).mean(cells(phase))


def generalising(phase):
    return phase.isin([COEXISTENCE, PARTIAL, FULL]).mean(cells(phase))


def of_pruning(ds):
    """Return the claims on networks without their most and least periodic neurons."""
    ds = ds.isel(step=-1)
    low, high = (ds.sel(pruning_order=f"{which} first") for which in ("lowest", "highest"))
    fitted = bool(np.all(ds.corrupted_rows_accuracy > 0.9))
    test, memory = halved(high.pruned_test_accuracy), halved(low.pruned_corrupted_rows_accuracy)
    at_memory = low.pruned_test_accuracy.sel(pruned_share=memory) / low.pruned_test_accuracy.isel(pruned_share=0)
    at_test = high.pruned_corrupted_rows_accuracy.sel(pruned_share=test)
    return [
        Claim(
            "without the least periodic neurons, when half of what it memorised is lost, it generalises as before",
            PAPER,
            "97 % of the test rows, 50 % of the corrupted ones without a quarter",
            mean(at_memory) if fitted else None,
            (0.9, np.inf),
        ),
        Claim(
            "without the most periodic neurons, when half of the test rows are lost, it still knows its corrupted rows",
            PAPER,
            "97 % of the corrupted rows",
            mean(at_test) if fitted else None,
            (0.9, 1.0),
        ),
    ]


def halved(values):
    """Return the least share of neurons without which an accuracy is below half of what it was."""
    below = values < values.isel(pruned_share=0) / 2
    return values.pruned_share.isel(pruned_share=below.argmax("pruned_share"))


def scales(ds):
    """Return the claim on batch norm's scales: mean over periodic neurons over that of others."""
    ds = ds.sel(norm="batch").isel(step=-1)
    learned = ds.test_accuracy > 0.9
    middle, count = ds.neuron_ipr, ds.neuron_ipr_count

    def of(bins):
        weight = count.where(bins, 0)
        return (ds.norm_scale.fillna(0) * weight).sum("neuron_ipr") / weight.sum("neuron_ipr")

    ratio = (of(middle > 0.6) / of(middle < 0.3)).where(learned)
    return Claim(
        "where it generalises, batch norm gives periodic neurons larger scales than the others",
        PAPER,
        ".045 to .06 over .02: more than 2",
        mean(ratio.mean(cells(ratio))),
        (1.5, np.inf),
        unit="times",
    )


def figure(results):
    """Draw the phases, the single runs at p = 97, pruning, and the histogram of participation ratios."""
    decay, rate, batch = (phase_of(results[name]) for name in ("spec", "dropout", "batch_norm"))
    panels = [(f"weight decay {w:g}", decay.sel(weight_decay=w)) for w in decay.weight_decay.values[:4]]
    panels += [(f"dropout {r:g}", rate.sel(dropout=r)) for r in rate.dropout.values[:2]]
    panels += [({"none": "batches of 64", "batch": "batch norm"}[str(n)], batch.sel(norm=n)) for n in batch.norm.values]
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 6.4), layout="constrained")
        axes = drawn.subplots(3, 4).ravel()
        shown = [*axes[: len(panels)], *axes[8:]]
        for letter, ax in zip("abcdefghijkl", shown, strict=False):
            style.letter(ax, letter)
        for i, (title, phase) in enumerate(panels):
            draw_cells(axes[i], phase, title, i)
        for ax in axes[len(panels) : 8]:
            ax.axis("off")
        draw_runs(axes[8], results["inversion"])
        draw_pruning(axes[9:11], results["pruning"].isel(step=-1))
        draw_histogram(axes[11], results)
        handles = [Patch(facecolor=c, label=n) for c, n in zip(COLORS, CORRUPTION_PHASES, strict=True)]
        drawn.legend(handles=handles, loc="outside upper center", ncols=5)
    return drawn


def draw_cells(ax, phase, title, place):
    """Draw the commonest phase of every cell, pale where fewer than three quarters of the seeds are in it."""
    counts = xr.concat([(phase == code).sum([d for d in phase.dims if d == "seed"]) for code in range(5)], "code")
    grid = counts.transpose("code", "label_noise", "train_fraction").values
    total = np.maximum(grid.sum(0), 1)
    x, y = phase.train_fraction.values, phase.label_noise.values
    norm = BoundaryNorm(np.arange(6) - 0.5, 5)
    codes = np.where(grid.sum(0) > 0, grid.argmax(0), UNKNOWN)
    alpha = np.where(grid.max(0) >= MOST * total, 1.0, 0.55)
    ax.pcolormesh(np.arange(len(x)), np.arange(len(y)), codes, cmap=ListedColormap(COLORS), norm=norm, alpha=alpha)
    every = slice(None, None, max(1, len(x) // 4))
    ax.set_xticks(np.arange(len(x))[every], [f"{v:g}" for v in x[every]])
    ax.set_yticks(np.arange(len(y))[every], [f"{v:g}" for v in y[every]])
    ax.set_title(title)
    ax.set_xlabel("train fraction")
    if place % 4 == 0:
        ax.set_ylabel("label noise")


def draw_runs(ax, ds):
    """Draw train and test accuracy of single runs, decay by decay."""
    for decay, line in zip(ds.weight_decay.values[::-1], ("-", "--", ":"), strict=False):
        for part in ("train", "test"):
            values = ds[f"{part}_accuracy"].sel(weight_decay=decay).median("seed")
            label = f"{part}, decay {decay:g}" if decay == ds.weight_decay.values[-1] else None
            ax.plot(ds.step, values, line, color=style.SPLIT_COLORS[part], label=label)
    ax.axhline(0.654, color=style.INK, lw=0.5, ls=":")
    ax.set(xlabel="steps", ylabel="accuracy", title="p = 97, noise .35")
    ax.legend(fontsize=5.5, loc="center right")


def draw_pruning(axes, ds):
    """Draw accuracies without the least and without the most periodic neurons, random order dotted."""
    for ax, order in zip(axes, ("lowest first", "highest first"), strict=True):
        for name, color in (("test", "#D55E00"), ("clean_rows", "#0072B2"), ("corrupted_rows", "#CC79A7")):
            values = ds[f"pruned_{name}_accuracy"]
            for which, line, wide in ((order, "-", 1.2), ("random", ":", 0.8)):
                median = values.sel(pruning_order=which).median("seed")
                label = name.replace("_", " ") if which == order else None
                ax.plot(ds.pruned_share, median, line, color=color, lw=wide, label=label)
        ax.set(xlabel="neurons removed", title=order)
    axes[0].legend(fontsize=5.5)


def draw_histogram(ax, results):
    """Draw how many neurons have which participation ratio, with batch norm's scales."""
    ds = results["pruning"].isel(step=-1)
    share = ds.neuron_ipr_count.mean("seed")
    ax.bar(ds.neuron_ipr, share, width=0.9 / len(ds.neuron_ipr), color="#56B4E9", label="neurons")
    ax.set(xlabel="IPR", ylabel="neurons", title="neurons by IPR")
    batch = results["batch_norm"].sel(norm="batch").isel(step=-1)
    scale = batch.norm_scale.where(batch.test_accuracy > 0.9).mean(
        [d for d in batch.norm_scale.dims if d != "neuron_ipr"]
    )
    other = ax.twinx()
    other.plot(batch.neuron_ipr, scale, "o-", ms=2.5, color="#D55E00")
    other.set_ylabel("|scale| of batch norm", color="#D55E00")
