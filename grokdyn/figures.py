"""The figures that the command line draws of a sweep into a folder."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from grokdyn import analysis
from grokdyn import plot as plots
from grokdyn.analysis.checks import ArgumentError, swept_axes
from grokdyn.analysis.words import written
from grokdyn.engine.store.files import whole, writing
from grokdyn.plot.grid import TIMES, axes_to_name, diagram_axes
from grokdyn.plot.layout import MAX_PANELS
from grokdyn.spec.errors import nearest, printable
from grokdyn.terminal import cell_axes, has_accuracies
from grokdyn.usage import UsageError

MOST_FIGURES = 16
LONGEST_NAME = 120
# Axes besides the seed over which the panels of one figure of curves spread.
MOST_DIRECTIONS = 2
# Values of a diagram that depend on the accuracy that counts as fitted.
TIMED = (*TIMES, "phase")


def file_name(text: str) -> str:
    """Return a name for a file that tells what text says: no separators, nothing hidden, not too long.

    What is not kept as it is gets a digest of the text behind it, so that different texts keep different names.
    """
    safe = re.sub(r"[^A-Za-z0-9_.+-]", "-", text)[:LONGEST_NAME].lstrip(".-")
    return safe if safe == text else f"{safe}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def draw(
    ds: xr.Dataset, folder: Path, x: str | None = None, y: str | None = None, suffix: str = "png", **style: Any
) -> list[Path]:
    """Draw what suits the sweep into a folder: overviews along two axes, or curves. Return the files.

    Raises:
        UsageError: if there is no overview along the axes that are named.
    """
    axes = overview_axes(ds, x, y)
    if axes is None:
        no_use_of(style, "for curves")
        return draw_curves(ds, folder, suffix)
    x, y = axes
    return [
        save(plots.overview(part, x=x, y=y, **style), folder, f"overview{which}", suffix)
        for which, part in parts(ds, (x, y), f"overview(ds.isel({{}}), x={x!r}, y={y!r})")
    ]


def overview_axes(ds: xr.Dataset, x: str | None, y: str | None) -> tuple[str, str] | None:
    """Return the axes of overviews: those named, else the last long ones; nothing where curves suit better."""
    axes, known = cell_axes(ds), has_accuracies(ds)
    named = " ".join(f"--{name} {axis}" for name, axis in (("x", x), ("y", y)) if axis is not None)
    if named and not known:
        raise UsageError(f"plot: got {named} for results without accuracies; allowed: with --value and a variable")
    long = [axis for axis in axes if ds.sizes[axis] > 2 and axis not in (x, y)]
    x = x or (long.pop() if long else None)
    y = y or (long.pop() if long else None)
    if known and x is not None and y is not None:
        return x, y
    if named:
        both, none = f"--x and --y, two of {', '.join(axes)}", "neither, as the sweep has no two axes besides the seed"
        raise UsageError(f"plot: got {named}; allowed: {both if len(axes) > 1 else none}")
    return None


def draw_curves(ds: xr.Dataset, folder: Path, suffix: str) -> list[Path]:
    """Draw accuracies and losses, where there are, over the panels that a figure holds. Return the files."""
    found = {what: [f"{part}_{what}" for part in analysis.parts(ds, what)] for what in ("accuracy", "loss")}
    known = {what: names for what, names in found.items() if names}
    if not known:
        return []
    first = next(iter(known.values()))
    shown = panel_axes(ds)
    for axis in shown:
        if ds.sizes[axis] > MAX_PANELS:
            count = f"{ds.sizes[axis] - MAX_PANELS} of {ds.sizes[axis]} values of {axis}"
            left_out(count, f"curves(ds.isel({axis}=slice({MAX_PANELS}, {2 * MAX_PANELS})), {first})")
    few = ds.isel({axis: slice(0, MAX_PANELS) for axis in shown})
    return [
        save(plots.curves(part, names), folder, f"curves_{what}{which}", suffix)
        for which, part in parts(few, shown, f"curves(ds.isel({{}}), {first})")
        for what, names in known.items()
    ]


def panel_axes(ds: xr.Dataset) -> list[str]:
    """Return the axes besides the seed that the panels of one figure show: the last two, or the longer of too many."""
    axes = cell_axes(ds)[-MOST_DIRECTIONS:]
    sizes = [ds.sizes[axis] for axis in axes]
    return axes if math.prod(sizes) <= MAX_PANELS else [axes[int(np.argmax(sizes))]]


def parts(ds: xr.Dataset, shown: Sequence[str], call: str) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield the Dataset at every point of the axes that one figure does not show, and a word for its file's name.

    Where there are too many, tell how many are left out and by which call of ``gd.plot`` they are drawn.
    """
    rest = [axis for axis in cell_axes(ds) if axis not in shown]
    points = list(itertools.product(*(range(ds.sizes[axis]) for axis in rest)))
    if len(points) > MOST_FIGURES:
        selected = ", ".join(f"{axis}={i}" for axis, i in zip(rest, points[MOST_FIGURES], strict=True))
        left_out(f"{len(points) - MOST_FIGURES} of {len(points)} figures", call.format(selected))
    for at in points[:MOST_FIGURES]:
        part = ds.isel(dict(zip(rest, at, strict=True)), drop=True)
        if rest:
            part = part.assign_attrs(axes=" ".join(axis for axis in swept_axes(ds) if axis not in rest))
        yield "".join(f"_{a}_{written(ds[a].values[i])}" for a, i in zip(rest, at, strict=True)), part


def left_out(what: str, call: str) -> None:
    """Tell what is not drawn, and how it can be."""
    told = f"grokdyn: left out: {what}; to draw them: ds = gd.open(...); gd.plot.{call}"
    print(printable(told), file=sys.stderr)


def draw_diagram(
    ds: xr.Dataset, folder: Path, value: str, x: str | None, y: str | None, suffix: str, **style: Any
) -> Path:
    """Draw one phase diagram into a folder; return the file.

    Raises:
        UsageError: if there is no such value, a threshold or delay is named that it does not depend on, or it takes
            axes and none are named.
    """
    known = [*TIMED, *map(str, ds.data_vars)]
    if value not in known:
        hint = nearest(value, known)
        told = f"plot: got --value {value}; allowed: one of {', '.join(known)}"
        raise UsageError(told + (f" ({hint})" if hint else ""))
    check_diagram_axes(ds, value, x, y)
    if value not in TIMED:
        no_use_of(style, f"with --value {value}")
    return save(plots.phase_diagram(ds, x=x, y=y, value=value, **style), folder, f"diagram_{value}", suffix)


def check_diagram_axes(ds: xr.Dataset, value: str, x: str | None, y: str | None) -> None:
    """Refuse a diagram whose axes are neither named nor the only two of the sweep."""
    if x is not None and y is not None:
        return
    try:
        diagram_axes(ds, x, y, single=True)
    except ArgumentError:
        known = axes_to_name(ds, single=True)
        named = " ".join(f"--{name} {axis}" for name, axis in (("x", x), ("y", y)) if axis is not None)
        both = f"--x and --y, two of {', '.join(known)}"
        allowed = both if len(known) > 1 else "a sweep with two axes; grokdyn plot DIR draws curves of this one"
        raise UsageError(f"plot: got --value {value} {named or 'alone'}; allowed: {allowed}") from None


def no_use_of(style: dict[str, Any], where: str) -> None:
    """Refuse what would change nothing."""
    if style:
        told = " ".join(f"--{name} {value:g}" for name, value in style.items())
        allowed = f"for overviews along two axes, and with --value and one of {', '.join(TIMED)}"
        raise UsageError(f"plot: got {told} {where}; allowed: {allowed}")


def save(figure: Any, folder: Path, name: str, suffix: str) -> Path:
    """Save a figure whole or not at all; return the file."""
    path = folder / f"{file_name(name)}.{suffix}"
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        with whole(path, "wb") as file:
            figure.savefig(file, format=suffix)
    return path
