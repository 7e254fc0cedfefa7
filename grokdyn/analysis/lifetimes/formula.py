"""A law in words, "delay ~ learning_rate + weight_decay + C(optimizer)", as columns over the runs."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

from .. import checks

LEVELS = re.compile(r"C\(\s*(\w+)\s*\)")
EXAMPLE = "'delay ~ learning_rate + weight_decay'"


def split(formula: str) -> tuple[str, list[str]]:
    """Return the event and the terms of a formula."""
    sides = formula.split("~") if isinstance(formula, str) else []
    names = [name.strip() for name in sides[1].split("+")] if len(sides) == 2 else []
    if not names or not all(names) or not sides[0].strip():
        raise checks.ArgumentError(f"formula={formula!r}: expected an event, ~ and what it depends on, as {EXAMPLE}.")
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise checks.ArgumentError(f"formula={formula!r}: {repeated[0]} comes twice.")
    return sides[0].strip(), names


def columns(ds: xr.Dataset, names: list[str], like: xr.DataArray) -> tuple[list[str], np.ndarray]:
    """Return the names of terms and their columns [runs, terms], an intercept first.

    A name is the logarithm of an axis or of a variable with one value a run, so that its coefficient is an exponent;
    C(name) is one column for each value but the first; a:b the product of the columns of two names.
    """
    told, made = ["intercept"], [np.ones(like.size)]
    for name in names:
        matched = LEVELS.fullmatch(name)
        for label, column in _levels(ds, matched[1], like) if matched else [(name, _product(ds, name, like))]:
            told.append(label)
            made.append(column)
    table = np.stack(made, 1)
    if np.linalg.matrix_rank(table) < len(told):
        raise checks.ArgumentError(f"formula: {checks.listed(told[1:])} cannot be told apart on these runs.")
    return told, table


def per_run(ds: xr.Dataset, name: str, like: xr.DataArray) -> np.ndarray:
    """Return the values of an axis or variable for all runs."""
    known = {**dict.fromkeys(checks.swept_axes(ds)), **dict.fromkeys(ds.data_vars)}
    if name not in ds.coords and name not in ds.data_vars:
        raise checks.ArgumentError(
            f"formula: {name!r} is no axis and no variable.{checks.nearest(name, known)} "
            f"There are: {checks.listed(known)}."
        )
    if set(ds[name].dims) - set(like.dims):
        raise checks.ArgumentError(f"formula: {name!r} has several values a run, along {checks.listed(ds[name].dims)}.")
    values = ds[name].broadcast_like(like).transpose(*like.dims).values.ravel()
    if len(np.unique(values)) < 2:
        raise checks.ArgumentError(f"formula: {name!r} has one value only, so nothing tells what depends on it.")
    return values


def _product(ds: xr.Dataset, name: str, like: xr.DataArray) -> np.ndarray:
    return np.prod([_logarithm(ds, part.strip(), like) for part in name.split(":")], axis=0)


def _logarithm(ds: xr.Dataset, name: str, like: xr.DataArray) -> np.ndarray:
    values = per_run(ds, name, like)
    if values.dtype.kind not in "fiu":
        raise checks.ArgumentError(f"formula: {name!r} is no number; write C({name}) for one factor for each value.")
    if not np.all(values > 0):
        raise checks.ArgumentError(
            f"formula: {name!r} has the value {values.min():g}, and a power needs values above 0; "
            "select the others first."
        )
    return np.log(values.astype(float))


def _levels(ds: xr.Dataset, name: str, like: xr.DataArray) -> list[tuple[str, np.ndarray]]:
    values = per_run(ds, name, like)
    return [(f"{name}[{level}]", (values == level).astype(float)) for level in np.unique(values)[1:]]
