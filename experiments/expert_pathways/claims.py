"""Grokking in pretraining (Li, Fan & Zhou 2025), the small-net core: do experts' pathways foretell generalisation?"""

import matplotlib.figure
import numpy as np
from scipy.stats import rankdata

from grokdyn.analysis import foretelling
from grokdyn.analysis.claims import Claim, Contrast, Median, Student, mean, most
from grokdyn.plot import style

PAPER = "Li, Fan & Zhou 2025 (arXiv 2506.21551)"
# A change of the mean distance of pathways since the fit that raises the alarm.
CHANGE = 0.15
# Test accuracy that counts as generalising.
LEVEL = 0.5
# Steps below which a scale tells nothing.
LONG = 500


def arms(results):
    """Return the runs with true and with random labels."""
    ds = results["spec"]
    return ds.sel(label_noise=0.0), ds.sel(label_noise=1.0)


def found(ds, change, variable="pathway_distance", of="test_accuracy"):
    return foretelling(ds, variable, change=change, of=of, level=LEVEL)


def claims(results):
    true, random = arms(results)
    long = int(true.step[-1]) >= LONG
    if not long:
        true, random = (ds.isel(seed=slice(0, 0)) for ds in (true, random))
    return [*of_correlations(true), *of_falls(true), *of_rises(true, random)]


def correlations(ds, variable, of="test_accuracy"):
    """Return the correlation of every run since its fit [seed]; nothing where there are no runs."""
    return found(ds, -CHANGE, variable, of).correlation.values if ds.sizes["seed"] else []


def of_correlations(true):
    """Return the claims on single runs' curves since the fit."""
    told = "Pearson -.93 to -.98 over checkpoints"
    distance, loss = correlations(true, "pathway_distance"), correlations(true, "train_loss")
    consistency = np.abs(correlations(true, "pathway_consistency"))
    return [
        Claim(
            "pathways of memorised rows come closer as test accuracy rises: their distance falls with it",
            PAPER,
            told,
            mean(distance, "mean correlation"),
            (-1.0, -0.5),
            (-1.0, 0.0),
        ),
        Claim(
            "the consistency of pathways follows test accuracy, in either direction",
            PAPER,
            "Pearson .92 to .99",
            mean(consistency, "mean size of the correlation"),
            (0.5, 1.0),
        ),
        Claim(
            "the train loss does not tell of test accuracy any more",
            PAPER,
            "uncorrelated",
            mean(loss, "mean correlation"),
            (-0.5, 0.5),
        ),
    ]


def of_falls(true):
    """Return the claim on the published sign as an alarm."""
    hits = leads(found(true, -CHANGE)) if true.sizes["seed"] else []
    text = f"a fall of the distance by {CHANGE:.0%} since the fit comes before half of the test rows are right"
    return [most(text, PAPER, "it foretells generalisation", hits, measured=bool(true.sizes["seed"]))]


def leads(times):
    """Return 1 where an alarm came before the event, 0 where it did not, nan where records do not tell [seed]."""
    low, high = times.lead_low.values, times.lead_high.values
    return np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, np.nan))


def of_rises(true, random):
    """Return the claims on a rise as an alarm: how early, whether it tells runs from the control, and ranks them."""
    measured = bool(true.sizes["seed"])
    up = found(true, CHANGE) if measured else None
    control = found(random, CHANGE) if measured else None
    told = f"a rise of the distance by {CHANGE:.0%} since the fit"
    hits, ratio, rank, lead = [], None, None, None
    if up is not None and control is not None:
        hits = leads(up)
        ends = [(one.alarm_low.values, one.alarm_high.values) for one in (control, up)]
        ratio, rank = Contrast(*ends), rank_correlation(up)
        lead = Median((up.lead_low.values, up.lead_high.values))
    return [
        most(f"{told} comes before half of the test rows are right", "ours", "in most runs", hits, measured=measured),
        Claim("that rise is at least 50 steps early", "ours", "50", lead, (50.0, np.inf), (0.0, np.inf), unit="steps"),
        Claim(
            "it tells runs that will generalise from those that cannot: with random labels it takes twice as long",
            "ours, a control that the paper does not have",
            "2",
            ratio,
            (2.0, np.inf),
            (1.25, np.inf),
            unit="times",
        ),
        Claim(
            "of two runs the one whose pathways change first generalises first",
            "ours",
            "rank correlation above .5",
            rank,
            (0.5, 1.0),
            (0.0, 1.0),
        ),
    ]


def rank_correlation(times):
    """Return Spearman's correlation of the steps of alarm and event over seeds; never is later than all.

    With the standard error sqrt(1.06 / (n - 3)) of its inverse hyperbolic tangent, carried over to it (Fieller, Hartley
    & Pearson 1957).
    """
    alarm, event = times.alarm_high.values, times.event_high.values
    known = ~(np.isnan(alarm) | np.isnan(event))
    n = int(known.sum())
    if n < 4 or min(np.unique(x[known]).size for x in (alarm, event)) < 2:
        return None
    r = float(np.corrcoef(rankdata(alarm[known]), rankdata(event[known]))[0, 1])
    return Student(r, float((1 - r**2) * np.sqrt(1.06 / (n - 3))), n - 2, n, "Spearman's correlation")


def figure(results):
    true, random = arms(results)
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = drawn.subplots(2, 3)
        for letter, ax in zip("abcdef", axes.ravel(), strict=True):
            style.letter(ax, letter)
        for ax, ds, told in ((axes[0, 0], true, "true labels"), (axes[0, 1], random, "random labels")):
            draw_run(ax, ds, told)
        draw_curves(axes[0, 2], true, random, "pathway_distance", "edit distance of pathways")
        draw_curves(axes[1, 0], true, random, "pathway_cosine", "cosine of successive layers")
        draw_against(axes[1, 1], true)
        draw_times(axes[1, 2], found(true, CHANGE), found(random, CHANGE))
    return drawn


def middle(ax, values, **look):
    """Draw the median over seeds with the middle 80 %."""
    values = values.transpose("seed", "step").dropna("step", how="all")
    (line,) = ax.plot(values.step, values.median("seed"), lw=1.2, **look)
    low, high = (values.quantile(q, "seed") for q in (0.1, 0.9))
    ax.fill_between(values.step, low, high, color=line.get_color(), alpha=0.2, lw=0)


def draw_run(ax, ds, told):
    for part in ("train", "test"):
        middle(ax, ds[f"{part}_accuracy"], color=style.SPLIT_COLORS[part], label=part)
    ax.set(xlabel="steps", ylabel="accuracy", title=told, ylim=(-0.02, 1.02))
    ax.legend()


def draw_curves(ax, true, random, variable, label):
    for ds, color, told in ((true, style.CYCLE[0], "true labels"), (random, style.CYCLE[1], "random labels")):
        middle(ax, ds[variable], color=color, label=told)
    ax.set(xlabel="steps", ylabel=label)
    ax.legend()


def draw_against(ax, ds):
    """Draw test accuracy against the distance since the fit, a line a seed."""
    fitted = (ds.train_accuracy >= 0.99).cumsum("step") > 0
    for i in range(ds.sizes["seed"]):
        one = ds.isel(seed=i).where(fitted.isel(seed=i))
        ax.plot(one.pathway_distance, one.test_accuracy, lw=0.5, alpha=0.6, color=style.CYCLE[i % len(style.CYCLE)])
    ax.set(xlabel="edit distance of pathways", ylabel="test accuracy", title="since the fit, a line a seed")


def draw_times(ax, true, random):
    """Draw when the alarm came against when half of the test rows were right; never at the upper edges."""
    last = float(max(true.alarm_low.max(), true.event_low.max(), random.alarm_low.max())) * 1.1
    for times, marker, color, told in ((true, "o", style.CYCLE[0], "true"), (random, "v", style.CYCLE[1], "random")):
        alarm, event = (np.minimum(x.values, last) for x in (times.alarm_high, times.event_high))
        ax.plot(alarm, event, marker, ms=3, mfc="none", color=color, label=f"{told} labels")
    ax.plot([0, last], [0, last], color=style.INK, lw=0.5)
    ax.set(
        xlabel=f"step of a rise by {CHANGE:.0%}", ylabel="step of half of the test rows", title="edges: not by the end"
    )
    ax.legend()
