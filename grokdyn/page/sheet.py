"""A Dataset as the page holds it: runs in a row, each with its place on every axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from grokdyn.analysis import checks, grokking_time, parts, phases
from grokdyn.analysis.apart import with_points
from grokdyn.analysis.classify import PHASES
from grokdyn.analysis.words import written
from grokdyn.plot.style import name_of

from . import pack

# Numbers that one sweep may have in a page; more records are thinned out, more variables left out.
MOST_NUMBERS = 4_500_000
# (numbers of all sweeps, digits that fit): together at most about 12 MB of text, however little they compress.
PRECISIONS = ((1_000_000, 7), (3_500_000, 5), (MOST_NUMBERS, 4))
# What every run has besides what was recorded, told in places of its own.
ENDS = ("status", "diverged_at", "stopped_at")


@dataclass
class Sheet:
    """One sweep in a page.

    Attributes:
        told: what is written into the page as JSON; arrays are there by the number of their block.
        blocks: the arrays as text.
        notes: what a reader should know of what is not there.
    """

    name: str
    told: dict[str, Any]
    blocks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def put(self, block: str) -> int:
        """Take in an array as text; return its number."""
        self.blocks.append(block)
        return len(self.blocks) - 1


def count(ds: xr.Dataset) -> int:
    """Return how many recorded numbers of a Dataset a page would hold, before any are left out."""
    return min(sum(ds[name].size for name in recorded(ds)), MOST_NUMBERS)


def digits_for(numbers: int) -> int:
    """Return to how many significant digits so many numbers are held."""
    return next((digits for most, digits in PRECISIONS if numbers <= most), PRECISIONS[-1][1])


def recorded(ds: xr.Dataset) -> list[str]:
    """Return the variables with records, those with the fewest numbers first."""
    names = [str(name) for name, array in ds.data_vars.items() if "step" in array.dims and array.dtype.kind in "fiub"]
    return sorted(names, key=lambda name: ds[name].size)


def sheet(
    ds: xr.Dataset, name: str, digits: int, threshold: float = 0.9, most: int = MOST_NUMBERS, **told: Any
) -> Sheet:
    """Return a sweep for the page.

    Args:
        ds: results, dims (axes..., step, ...); read variable by variable where they are opened lazily.
        digits: significant digits of what was recorded; coordinates, ends and times are held exactly.
        threshold: accuracy that counts as fitted.
        most: recorded numbers that may be held.
        told: what else is said of it.
    """
    ds = with_points(ds)
    axes = checks.swept_axes(ds)
    ds = ds if axes else ds.expand_dims("run")
    axes = axes or ("run",)
    made = Sheet(name, {"name": name, "digits": digits, "threshold": threshold, **told})
    made.told["runs"] = int(np.prod([ds.sizes[axis] for axis in axes]))
    made.told["axes"] = [placed(made, *axis) for axis in axes_of(ds, axes)]
    taken, kept = chosen(ds, made, most)
    ds = ds.isel(step=kept) if "step" in ds.dims else ds
    made.told["steps"] = ds["step"].values.tolist() if "step" in ds.coords else []
    made.told["parts"] = {what: list(parts(ds, what)) for what in ("accuracy", "loss")}
    made.told["variables"] = [
        {**described(ds, ds[name]), "recorded": True, "block": made.put(pack.decimals(flat(ds, name, axes), digits))}
        for name in taken
    ]
    made.told["variables"] += [
        {**about, "recorded": False, "block": made.put(pack.exact(flat(found, name, axes)))}
        for name, about, found in per_run(ds, axes, threshold)
    ]
    return made


def axes_of(ds: xr.Dataset, axes: tuple[str, ...]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield name, label and values [runs] of everything by which runs differ: axes, and what runs along them."""
    shape = xr.DataArray(np.zeros([ds.sizes[axis] for axis in axes]), dims=axes)
    labels = {
        str(name): array for name, array in ds.coords.items() if array.dims and set(map(str, array.dims)) <= set(axes)
    }
    for axis in axes:
        labels.setdefault(axis, xr.DataArray(np.arange(ds.sizes[axis]), dims=axis, name=axis))
    first = sorted(labels, key=lambda name: (name not in axes, axes.index(name) if name in axes else 0))
    for name in first:
        array = labels[name].drop_vars(list(labels[name].coords), errors="ignore")
        values = array.broadcast_like(shape).transpose(*axes).values.ravel()
        yield name, name_of(labels[name]), values


def placed(made: Sheet, name: str, label: str, values: np.ndarray) -> dict[str, Any]:
    """Return an axis: its values, numbers in ascending order, and where on it every run is."""
    numeric = values.dtype.kind in "iuf"
    if numeric:
        unique, index = np.unique(values, return_inverse=True)
    else:
        words = [str(value) for value in values]
        order = list(dict.fromkeys(words))
        unique, index = np.asarray(order, object), np.asarray([order.index(word) for word in words])
    numbers = [float(value) if np.isfinite(value) else None for value in unique] if numeric else None
    texts = [written(value) for value in unique]
    return {"name": name, "label": label, "texts": texts, "numbers": numbers, "block": made.put(pack.exact(index))}


def chosen(ds: xr.Dataset, made: Sheet, most: int) -> tuple[list[str], np.ndarray]:
    """Return the variables and records that a page holds; tell what is left out."""
    names, steps = recorded(ds), ds.sizes.get("step", 0)
    kept = np.arange(steps)
    if names and ds[names[0]].size > most:  # too much even of one
        stride = -(-ds[names[0]].size // most)
        kept = np.unique([*range(0, steps, stride), steps - 1])
        made.notes.append(f"Of {steps} records the page holds {len(kept)}: the first, every {stride}th, the last.")
    taken, held = [], 0
    for name in names:
        held += ds[name].size // max(steps, 1) * len(kept)
        if held <= most or not taken:
            taken.append(name)
    left = [f"{name} ({' x '.join(map(str, ds[name].shape))})" for name in names if name not in taken]
    if left:
        made.notes.append(f"Too large for the page, in the store: {', '.join(left)}.")
    words = [str(name) for name, array in ds.data_vars.items() if array.dtype.kind not in "fiub"]
    if words:
        made.notes.append(f"No numbers, in the store: {', '.join(words)}.")
    order = list(map(str, ds.data_vars))
    return sorted(taken, key=order.index), kept


def described(ds: xr.Dataset, array: xr.DataArray) -> dict[str, Any]:
    """Return what the page says of a variable: names, units, the axes of the probe with their values."""
    axes = (*checks.swept_axes(ds), "step", "run")
    own = [str(dim) for dim in array.dims if dim not in axes]
    inner = [
        {"name": dim, "texts": [written(v) for v in (ds[dim].values if dim in ds.coords else range(ds.sizes[dim]))]}
        for dim in own
    ]
    units = str(array.attrs.get("units", ""))
    part, sparse = str(array.attrs.get("part", "")), bool(array.attrs.get("every"))
    return {
        "name": str(array.name),
        "label": name_of(array),
        "units": units,
        "part": part,
        "inner": inner,
        "sparse": sparse,
    }


def flat(ds: xr.Dataset, name: str, axes: tuple[str, ...]) -> np.ndarray:
    """Return a variable with its runs in a row [runs, records, ...]."""
    array = ds[name].load() if ds[name].chunks is None else ds[name].compute()
    missing = [axis for axis in axes if axis not in array.dims]
    array = array.expand_dims({axis: ds.sizes[axis] for axis in missing}).transpose(*axes, *rest(array, axes))
    return array.values


def rest(array: xr.DataArray, axes: tuple[str, ...]) -> list[Any]:
    """Return the dims of an array besides the swept ones, the step first."""
    return sorted((dim for dim in array.dims if dim not in axes), key=lambda dim: dim != "step")


def per_run(
    ds: xr.Dataset, axes: tuple[str, ...], threshold: float
) -> Iterator[tuple[str, dict[str, Any], xr.Dataset]]:
    """Yield what is one number for every run: how it ended, when it got where, what a probe measured once."""
    ended = xr.Dataset({"last_step": last_step(ds, axes)})
    yield "last_step", {"name": "last_step", "label": "last recorded step", "units": "steps", "inner": []}, ended
    for name, array in ds.data_vars.items():
        if "step" not in array.dims and set(array.dims) <= set(axes) and array.dtype.kind in "fiub":
            yield str(name), described(ds, array), ds
    if not {"train_accuracy", "test_accuracy"} <= {*ds.data_vars} or not ds.sizes.get("step", 0):
        return
    for part in parts(ds)[1:]:
        times = grokking_time(ds, threshold, part)
        names = {"step_train": "step_train", f"step_{part}": f"step_{part}", "delay": "delay"}
        if part != "test":
            names = {f"step_{part}": f"step_{part}", "delay": f"delay_{part}"}
        for name, called in names.items():
            found = times[[name]].rename({name: called})
            label = {**described(ds, times[name]), "name": called, "kind": "time"}
            yield called, label | ({} if called == name else {"label": f"{label['label']}, {part}"}), found
    rule = phases(ds, threshold)
    about = {**described(ds, rule["phase"]), "kind": "phase", "classes": PHASES}
    yield "phase", about | {"rule": rule["phase"].attrs["grokking_rule"]}, rule


def last_step(ds: xr.Dataset, axes: tuple[str, ...]) -> xr.DataArray:
    """Return the step of every run's last record; nan where it has none."""
    names = [name for name in recorded(ds) if set(ds[name].dims) <= {*axes, "step"}] or recorded(ds)[:1]
    last = np.full([ds.sizes[axis] for axis in axes], np.nan)
    for name in names:
        known = ds[name].notnull()
        seen = known.any([dim for dim in known.dims if dim not in (*axes, "step")]).transpose(*axes, "step").values
        steps = np.where(seen, ds["step"].values, -np.inf).max(-1, initial=-np.inf)
        last = np.fmax(last, np.where(np.isfinite(steps), steps, np.nan))
    return xr.DataArray(last, dims=axes)


def together(sweeps: Mapping[str, xr.Dataset]) -> tuple[int, int]:
    """Return to how many digits numbers are held, and how many a sweep may have."""
    total = sum(count(ds) for ds in sweeps.values())
    return digits_for(total), MOST_NUMBERS // max(1, len(sweeps)) if total > MOST_NUMBERS else MOST_NUMBERS
