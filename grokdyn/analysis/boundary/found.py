"""The boundary between the answers of runs over the plane of two axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from .. import checks
from .answers import Answers, answers, asked
from .choice import Seen, nearest
from .line import Line, line
from .surface import Runs, Surface, fit, thinner

# Fewer values along an axis than so many make no plane.
FEWEST = 3


class Fitted(NamedTuple):
    """The fit of one yes-or-no question."""

    answers: Answers
    surface: Surface
    line: Line


def boundary(
    ds: xr.Dataset,
    question: str,
    x: str | None = None,
    y: str | None = None,
    grid: Mapping[str, Sequence[float]] | None = None,
    confidence: float = 0.95,
) -> xr.Dataset:
    """Fit the boundary between runs that answer a question with yes and those that do not, with its confidence band.

    Every run is z = eta(x, y) + scale * logistic noise, known to an interval, and answers yes where z < 0. Of a
    question with yes or no the scale is 1 and P(yes) = 1 / (1 + exp(eta)); of a time T z = log(T / level): censored
    runs count as what they are, and times further than a factor of 4 from the level only as before or after it. eta is
    a plane plus a Gaussian process (Matérn 5/2, as cosines after Solin and Särkkä 2020), its scales those of the
    largest evidence (Laplace's approximation; Rasmussen and Williams 2006, 3.4). The boundary is eta = 0, where half
    of the runs answer yes, or where the median of T is the level. Runs are taken as independent: give every cell seeds
    of its own.

    Args:
        ds: results of a grid, or of single points with both axes along `run`.
        question: "test_accuracy >= 0.9": whether it is ever reached; "test_accuracy >= 0.9 within 1000": the contour of
            the median time; "test_loss <= 0.1 after train_loss <= 0.1 within 1000": of a delay; "phase" or
            "corruption_phase": of each class against all others; "phase is grokking": of one.
        x, y: the two axes; default: the only two that vary apart from the seed.
        grid: values of the fine grid, whose cells are the unit of length; default: those that there are.
        confidence: of the band, with which it holds the whole boundary.

    Returns:
        Dataset over `question`, y, x: `surface` (eta, in log odds or log T / level) and `standard_error`. Along `point`
        the boundary itself: `line_x`, `line_y`, `of` (the question's number), and in cells `length` and `half_width`,
        1.96 standard errors across the line, the 95 % band of that point alone. `critical` times the standard error in
        place of 1.96 is the band that holds the whole line with `confidence`. Attributes: `runs`, `cells`, `known_to`,
        the half width that 95 % of the length have at most, and `widest_gap`, how many cells away from every run some
        cell is: what is smaller than that may have been missed.

    Raises:
        ArgumentError: (a ValueError) for an unknown question, variable or axis, or where all runs answer alike.
    """
    x, y = axes_of(ds, x, y)
    (confidence,) = checks.probabilities(confidence, "confidence")
    values = {axis: fine_values(ds, axis, grid) for axis in (x, y)}
    at = places(ds, (x, y), values)
    found = fitted(at, divided(replied(ds, question), question), (len(values[x]), len(values[y])), confidence)
    return described(found, at, (x, y), values, question, ds)


def yes(ds: xr.Dataset, question: str) -> list[xr.DataArray]:
    """Return for every yes-or-no question whether runs say yes: 1, 0, 1/2 where a time is not known that far, nan.

    Named after what they are yes to; arguments and errors as ``boundary``.
    """
    swept = checks.swept_axes(checks.dataset(ds))
    shape = tuple(ds.sizes[axis] for axis in swept)
    along = {name: c for name, c in ds.coords.items() if set(c.dims) <= set(swept)}
    told = replied(ds, question)
    return [xr.DataArray(each.yes.reshape(shape), along, swept, each.name) for each in told]


def axes_of(ds: xr.Dataset, x: str | None, y: str | None) -> tuple[str, str]:
    """Return the two axes; where none is named, the only two apart from the seed along which runs vary."""
    known = varied(ds)
    free = [name for name in known if name != "seed"]
    if x is None and y is None and len(free) == 2:
        return free[1], free[0]
    for argument, axis in (("x", x), ("y", y)):
        checks.dimension(ds, axis, argument, known)
    if x == y:
        raise checks.ArgumentError(f"x={x!r}, y={y!r}: expected two different axes, of: {checks.listed(known)}.")
    return str(x), str(y)


def varied(ds: xr.Dataset) -> list[str]:
    """Return the axes along which runs vary, also those along the dimension of single points."""
    swept = checks.swept_axes(checks.dataset(ds))
    found = [str(n) for n, c in ds.coords.items() if len(c.dims) == 1 and c.dims[0] in swept and c.dtype.kind in "iuf"]
    return [name for name in found if len(np.unique(ds[name].values)) > 1 and name != "run"]


def fine_values(ds: xr.Dataset, axis: str, grid: Mapping[str, Sequence[float]] | None) -> np.ndarray:
    """Return the values of an axis of the fine grid, in rising order."""
    given = ds[axis].values if grid is None else np.asarray(grid.get(axis, ()))
    if given.dtype.kind not in "iuf" or len(np.unique(given)) < FEWEST:
        told = f"got {len(np.unique(given))} values of {axis!r}"
        raise checks.ArgumentError(f"grid: {told}; a boundary needs at least {FEWEST} numbers along each axis.")
    return np.unique(given)


def places(ds: xr.Dataset, axes: tuple[str, str], values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return where runs are, in cells of the fine grid, in the order in which they are numbered [runs, 2]."""
    swept = checks.swept_axes(ds)
    shape = tuple(ds.sizes[axis] for axis in swept)
    found = []
    for axis in axes:
        position = np.interp(ds[axis].values, values[axis], np.arange(len(values[axis])))
        along = [slice(None) if ds[axis].dims[0] == dim else None for dim in swept]
        found.append(np.broadcast_to(position[tuple(along)], shape).ravel())
    return np.stack(found, axis=1)


def replied(ds: xr.Dataset, question: str) -> list[Answers]:
    return answers(ds, asked(question), checks.swept_axes(ds))


def divided(found: list[Answers], question: str) -> list[Answers]:
    """Return answers of which there are two kinds.

    Raises:
        ArgumentError: where all runs answer alike, so that nothing divides the plane.
    """
    for each in found:
        if len(found) == 1 and not {0.0, 1.0} <= set(each.yes[each.known].tolist()):
            said = "yes" if (each.yes == 1).any() else "no" if (each.yes == 0).any() else "nothing"
            told = f"all {len(each.low)} runs answer {said}, so no boundary divides the plane"
            raise checks.ArgumentError(f"question={question!r}: {told}; ask for another level, or widen the axes.")
    if not found:
        raise checks.ArgumentError(f"question={question!r}: no run has an answer.")
    return found


def fitted(at: np.ndarray, found: Sequence[Answers], size: tuple[int, int], confidence: float = 0.95) -> list[Fitted]:
    """Fit every question.

    Args:
        at: where the runs are [runs, 2].
    """
    made = []
    for each in found:
        known = each.known
        runs = thinner(Runs(at[known], each.low[known], each.high[known], np.ones(int(known.sum()))))
        surface = fit(runs, size, each.timed)
        made.append(Fitted(each, surface, line(surface, confidence)))
    return made


def seen(at: np.ndarray, found: Sequence[Answers], seeds: int) -> Seen:
    """Return what has been run where: places, how many sets of so many seeds, shares of yes."""
    nodes, which, count = np.unique(np.round(at).astype(np.int64), axis=0, return_inverse=True, return_counts=True)
    shares = []
    for each in found:
        weight = np.bincount(which.ravel(), each.known, len(nodes))
        with np.errstate(invalid="ignore"):
            shares.append(np.bincount(which.ravel(), np.nan_to_num(each.yes), len(nodes)) / weight)
    return Seen(nodes, -(-count // seeds), np.asarray(shares))


def known_to(found: Sequence[Fitted]) -> float:
    """Return the half width, in cells, that 95 % of the length of every line have at most."""
    return max((each.line.known_to() for each in found if len(each.line.at)), default=np.inf)


def described(
    found: Sequence[Fitted],
    places: np.ndarray,
    axes: tuple[str, str],
    values: Mapping[str, np.ndarray],
    question: str,
    ds: xr.Dataset,
) -> xr.Dataset:
    """Return fits as a Dataset over the fine grid."""
    x, y = axes
    size = (len(values[x]), len(values[y]))
    nodes = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1).reshape(-1, 2)
    dims = ("question", y, x)
    over = {
        name: (dims, np.stack([get(f.surface, nodes).reshape(size).T for f in found]), {"long_name": told})
        for name, get, told in (
            ("surface", Surface.at, "log(T / level)" if found[0].answers.timed else "log odds of no"),
            ("standard_error", Surface.error, "standard error of the surface"),
        )
    }
    _, gap = nearest(np.unique(np.round(places), axis=0), nodes, size)
    at = np.concatenate([f.line.at for f in found])
    along: dict[str, Any] = {
        f"line_{side}": ("point", np.interp(at[:, d], np.arange(size[d]), values[axis]), {"axis": axis})
        for d, (side, axis) in enumerate((("x", x), ("y", y)))
    }
    along["of"] = ("point", np.repeat(np.arange(len(found)), [len(f.line.at) for f in found]))
    along["length"] = ("point", np.concatenate([f.line.length for f in found]), {"units": "cells"})
    along["half_width"] = ("point", 1.96 * np.concatenate([f.line.error for f in found]), {"units": "cells"})
    names = np.asarray([f.answers.name for f in found])
    made = xr.Dataset(
        {**over, "critical": ("question", [f.line.critical for f in found]), **along},
        {"question": names, **{axis: (axis, values[axis], ds[axis].attrs) for axis in (y, x)}},
    )
    told = {"asked": question, "runs": len(places), "cells": size[0] * size[1]}
    return made.assign_attrs(**told, known_to=known_to(found), widest_gap=float(gap.max()))
