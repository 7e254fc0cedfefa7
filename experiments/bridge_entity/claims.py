"""Wang et al. 2024, inside: the entity on the way of two-hop facts, when it can be read and when it is used."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, crossing, mean, quotient
from grokdyn.plot import style

PAPER = "Wang et al. 2024 (arXiv 2405.15071), circuits by logit lens and causal tracing"
OURS = "ours"
# Rows are "h r1 r2": where h and r1 stand.
HEAD, RELATION = 0, 1
# Records over which the end of a run is averaged, and draws of the facts of an entity.
LAST, DRAWS = 5, 20_000


def depth(ds):
    """Return the number of layers; states are those after 0 to so many of them."""
    return int(ds.layer.max())


def lens(ds, after, part="test"):
    """Return how far up the bridge is among the logits read at r1 after so many layers."""
    return ds[f"{part}_logit_lens"].sel(layer=after, position=RELATION)


def through(ds, position):
    """Return the share of answers that h changes which its change in one state between the layers changes."""
    return ds.traced.sel(token=HEAD, layer=depth(ds) // 2, position=position)


def by_head(ds):
    """Return the mean reciprocal rank of who knows h alone, and puts its tails first, those of more facts before."""
    task = gd.Sweep.from_toml(ds.attrs["spec"]).base.task
    tails = np.random.default_rng(0).integers(0, task.entities, (DRAWS, task.seen))
    counts = -np.sort(-(tails[:, :, None] == np.arange(task.entities)).sum(1), axis=1)
    return float((counts / task.seen / np.arange(1, task.entities + 1)).sum(1).mean())


def ending(values):
    """Return the mean over the last records [seed]."""
    return values.isel(step=slice(-LAST, None)).mean("step")


def half(values):
    """Return between which steps values are first half way from the first record to the end."""
    first, last = values.isel(step=0, drop=True), ending(values)
    return crossing((values - first) / (last - first), 0.5)


def generalised(ds):
    """Return between which steps half of the compositions that test are right first."""
    return crossing(ds.test_accuracy, 0.5)


def claims(results):
    ds = results["tracing"]
    layers = depth(ds)
    read, used, known = half(lens(ds, layers)), half(through(ds, RELATION)), generalised(ds)
    direct = through(ds, HEAD)
    early = direct.sel(step=slice(ds.step[-1] / 10, ds.step[-1] / 5)).mean("step")
    between = ending(lens(ds, layers // 2)).values.astype(np.float64)
    inside, outside = (ending(lens(ds, layers, part)).values.astype(np.float64) for part in ("test", "inferred_ood"))
    guess = by_head(ds)
    return [
        Claim(
            "between the layers the bridge can be read at r1 better than by who knows h alone, by .05",
            PAPER,
            f"read; by h alone {guess:.3f}",
            mean(between),
            (guess + 0.05, 1),
            (guess, 1),
            unit="of mean reciprocal rank",
        ),
        Claim(
            "after the last layer it can, before compositions are generalised to, in .75 of the time",
            OURS,
            "earlier",
            Median(quotient(read, known)),
            (0, 0.75),
            (0, 1),
            unit="of the time to half of the compositions",
        ),
        Claim(
            "it is used when they are: within a factor of 1.5 of the same time",
            PAPER,
            "at the same time",
            Median(quotient(used, known)),
            (2 / 3, 1.5),
            unit="of the time to half of the compositions",
        ),
        Claim(
            "it is read before it is used",
            OURS,
            "earlier",
            Median(quotient(read, used)),
            (0, 0.9),
            (0, 1),
            unit="of the time to half of its use",
        ),
        Claim(
            "in the end the way from h goes through the state at r1, in four of five answers",
            PAPER,
            "through the bridge",
            mean(ending(through(ds, RELATION)).values),
            (0.8, 1),
            unit="of answers that change with h",
        ),
        Claim(
            "and less of it past that state, from h itself, than early: .2 of answers or more",
            PAPER,
            "falls",
            Contrast(early.values, ending(direct).values, "difference"),
            (0.2, 1),
            (0, 1),
            unit="of answers that change with h",
        ),
        Claim(
            "out of distribution it can be read too, after the last layer, at least half as well",
            PAPER,
            "the first hop is known there",
            Contrast(outside, inside),
            (0.5, np.inf),
            unit="of the mean reciprocal rank in distribution",
        ),
    ]


def band(ax, values, color, label, **how):
    """Draw the mean over seeds with the band of their middle half."""
    values = values.dropna("step", how="all")  # where no answer changes there is no share
    low, high = (values.quantile(q, "seed") for q in (0.25, 0.75))
    ax.plot(values.step, values.mean("seed"), color=color, label=label, **how)
    ax.fill_between(values.step, low, high, color=color, alpha=0.15, lw=0)


def figure(results):
    ds = results["tracing"]
    with style.context():
        drawn = style.new_figure(7.2, 2.5)
        curves, paths, times = drawn.subplots(1, 3)
        for letter, ax in zip("abc", (curves, paths, times), strict=True):
            style.letter(ax, letter)
        blue, orange, green, pink = style.CYCLE[:4]
        band(curves, ds.test_accuracy, blue, "compositions right", lw=1.2)
        curves.plot(ds.step, ds.inferred_accuracy.mean("seed"), ":", lw=0.9, color=blue, label="those that train")
        band(curves, lens(ds, depth(ds)), orange, "bridge, 1/rank, last layer", lw=1.2)
        band(curves, lens(ds, depth(ds), "inferred_ood"), pink, "out of distribution", lw=1.0, ls="--")
        band(curves, lens(ds, depth(ds) // 2), style.CYCLE[4], "between the layers", lw=1.2)
        curves.axhline(by_head(ds), color=style.INK, lw=0.6, ls=":")
        curves.set(xlabel="step", ylim=(-0.02, 1.02), title="bridge read at r1")
        for position, color, label in ((HEAD, pink, "h"), (RELATION, green, "r1"), (2, orange, "r2")):
            band(paths, through(ds, position), color, f"state at {label}", lw=1.2)
        paths.set(xlabel="step", ylabel="answers that change", ylim=(-0.02, 1.02), title="h exchanged in one state")
        curves.legend(fontsize=5.5, loc="lower right", handlelength=1.2)
        paths.legend(fontsize=6, loc="center right")
        draw_times(times, ds)
    return drawn


def draw_times(ax, ds):
    """Draw when the bridge is read and used against when compositions are generalised to, every run."""
    known, step = generalised(ds), float(ds.step[1] - ds.step[0])
    rng = np.random.default_rng(0)
    for values, color, label in (
        (half(lens(ds, depth(ds))), style.CYCLE[1], "read"),
        (half(through(ds, RELATION)), style.CYCLE[2], "used"),
    ):
        seen = np.isfinite(known[1]) & np.isfinite(values[1])
        jitter = rng.uniform(-0.3, 0.3, (2, seen.sum())) * step
        both = [(np.add(*arm) / 2)[seen] + move for arm, move in zip((known, values), jitter, strict=True)]
        ax.plot(*both, ".", ms=4, mew=0, color=color, label=label)
    top = float(ds.step[-1])
    ax.plot([0, top], [0, top], color=style.INK, lw=0.6, ls=":")
    ax.set(xlabel="half of the compositions, step", ylabel="half way, step", xlim=(0, top), ylim=(0, top))
    ax.legend(fontsize=6)
