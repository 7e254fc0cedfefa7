"""Survival curves: how many runs are not there yet, by group, with bands and the numbers at risk."""

from __future__ import annotations

import itertools
from typing import Any

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from grokdyn.analysis import checks

from . import style

MOST_GROUPS = len(style.CYCLE)
LINE = 0.16  # inches of a line of numbers


def survival(found: xr.Dataset, *, xscale: str = "linear", ax: Axes | None = None) -> matplotlib.figure.Figure:
    """Draw what ``analysis.survival`` found: a stair for each group, its band, and the runs at risk below.

    A stair steps down at the record that first showed an event (Kaplan and Meier's estimate); the band is that of the
    estimate for events between records. Short marks stand where runs were last seen without the event.

    Returns the Figure, that of `ax`, whose place it takes, where one is given. Raises ArgumentError (a ValueError) for
    what is not from ``analysis.survival``, more than seven groups, or an unknown scale.
    """
    for name in ("kaplan_meier", "survival_low", "survival_high", "at_risk"):
        if name not in checks.dataset(found).data_vars:
            raise checks.ArgumentError(f"found: has no {name}; expected what grokdyn.analysis.survival returns.")
    checks.choice(xscale, ("linear", "log"), "xscale")
    axes = [str(d) for d in found["kaplan_meier"].dims if d != "time"]
    cells = [dict(zip(axes, at, strict=True)) for at in itertools.product(*(range(found.sizes[a]) for a in axes))]
    if len(cells) > MOST_GROUPS:
        raise checks.ArgumentError(f"found: has {len(cells)} groups; at most {MOST_GROUPS} fit, so select some first.")
    with style.context():
        height = 2.5 + LINE * (len(cells) + 1)
        figure = style.room(ax, 4.2, height)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.5, LINE * (len(cells) + 1)])
        for color, at in zip(style.CYCLE, cells, strict=False):
            _group(above, found.isel(at), color, _told(found, at))
        above.set(xscale=xscale, ylim=(0, 1.02), ylabel="share of runs not there yet")
        first = found["time"].values[found["time"].values > 0][:1]
        above.set_xlim(first[0] if xscale == "log" and len(first) else 0, found["time"].values[-1])
        if len(cells) > 1:
            figure.legend(*above.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=6.5)
        _numbers(below, above, found, cells)
        below.set_xlabel(style.label_of(found["time"]))
    return style.whole(figure)


def _group(ax: Axes, found: xr.Dataset, color: str, label: str) -> None:
    time = found["time"].values
    low, high = (found[f"survival_{end}"].values for end in ("low", "high"))
    ax.fill_between(time, low, high, color=color, alpha=0.18, linewidth=0)
    ax.step(time, found["kaplan_meier"].values, where="post", color=color, label=label)
    risk, level = found["at_risk"].values, found["kaplan_meier"].values
    if level[-1] > 0:
        last = np.flatnonzero(risk > 0)[-1]
        ax.plot(time[last], level[last], "|", color=color, markersize=6)


def _told(found: xr.Dataset, at: dict[str, int]) -> str:
    words = [f"{style.name_of(found[axis])} {style.number(found[axis].values[i].item())}" for axis, i in at.items()]
    cell = found.isel(at)
    broke = int(cell["runs_diverged"]) if "runs_diverged" in cell else 0
    return ", ".join(words) + (f" ({broke} diverged)" if broke else "")


def _numbers(below: Axes, ax: Axes, found: xr.Dataset, cells: list[dict[str, int]]) -> None:
    """Write the runs at risk under the ticks of the axis above."""
    below.set(ylim=(len(cells) - 0.4, -1), yticks=[])
    below.tick_params(axis="x", which="both", length=0)
    below.spines[:].set_visible(False)
    left, right = ax.get_xlim()
    below.text(0, -0.75, "runs at risk", transform=_rows(below), fontsize=6.5, va="center")
    ticks = [tick for tick in ax.get_xticks() if left <= tick <= right]
    times = found["time"].values
    for row, (color, at) in enumerate(zip(style.CYCLE, cells, strict=False)):
        risk = found["at_risk"].isel(at).values
        for tick in ticks:
            place = np.searchsorted(times, tick, side="left")
            shown = risk[place] if place < len(times) else 0
            below.text(tick, row, str(int(shown)), color=color, fontsize=6.5, ha="center", va="center")


def _rows(below: Axes) -> Any:
    """Return the transform of a share of the width and a row."""
    return below.get_yaxis_transform()
