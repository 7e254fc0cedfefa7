"""The circles on which an embedding lays the residues."""

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from . import single, style
from .fourier import SIDES


def circles(ds: xr.Dataset, step: int | None = None, *, ax: Axes | None = None) -> matplotlib.figure.Figure:
    """Draw the residues in the planes of their strongest frequencies, as recorded by the probe `circles`, of one run.

    At `step`, by default the last record: one row a side, one panel a frequency k, its share of the side's power in
    the title. Residues that lie 1/k apart (mod p), hence next to each other on the circle, are joined; colour is the
    residue.

    `ax` of a figure's subplots gives its place to the panels; the Figure returned is then that of `ax`.

    Raises ValueError where the probe is missing or several runs are left.
    """
    names = ("circle", "circle_frequency", "circle_share")
    last = single.at_step(single.one_run(ds, names, "circles"), step)
    sides, planes = last["side"].values.tolist(), last.sizes["plane"]
    with style.context():
        figure = style.room(ax, 0.7 + 1.5 * planes, 0.1 + 1.62 * len(sides))
        axes = figure.subplots(len(sides), planes, squeeze=False)
        drawn = []
        for row, side in zip(axes, sides, strict=True):
            for plane, ax in enumerate(row):
                drawn.append(draw_circle(ax, last.sel(side=side).isel(plane=plane)))
            row[0].set_ylabel(SIDES.get(side, style.plain(side)))
        bar = figure.colorbar(drawn[0], ax=axes, pad=0.02, aspect=40, shrink=0.8)
        bar.set_label("residue")
        bar.outline.set_linewidth(0.5)  # type: ignore[operator]
    return style.whole(figure)


def draw_circle(ax, one: xr.Dataset):
    """Draw the residues in one plane."""
    points = one["circle"].transpose("residue", "component").values
    p, k = len(points), float(one["circle_frequency"])
    # Along the circle: 0, 1/k, 2/k, ... mod p; where k has no inverse it is several rounds of fewer points. A plane
    # without power has no k, and all its points in one place.
    order = np.argsort(np.arange(p) * np.nan_to_num(k) % p, kind="stable")
    closed = points[np.append(order, order[0])]
    ax.plot(*closed.T, color="#BBBBBB", linewidth=0.6, zorder=1)
    drawn = ax.scatter(*points.T, c=np.arange(p), cmap="twilight", s=9, linewidths=0.3, edgecolors="#777777", zorder=2)
    reach = 1.15 * max(np.abs(points).max(), 1e-30)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    ax.set_title(f"k = {k:g} ({100 * float(one['circle_share']):.0f} %)", fontsize=7)
    return drawn
