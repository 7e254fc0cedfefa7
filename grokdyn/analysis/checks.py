"""Checks of what users pass: every error names the argument, what came and what is allowed."""

import difflib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr


class ArgumentError(ValueError):
    """A mistake in the arguments of an analysis or a figure, told in one line."""


RUN_VARIABLES = ("status", "train_accuracy", "test_accuracy", "train_loss", "test_loss")


def listed(names: Iterable[Any]) -> str:
    """Write names as a sentence part: `a, b, c`, or `none`."""
    return ", ".join(str(name) for name in names) or "none"


def nearest(name: Any, known: Iterable[Any]) -> str:
    """Write ` Did you mean 'x'?` when a known name is close, else nothing."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def dataset(ds: Any) -> xr.Dataset:
    if not isinstance(ds, xr.Dataset):
        raise ArgumentError(f"ds: expected an xarray.Dataset, got {type(ds).__name__}.")
    return ds


def variable(ds: xr.Dataset, name: Any, argument: str = "variable", derived: tuple[str, ...] = ()) -> xr.DataArray:
    """Return a variable; `derived` are names that the caller can make itself, told in the error."""
    if name not in dataset(ds).data_vars:
        hint, also = nearest(name, (*ds.data_vars, *derived)), f"; or one of: {listed(derived)}" if derived else ""
        raise ArgumentError(
            f"{argument}={name!r}: no such variable.{hint} The Dataset has: {listed(ds.data_vars)}{also}."
        )
    return ds[name]


def recorded(ds: xr.Dataset, name: Any, argument: str = "variable") -> xr.DataArray:
    """Return a variable that has records, with its steps known to increase."""
    array = variable(ds, name, argument)
    if "step" not in array.dims:
        raise ArgumentError(f"{argument}={name!r}: has no dimension 'step', only: {listed(array.dims)}.")
    if "step" not in ds.coords or not np.all(np.diff(ds["step"].values) > 0):
        raise ArgumentError("ds: the coordinate 'step' must hold increasing step numbers.")
    if ds.sizes["step"] == 0:
        raise ArgumentError("ds: the dimension 'step' is empty; at least one record is needed.")
    return array


def dimension(ds: xr.Dataset, name: Any, argument: str, known: Iterable[Any] | None = None) -> str:
    known = tuple(dataset(ds).dims if known is None else known)
    if name not in known:
        raise ArgumentError(
            f"{argument}={name!r}: no such axis.{nearest(name, known)} The Dataset has: {listed(known)}."
        )
    return name


def choice(value: Any, allowed: Iterable[Any], argument: str) -> Any:
    allowed = tuple(allowed)
    if value not in allowed:
        raise ArgumentError(f"{argument}={value!r}: expected one of {listed(allowed)}.{nearest(value, allowed)}")
    return value


def number(value: Any, argument: str) -> float:
    if isinstance(value, str | bool) or not np.isscalar(value) or not math.isfinite(value):  # type: ignore[arg-type]
        raise ArgumentError(f"{argument}={value!r}: expected one finite number.")
    return float(value)  # type: ignore[arg-type]


def fraction(value: Any, argument: str) -> float:
    """Accept a fraction of the examples in (0, 1]: percentages are the usual mistake."""
    if not 0 < number(value, argument) <= 1:
        raise ArgumentError(
            f"{argument}={value!r}: expected a fraction in (0, 1]; accuracies are fractions, 0.9 not 90."
        )
    return float(value)


def probabilities(values: Any, argument: str = "quantiles") -> tuple[float, ...]:
    values = (values,) if np.isscalar(values) else tuple(values)
    if not values or any(not 0 <= number(q, argument) <= 1 for q in values):
        raise ArgumentError(f"{argument}={values!r}: expected numbers in [0, 1], e.g. (0.1, 0.9).")
    return tuple(float(q) for q in values)


def swept_axes(ds: xr.Dataset) -> tuple[str, ...]:
    """Return the axes that enumerate runs: `ds.attrs["axes"]`, else the dims of a per-run variable but `step`.

    The attribute holds their names with blanks between them, or is a list, as earlier versions wrote it.
    """
    named = ds.attrs.get("axes")
    if named is None:
        named = next((ds[v].dims for v in RUN_VARIABLES if v in ds.data_vars), tuple(ds.dims))
    if isinstance(named, str):
        named = (named,) if named in ds.dims else named.split()
    return tuple(str(axis) for axis in named if axis in ds.dims and axis != "step")
