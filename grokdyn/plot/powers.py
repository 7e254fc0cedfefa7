"""A fitted law of delays: every run against it, its exponents beside published ones, and where they change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokdyn.analysis import event_times
from grokdyn.analysis.claims.powers import halves, power_law, resampled_exponent, told
from grokdyn.analysis.lifetimes.forms import forms

from . import style

MARKERS = ("D", "s", "v")
GREYS = ("#444444", "#777777", "#777777")
FORMS = {"A": "offset", "B": "power", "C": "critical"}


def panels(ds: xr.Dataset, published: Mapping[str, Mapping[str, float]], by: str, written: str, axis: str) -> Figure:
    """Draw a delay law in four panels: runs, exponents, exponents at each value of one axis, delays over another.

    Args:
        ds: results with the axes of the law as coordinates; published: by axis, who says which exponent.
        by: the axis by whose values panels c and d go; written: that whose exponent is told in words.
        axis: what panel d is drawn over, and what the three forms are of.
    """
    names = tuple(published)
    law, single = power_law(ds, names), [name for name in names if name not in (by, written)]
    with style.context():
        drawn = Figure(figsize=(7.2, 5.6), layout="constrained")
        axes = drawn.subplots(2, 2).ravel()
        for letter, ax in zip("abcd", axes, strict=True):
            style.letter(ax, letter)
        measured(axes[0], law, "learning_rate")
        exponents(axes[1], ds, law, published, written)
        local(axes[2], ds, single, by)
        along(axes[3], ds, axis, by)
        forms_told(axes[3], forms(ds, "delay", axis, tuple(name for name in names if name != axis)))
    return drawn


def measured(ax: Axes, law: xr.Dataset | None, colored: str) -> None:
    """Draw every run's delay against the law's, colours by an axis, censored runs as triangles at their last step."""
    ax.set(xscale="log", yscale="log", xlabel="delay by the fitted law, steps", ylabel="delay measured, steps")
    ax.set_title("every run; triangles: not by the last step")
    if law is None:
        return
    dims = law.low.dims
    colors = law.low[colored].broadcast_like(law.low).transpose(*dims).values.ravel()
    low, high, predicted = (law[name].transpose(*dims).values.ravel() for name in ("low", "high", "predicted"))
    seen, late = np.isfinite(high) & (high > 0), np.isinf(high) & (low > 0)
    for color, value in zip(style.CYCLE, np.unique(colors), strict=False):
        here = colors == value
        middle = np.maximum(low + high, 1) / 2
        ax.plot(predicted[here & seen], middle[here & seen], ".", ms=2.5, color=color, label=f"{value:g}")
        ax.plot(predicted[here & late], low[here & late], "^", ms=3.5, mfc="none", mew=0.6, color=color)
    ends = np.array([predicted[seen | late].min(), predicted[seen | late].max()])
    ax.plot(ends, ends, color=style.INK, linewidth=0.6)
    ax.legend(title=told(colored), loc="lower right", markerscale=2)


def exponents(
    ax: Axes, ds: xr.Dataset, law: xr.Dataset | None, published: Mapping[str, Mapping[str, float]], written: str
) -> None:
    """Draw exponents with their intervals, of all runs and of the halves of each axis, beside published ones.

    Those of the axis `written`, far from the others, are told in words.
    """
    names = tuple(published)
    drawn = [name for name in names if name != written]
    sources = list(dict.fromkeys(source for by in published.values() for source in by))
    for i, term in enumerate(drawn):
        for k, one in enumerate((resampled_exponent(law, term), *halves(ds, names, term))):
            if one is not None:
                low, high = one.interval(0.95)
                bar = [[one.value - low], [high - one.value]]
                label = ("all runs", "lower half", "upper half")[k] if i == 0 else None
                look = {"fmt": "o", "ms": 3, "lw": 0.9, "color": style.CYCLE[(6, 0, 1)[k]]}
                ax.errorbar([one.value], [i + 0.18 * k], xerr=bar, label=label, **look)
        for source, marker, color in zip(sources, MARKERS, GREYS, strict=False):
            if source in published[term]:
                label = source.split(" (")[0] if term == "weight_decay" else None
                ax.plot(published[term][source], i - 0.18, marker, ms=4, mfc="none", mew=0.8, color=color, label=label)
    ax.set_yticks(range(len(drawn)), [told(term) for term in drawn])
    ax.set_ylim(len(drawn) - 0.4, -0.5)
    ax.set(xlabel="exponent of the delay", title="95 % intervals; open marks: published")
    ax.legend(loc="lower left", fontsize=6)
    one = resampled_exponent(law, written)
    if one is not None:
        low, high = one.interval(0.95)
        others = ", ".join(f"{value:g}" for value in published[written].values())
        text = f"{told(written)}: {one.value:.2f} ({low:.2f} to {high:.2f}); published {others}"
        ax.text(0.98, 0.02, text, transform=ax.transAxes, ha="right", fontsize=6)


def local(ax: Axes, ds: xr.Dataset, names: Sequence[str], along: str) -> None:
    """Draw the exponents of axes at every value of another by itself."""
    for color, term in zip(style.CYCLE, names, strict=False):
        found = {}
        for value in ds[along].values:
            one = resampled_exponent(power_law(ds.sel({along: value}), names), term)
            if one is not None:
                found[float(value)] = (one.value, *one.interval(0.95))
        if not found:
            continue
        middle, low, high = np.array(list(found.values())).T
        look = {"fmt": "o-", "ms": 3, "lw": 0.9, "color": color, "label": told(term)}
        ax.errorbar(list(found), middle, yerr=[middle - low, high - middle], **look)
    for value in (-1, -0.5):
        ax.axhline(value, color=style.INK, lw=0.4, ls=":")
    ax.set(xlabel=told(along) if along != "train_fraction" else "train fraction", ylabel="exponent of the delay")
    ax.set_title(f"at each {along.replace('_', ' ')} by itself")
    ax.margins(y=0.2)
    legend(ax, loc="upper center", ncols=len(names))


def along(ax: Axes, ds: xr.Dataset, axis: str, colored: str) -> None:
    """Draw delays over an axis, colours by another, the rest in the middle; medians over seeds; censored: triangles."""
    found = event_times(ds, "delay")
    rest = [dim for dim in found.low.dims if dim not in (axis, colored, "seed")]
    middle = found.isel({dim: found.sizes[dim] // 2 for dim in rest})
    for color, value in zip(style.CYCLE, ds[colored].values, strict=False):
        one = middle.sel({colored: value})
        times = np.maximum((one.low + one.high) / 2, 1).transpose(axis, "seed").values
        ends = one.low.transpose(axis, "seed").values
        x = np.broadcast_to(ds[axis].values[:, None], times.shape)
        seen, late = np.isfinite(times), np.isinf(times) & (ends > 0)
        if not (seen | late).any():
            continue
        ax.plot(x[seen], times[seen], ".", ms=2.5, color=color, label=f"{float(value):g}")
        ax.plot(x[late], ends[late], "^", ms=3.5, mfc="none", mew=0.6, color=color)
        middles = np.median(np.where(seen, times, np.inf), axis=1)
        known = np.isfinite(middles)
        ax.plot(ds[axis].values[known], middles[known], lw=0.9, color=color)
    ax.set(xscale="log", yscale="log", xlabel=told(axis), ylabel="delay, steps")
    ax.set_xticks(ds[axis].values, [f"{value:g}" for value in ds[axis].values])
    ax.set_xticks([], minor=True)
    legend(ax, title=colored.replace("_", " "))


def legend(ax: Axes, **look: Any) -> None:
    """Add a legend where there is something that has a label."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**look)


def forms_told(ax: Axes, found: Mapping[str, Mapping[str, float]] | None) -> None:
    """Title a panel with how much worse than the best each of the three forms of ``lifetimes.forms`` is."""
    if found is None:
        return
    least = min(form["aic"] for form in found.values())
    words = ", ".join(f"{FORMS[name]} {form['aic'] - least:.0f}" for name, form in found.items())
    ax.set_title(f"AIC above the best: {words}", fontsize=7)
