"""Two sweeps beside each other: their curves in one panel, or their diagrams and the difference."""

from collections.abc import Sequence

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from grokdyn.analysis import checks

from . import mesh, style
from .diagram import diagram_axes
from .facets import curves
from .grid import ordered_axes, value_cells

WHICH = "results"


def compare(
    first: xr.Dataset,
    second: xr.Dataset,
    variables: str | Sequence[str] | None = None,
    *,
    names: tuple[str, str] = ("first", "second"),
    value: str | None = None,
    x: str | None = None,
    y: str | None = None,
    threshold: float = 0.9,
    ax: Axes | None = None,
    **look,
) -> matplotlib.figure.Figure:
    """Draw two sweeps over the same axes, e.g. with two optimizers or of two versions of the code.

    Without `value` their curves: the sweeps in colour, `variables` in line styles, a panel for every value of the axes
    that both have, as `curves` draws them (`look` goes there). With `value` their diagrams over x and y, as
    `phase_diagram` draws them (times with `threshold`), and second minus first. `names` are those of the sweeps. Only
    values of the axes that both sweeps have are drawn; steps
    need not be the same.

    Returns the Figure, that of `ax` where one is given: of curves it must need one panel only, to diagrams it gives its
    place. Raises ValueError where the sweeps have different axes or no values in common, and as those two.
    """
    for argument, ds in (("first", first), ("second", second)):
        if not isinstance(ds, xr.Dataset):
            raise checks.ArgumentError(f"{argument}: expected an xarray.Dataset, got {type(ds).__name__}.")
    first, second = shared(first, second)
    if value is not None:
        if variables is not None or look:
            raise checks.ArgumentError("value: draws diagrams; variables and what curves take are of no use then.")
        return diagrams(first, second, names, value, x, y, threshold, ax)
    both = xr.concat([first, second], xr.IndexVariable(WHICH, list(names)), join="outer", combine_attrs="override")
    axes = " ".join(checks.swept_axes(first))
    return curves(both.assign_attrs(axes=f"{WHICH} {axes}"), variables, hue=WHICH, ax=ax, **look)


def shared(first: xr.Dataset, second: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Return both sweeps at the values of the axes that both have, with the variables that both have."""
    axes = checks.swept_axes(first)
    if set(axes) != set(checks.swept_axes(second)):
        told = f"{checks.listed(axes)} and {checks.listed(checks.swept_axes(second))}"
        raise checks.ArgumentError(f"second: the sweeps have different axes, {told}; select first.")
    for axis in axes:
        if axis in first.coords and axis in second.coords:
            common = [value for value in first[axis].values.tolist() if value in second[axis].values.tolist()]
            if not common:
                raise checks.ArgumentError(f"second: has none of the values of {axis} that first has.")
            first, second = first.sel({axis: common}), second.sel({axis: common})
    names = [name for name, array in first.data_vars.items() if name in second and array.dtype.kind in "fiub"]
    return first[names], second[names]


def diagrams(
    first: xr.Dataset,
    second: xr.Dataset,
    names: tuple[str, str],
    value: str,
    x: str | None,
    y: str | None,
    threshold: float,
    ax: Axes | None,
) -> matplotlib.figure.Figure:
    """Draw a quantity of both over (y, x), and the difference."""
    x, y = diagram_axes(first, x, y)
    cells = [value_cells(ordered_axes(ds, x, y), x, y, value, None, threshold) for ds in (first, second)]
    difference = (cells[1] - cells[0]).assign_attrs(cells[0].attrs)
    with style.context():
        figure = style.room(ax, 7.2, 2.5)
        panels = figure.subplots(1, 3)
        for one, field, title in zip(panels, (*cells, difference), (*names, f"{names[1]} − {names[0]}"), strict=True):
            change = field is difference
            attrs = {"limits": None} if change else {}
            mesh.draw_values(one, field.assign_attrs(attrs), outer=one is panels[0], brief=True)
            if change:
                reach = float(np.nanmax(np.abs(field.values))) if bool(field.notnull().any()) else 1.0
                one.collections[0].set(cmap="RdBu_r", norm=mesh.Normalize(-(reach or 1.0), reach or 1.0))
            one.set_title(style.plain(title))
        entries = mesh.hatch_entries({"": difference})
        figure.suptitle(cells[0].attrs["label"], fontsize=8)
        if entries:
            figure.legend(entries.values(), entries, loc="outside lower center")
    return style.whole(figure)
