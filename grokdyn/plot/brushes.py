"""Colour and line style for every variable and hue, and the legend that explains them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from grokdyn.analysis import checks

from . import style

MAX_HUES = 12


class Brush(NamedTuple):
    """How to draw one variable, at one value of the hue axis; ``held`` is what its median and band are of."""

    array: xr.DataArray
    held: xr.DataArray
    pick: dict[str, int]
    color: Any
    dashes: Any


def brushes_for(ds: xr.Dataset, arrays: Sequence[xr.DataArray], hue: str | None) -> list[Brush]:
    both = [(array, held(ds, array)) for array in arrays]
    if hue is None:
        return [Brush(*a, {}, c, "-") for a, c in zip(both, variable_colors(arrays), strict=True)]
    colors = hue_colors(ds, arrays, hue)
    dashes = _dashes(arrays)
    return [Brush(*a, {hue: i}, c, d) for i, c in enumerate(colors) for a, d in zip(both, dashes, strict=True)]


def held(ds: xr.Dataset, array: xr.DataArray) -> xr.DataArray:
    """Return an array in which a run that a stop rule ended keeps its last value.

    Such a run has arrived where it was going: the median of the others alone would jump when it ends.
    """
    if "stopped_at" not in ds or not bool((ds["stopped_at"] >= 0).any()):
        return array
    filled = xr.apply_ufunc(filled_up, array.compute(), input_core_dims=[["step"]], output_core_dims=[["step"]])
    return array.where(ds["stopped_at"] < 0, filled).transpose(*array.dims)


def filled_up(values: np.ndarray) -> np.ndarray:
    """Return values [..., steps] with nan replaced by the last number before it."""
    known = np.where(np.isnan(values), 0, np.arange(values.shape[-1]))
    return np.take_along_axis(values, np.maximum.accumulate(known, axis=-1), axis=-1)


def variable_colors(arrays: Sequence[xr.DataArray]) -> list[str]:
    """Give train and test their own colours where each comes once, else colours in order."""
    splits = [str(array.name).split("_")[0] for array in arrays]
    if len(set(splits)) == len(splits) and set(splits) <= set(style.SPLIT_COLORS):
        return [style.SPLIT_COLORS[split] for split in splits]
    return [style.CYCLE[i % len(style.CYCLE)] for i in range(len(arrays))]


def hue_colors(ds: xr.Dataset, arrays: Sequence[xr.DataArray], hue: str) -> list[Any]:
    """Order colours along viridis for numbers; give words colours without an order."""
    checks.dimension(ds, hue, "hue", {str(d): None for a in arrays for d in a.dims if d != "step"})
    n = ds.sizes[hue]
    if n > MAX_HUES:
        raise checks.ArgumentError(f"hue={hue!r}: has {n} values, at most {MAX_HUES} can be told apart; select first.")
    if ds[hue].dtype.kind not in "iuf" and n <= len(style.CYCLE):
        return list(style.CYCLE[:n])
    return list(mpl.colormaps["viridis"](np.linspace(0, 0.88, n)))


def _dashes(arrays: Sequence[xr.DataArray]) -> list[Any]:
    """Keep the solid line for the last variable, usually the test set's."""
    return [style.LINE_STYLES[i % len(style.LINE_STYLES)] for i in reversed(range(len(arrays)))]


def value_words(arrays: Sequence[xr.DataArray]) -> tuple[str, list[str]]:
    """Return the label of the value axis and the legend's names, without saying what is shared twice."""
    names = [style.name_of(array).split() for array in arrays]
    if len(arrays) == 1:
        return style.label_of(arrays[0]), [" ".join(names[0])]
    units = {str(array.attrs.get("units", "1")) for array in arrays}
    if len({name[-1] for name in names}) == 1 and len(units) == 1 and all(len(name) > 1 for name in names):
        shared = xr.DataArray(0, name=names[0][-1], attrs={"units": units.pop()})
        return style.label_of(shared), [" ".join(name[:-1]) for name in names]
    return "value", [style.label_of(array) for array in arrays]


def legend_handles(
    ds: xr.Dataset,
    arrays: Sequence[xr.DataArray],
    hue: str | None,
    over: str,
    quantiles: Sequence[float],
    counted: bool = True,
) -> list[Artist]:
    """Return what a legend shows; ``counted``: with the number of runs that a band is of."""
    return line_handles(ds, arrays, hue) + band_handle(ds, arrays, over, quantiles, counted)


def line_handles(ds: xr.Dataset, arrays: Sequence[xr.DataArray], hue: str | None) -> list[Artist]:
    """Return what a legend shows of colours and line styles."""
    names = value_words(arrays)[1]
    if hue is None:
        handles: list[Artist] = [
            Line2D([], [], color=c, label=n) for c, n in zip(variable_colors(arrays), names, strict=True)
        ]
    else:
        colors, dashes = hue_colors(ds, arrays, hue), _dashes(arrays)
        lines = zip(dashes, names, strict=True) if len(names) > 1 else ()
        handles = [Line2D([], [], color=style.INK, linestyle=d, label=n) for d, n in lines]
        handles.append(Line2D([], [], linestyle="", label=f"{style.label_of(ds[hue])}:"))
        values = map(style.number, ds[hue].values.tolist())
        handles += [Line2D([], [], color=c, label=v) for c, v in zip(colors, values, strict=True)]
    return handles


def band_handle(
    ds: xr.Dataset, arrays: Sequence[xr.DataArray], over: str, quantiles: Sequence[float], counted: bool = True
) -> list[Artist]:
    """Explain median, band and faint lines where there are several runs."""
    if not any(over in array.dims for array in arrays) or ds.sizes[over] < 2:
        return []
    low, high = (f"{100 * q:g}" for q in (min(quantiles), max(quantiles)))
    runs = f"{ds.sizes[over]} {over.replace('_', ' ')}s" if counted else f"{over.replace('_', ' ')}s"
    text = f"median, {low}–{high} % of {runs}"
    return [Patch(facecolor=style.INK, alpha=0.25, linewidth=0, label=text)]
