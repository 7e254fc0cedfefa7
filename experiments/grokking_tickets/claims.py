"""Grokking tickets: masks of networks that have generalised, controls of their norm, pruning without training."""

import matplotlib.figure
import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import (
    Claim,
    Contrast,
    Median,
    Order,
    Probability,
    crossing,
    interpolated_step,
    quotient,
)
from grokdyn.plot import style

PAPER = "Minegishi et al. 2023"
# Accuracy at which the paper calls a part fitted.
FITTED = 0.95
INITIAL = {"random": "random masks", "snip": "SNIP", "grasp": "GraSP", "synflow": "SynFlow"}
LOOKED = "round.step"
# Where the axes of steps begin.
FIRST = 10
COLORS = dict(zip(("dense", "ticket", "l1", "l2", "early"), style.CYCLE, strict=False))
NAMES = {"dense": "dense", "ticket": "ticket", "l1": "dense, L1", "l2": "dense, L2"}


def times(ds, part):
    """Return between which records the accuracy of a part first reached the threshold [seeds]."""
    return crossing(ds[f"{part}_accuracy"], FITTED)


def tau(ds):
    """Return the paper's tau_grok = t_gen / t_mem [seeds]."""
    return quotient(times(ds, "test"), times(ds, "train"))


def generalised(ds):
    """Return whether runs generalised within their budget [seeds]."""
    return np.isfinite(times(ds, "test")[1])


def arms(results):
    """Return the results of every arm, those of tickets from before and after the dense network generalised."""
    ticket, control = results["ticket"], results["control"]
    return {
        "dense": results["dense"],
        "ticket": ticket.isel({LOOKED: -1}, drop=True),
        "l1": control.sel(norm="l1", drop=True),
        "l2": control.sel(norm="l2", drop=True),
        "early": ticket.isel({LOOKED: 0}, drop=True),
    }


def distances(results):
    """Return Jaccard distances 1 - |m and m'| / |m or m'| of masks of successive snapshots [seeds, intervals, tensors].

    The interval's ends come second.
    """
    ds = results["masks"]
    found = []
    for mask in gd.masks(ds.encoding["source"], None).values():
        flat = mask.reshape(*mask.shape[:2], -1)
        both = (flat[:, 1:] & flat[:, :-1]).sum(-1)
        either = (flat[:, 1:] | flat[:, :-1]).sum(-1)
        found.append(1 - both / np.maximum(either, 1))
    steps = ds[LOOKED].values
    return np.stack(found, -1), np.stack([steps[:-1], steps[1:]], 1)


def apart(results):
    """Return by how many steps the masks' largest change is later than the largest rise of test accuracy [seeds].

    Both over intervals between snapshots, the first left out, in which the network memorises and all masks move.
    """
    found, ends = distances(results)
    accuracy = results["dense"].test_accuracy.transpose("seed", "step")
    at = np.stack([np.interp(np.r_[ends[:, 0], ends[-1, 1]], accuracy.step.values, row) for row in accuracy.values])
    middle = ends.mean(1)[1:]
    return middle[found.mean(-1)[:, 1:].argmax(1)] - middle[np.diff(at)[:, 1:].argmax(1)]


def entropies(results):
    """Return the Fourier entropy of tickets at their last record, and of dense networks at that step [seeds]."""
    dense, ticket = (arms(results)[name].fourier_entropy.transpose("seed", "step") for name in ("dense", "ticket"))
    last = [np.flatnonzero(np.isfinite(row))[-1] for row in ticket.values]
    steps = ticket.step.values[last]
    mine = ticket.values[np.arange(len(last)), last]
    theirs = [np.interp(t, dense.step.values, row) for t, row in zip(steps, dense.values, strict=True)]
    return mine, np.array(theirs)


def claims(results):
    found = arms(results)
    dense, ticket = tau(found["dense"]), tau(found["ticket"])
    made = [
        Claim(
            "the ticket of a network that has generalised groks five times as fast: tau_grok at most a fifth",
            f"{PAPER}, figure 1",
            "about .1",
            Contrast(ticket, dense),
            (0, 0.2),
            published=0.1,
        )
    ]
    for norm in ("l1", "l2"):
        text = f"a dense network of the ticket's {norm.upper()} norm lies between: slower than it, faster than dense"
        between = Order((ticket, tau(found[norm]), dense))
        made.append(Claim(text, PAPER, "ticket < control < dense", between, (0, np.inf)))
    text = "the ticket of a network that has only memorised does not generalise within the dense network's time"
    early = Probability(generalised(found["early"]).astype(float))
    made.append(Claim(text, PAPER, "none", early, (0, 0.25)))
    text = "masks change most while test accuracy rises most, to an interval between snapshots"
    width = float(np.diff(distances(results)[1][-1])[0])
    made.append(Claim(text, PAPER, "at once", Median(apart(results)), (-width, width), unit="steps"))
    for by, name in INITIAL.items():
        later = Contrast(times(results["initial"].sel(by=by), "test"), times(found["dense"], "test"))
        text = f"{name} at initialisation: it generalises no sooner than the dense network"
        made.append(Claim(text, PAPER, "later", later, (1, np.inf)))
    made += claims_on_keep(results)
    mine, theirs = entropies(results)
    text = "when the ticket generalises its neurons' spectra have a lower entropy than the dense network's at that step"
    made.append(Claim(text, PAPER, "below 0", Contrast(mine, theirs, "difference"), (-np.inf, 0), unit="nat"))
    return made


def claims_on_keep(results):
    """Return what is claimed of how much is kept."""
    keep = results["keep"]
    shares = keep.keep.values[::-1]
    memorised = Order(tuple(times(keep.sel(keep=share), "train") for share in shares))
    text = f"the more is pruned the later it memorises, from {shares[0]:g} kept to {shares[-1]:g}"
    found = [Claim(text, PAPER, "later", memorised, (0, np.inf), unit="steps")]
    least = float(keep.keep.min())
    few = Probability(generalised(keep.sel(keep=least)).astype(float))
    text = f"too few weights: with {least:g} kept the ticket does not generalise in its time"
    found.append(Claim(text, PAPER, "none, with .1 kept", few, (0, 0.25)))
    bare = results["no_decay"]
    for share in bare.keep.values:
        hits = Probability(generalised(bare.sel(keep=share)).astype(float))
        text = f"without weight decay the ticket generalises too, with {share:g} kept"
        found.append(Claim(text, f"{PAPER}, appendix H", "with .19 kept", hits, (0.5, 1)))
    return found


def figure(results):
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 5.0), layout="constrained")
        above, below = drawn.subfigures(2, 1)
        axes = above.subplot_mosaic([["curves", "tau"]]) | below.subplot_mosaic([["masks", "entropy", "keep"]])
        for letter, ax in zip("abcde", axes.values(), strict=True):
            style.letter(ax, letter)
        draw_curves(axes["curves"], arms(results))
        draw_tau(axes["tau"], results)
        draw_masks(axes["masks"], results)
        draw_entropy(axes["entropy"], results)
        draw_keep(axes["keep"], results)
    return drawn


def held(values):
    """Return records with the last one held after a run's end, so that means are of all seeds."""
    found = values.transpose(..., "step").copy()
    known = np.where(np.isfinite(found.values), np.arange(found.sizes["step"]), 0)
    found.values = np.take_along_axis(found.values, np.maximum.accumulate(known, -1), -1)
    return found


def draw_curves(ax, found):
    """Draw mean test accuracy over seeds, with the band of their middle half, and train accuracy dotted."""
    labels = {**NAMES, "ticket": "ticket, after", "early": "ticket, before"}
    for name, ds in found.items():
        accuracy, color = held(ds.test_accuracy), COLORS[name]
        low, high = (accuracy.quantile(q, "seed") for q in (0.25, 0.75))
        ax.plot(ds.step, accuracy.mean("seed"), color=color, label=labels[name])
        ax.fill_between(ds.step, low, high, color=color, alpha=0.15, lw=0)
        ax.plot(ds.step, held(ds.train_accuracy).mean("seed"), ":", lw=0.8, color=color)
    ax.set(xscale="log", xlabel="step", ylabel="accuracy", title="test accuracy; dotted: train", ylim=(-0.02, 1.02))
    ax.set_xlim(FIRST, float(max(ds.step[-1] for ds in found.values())))
    ax.legend(loc="upper left")


def rows_of_tau(results):
    """Return the rows of the panel of tau_grok: label, colour, results."""
    found, ticket = arms(results), results["ticket"]
    rows = [(NAMES[name], COLORS[name], found[name]) for name in ("dense", "l2", "l1")]
    rows += [(f"ticket of step {t}", COLORS["ticket"], ticket.sel({LOOKED: t})) for t in ticket[LOOKED].values]
    return rows + [(name, COLORS["early"], results["initial"].sel(by=by)) for by, name in INITIAL.items()]


def draw_tau(ax, results):
    """Draw tau_grok of every run by arm; at the right, open, those that did not generalise."""
    rows = rows_of_tau(results)
    rng = np.random.default_rng(0)
    ax.set(xscale="log", xlim=(1, 100))
    for i, (_, color, ds) in enumerate(rows):
        low, high = tau(ds)
        seen = np.isfinite(high)
        y = i + rng.uniform(-0.22, 0.22, len(low))
        ax.plot(np.sqrt(low[seen] * high[seen]), y[seen], ".", ms=3, color=color, mew=0)
        ax.plot(low[~seen], y[~seen], ">", ms=2.6, mfc="none", mew=0.5, color=color)
        middle = Median((low, high)).estimate()
        if np.isfinite(middle):
            ax.plot([middle] * 2, [i - 0.38, i + 0.38], color=style.INK, lw=1.2)
    ax.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    ax.set(xlabel="tau_grok = t_gen / t_mem", ylim=(len(rows) - 0.4, -0.6))
    ax.set_title("every run; bars: medians; triangles: at least")


def draw_masks(ax, results):
    """Draw how far masks move between snapshots, and test accuracy of the dense networks."""
    found, ends = distances(results)
    mean = found.mean(-1)
    low, high = np.quantile(mean, (0.25, 0.75), axis=0)
    middle = ends.mean(1)
    color = style.CYCLE[3]
    ax.plot(middle, mean.mean(0), ".-", color=color)
    ax.fill_between(middle, low, high, color=color, alpha=0.2, lw=0)
    ax.set(xlabel="step of the dense network", ylabel="Jaccard distance", title="masks, step to step")
    ax.yaxis.label.set_color(color)
    ax.set_ylim(0, None)
    beside = ax.twinx()
    dense = results["dense"]
    beside.plot(dense.step, dense.test_accuracy.mean("seed"), color=COLORS["dense"], lw=0.9)
    beside.set(ylabel="test accuracy", ylim=(-0.02, 1.02), xlim=(0, ends[-1, 1]))
    beside.yaxis.label.set_color(COLORS["dense"])


def draw_entropy(ax, results):
    """Draw the entropy of the neurons' spectra of dense networks and tickets."""
    for name in ("dense", "ticket", "early"):
        ds = arms(results)[name]
        label = {"dense": "dense", "ticket": "ticket, after", "early": "ticket, before"}[name]
        entropy = held(ds.fourier_entropy)
        low, high = (entropy.quantile(q, "seed") for q in (0.25, 0.75))
        ax.plot(ds.step, entropy.mean("seed"), color=COLORS[name], label=label)
        ax.fill_between(ds.step, low, high, color=COLORS[name], alpha=0.15, lw=0)
    ax.set(xscale="log", xlabel="step", ylabel="nat", title="Fourier entropy of neurons")
    ax.set_xlim(FIRST, float(results["dense"].step[-1]))
    ax.legend(loc="lower left")


def draw_keep(ax, results):
    """Draw when tickets memorise and generalise by the share kept; open triangles: not in their time."""
    keep, ticket = results["keep"], arms(results)["ticket"]
    parts = {**{float(k): keep.sel(keep=k) for k in keep.keep.values}, 0.4: ticket, 1.0: results["dense"]}
    for part, color in style.SPLIT_COLORS.items():
        middles = []
        for share, ds in sorted(parts.items()):
            low, high = times(ds, part)
            seen, rng = np.isfinite(high), np.random.default_rng(1)
            x = share + rng.uniform(-0.015, 0.015, len(low))
            shown = interpolated_step(ds[f"{part}_accuracy"], FITTED).values
            ax.plot(x[seen], shown[seen], ".", ms=2.5, mew=0, alpha=0.5, color=color)
            ax.plot(x[~seen], low[~seen], "^", ms=2.6, mfc="none", mew=0.5, color=color)
            middles.append((share, Median((low, high)).estimate()))
        x, y = np.array(middles).T
        ax.plot(x, np.where(np.isfinite(y), y, np.nan), "-", color=color, label="t_mem" if part == "train" else "t_gen")
    ax.set(yscale="log", xlabel="share kept (1: dense)", ylabel="step", title="more or fewer weights")
    ticks = [t for t in (100, 200, 500, 1000, 2000, 5000, 10000, 50000) if t < 1.5 * float(results["dense"].step[-1])]
    ax.set_yticks(ticks, [f"{t}" for t in ticks])
    ax.set_yticks([], minor=True)
    ax.legend(loc="upper center")
