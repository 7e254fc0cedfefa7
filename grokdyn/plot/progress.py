"""Progress measures over the steps, with the three phases marked."""

import itertools
from collections.abc import Sequence

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from grokdyn.analysis import checks
from grokdyn.analysis.progress import progress_phases

from . import layout, panel, style
from .brushes import Brush, band_handle, held
from .fourier import SIDES

LOSSES = ("train_loss", "test_loss", "restricted_loss", "excluded_loss")
COLORS = dict(zip(LOSSES, (style.CYCLE[0], style.CYCLE[1], style.CYCLE[2], style.CYCLE[3]), strict=True))
PHASES = ("memorisation", "circuit formation", "cleanup")
SHADES = ("#EBEBEB", "#D6E6F2", "#FAE3C4")


def progress(
    ds: xr.Dataset,
    *,
    over: str = "seed",
    xscale: str = "linear",
    generalised: float = 0.1,
    ax: Axes | None = None,
) -> matplotlib.figure.Figure:
    """Draw train, test, restricted and excluded loss, and the phases of Nanda et al. (2023).

    Needs the probes `loss` and `progress_measures`. Where they are recorded, the Gini coefficients of the embeddings
    (`fourier_power`) and the weight norm follow below. Lines are medians over the runs along `over` with the band of
    the 10 % and 90 % quantiles; shading is where most runs are in which phase, as in `analysis.progress_phases`, with
    `generalised`.

    `ax` of a figure's subplots gives its place to the panels; the Figure returned is then that of `ax`.

    Raises ValueError where a variable is missing or other axes with several values are left.
    """
    arrays = [checks.recorded(ds, name, "ds") for name in LOSSES]
    extra = layout.facet_axes(ds, arrays, ("step", over))
    if extra:
        raise checks.ArgumentError(f"ds: varies along {checks.listed(extra)} too; select first.")
    checks.choice(xscale, ("log", "linear"), "xscale")
    below = [name for name in ("fourier_gini", "weight_norm") if name in ds.data_vars]
    steps = ds["step"].values
    with style.context():
        figure = style.room(ax, 5.2, 2.9 + 1.1 * len(below))
        axes = figure.subplots(1 + len(below), 1, sharex=True, squeeze=False, height_ratios=(2, *[1] * len(below)))[
            :, 0
        ]
        borders = median_borders(ds, over, generalised)
        for one in axes:
            shade(one, borders, steps)
        panel.draw(
            axes[0],
            {},
            [Brush(ds[name], held(ds, ds[name]), {}, COLORS[name], "-") for name in LOSSES],
            over,
            (0.1, 0.9),
        )
        axes[0].set_ylabel("loss")
        for one, name in zip(axes[1:], below, strict=True):
            draw_below(one, ds, name, over)
        for one, name in zip(axes, (LOSSES[0], *below), strict=True):
            panel.set_axes(one, steps, (name,), xscale, panel.default_yscale((name,)))
        axes[-1].set_xlabel(panel.step_label(steps, xscale))
        handles = entries(ds, arrays, over, bool(borders))
        figure.legend(handles=handles, loc="outside upper center", ncols=-(-len(handles) // 2))
    return style.whole(figure)


def entries(ds: xr.Dataset, arrays: Sequence[xr.DataArray], over: str, shaded: bool) -> list[Artist]:
    """Explain the losses, the shades where there are any, and the band, in two rows of a legend."""
    lines: list[Artist] = [Line2D([], [], color=COLORS[name], label=style.name_of(ds[name])) for name in LOSSES]
    shades: list[Artist] = [Patch(facecolor=c, label=name) for c, name in zip(SHADES, PHASES, strict=True)]
    rest = [*(shades if shaded else ()), *band_handle(ds, arrays, over, (0.1, 0.9))]
    # A legend fills its columns from above.
    return [handle for pair in itertools.zip_longest(lines, rest) for handle in pair if handle is not None]


def draw_below(ax: Axes, ds: xr.Dataset, name: str, over: str) -> None:
    """Draw a further variable, one line a side where it has sides."""
    array = ds[name]
    sides = array["side"].values.tolist() if "side" in array.dims else [None]
    for i, side in enumerate(sides):
        one = array if side is None else array.sel(side=side)
        panel.draw(
            ax,
            {},
            [Brush(one, held(ds, one), {}, style.CYCLE[-1] if side is None else style.CYCLE[i], "-")],
            over,
            (0.1, 0.9),
        )
        if side is not None:
            ax.plot([], [], color=style.CYCLE[i], label=SIDES.get(side, style.plain(side)))
    ax.set_ylabel("Gini coefficient" if name == "fourier_gini" else style.name_of(array))
    if sides != [None]:
        ax.legend(loc="best", ncols=len(sides))


def median_borders(ds: xr.Dataset, over: str, generalised: float) -> list[float]:
    """Return where the phases meet, medians over the runs that generalise: three steps, or none."""
    found = progress_phases(ds, generalised)
    values = [found[name].values.ravel() for name in found.data_vars]
    return [float(np.nanmedian(v)) for v in values] if np.any(np.isfinite(values[0])) else []


def spans(borders: list[float], steps: np.ndarray) -> list[tuple[float, float]]:
    return list(zip([float(steps[0]), *borders[:2]], borders, strict=True)) if borders else []


def shade(ax: Axes, borders: list[float], steps: np.ndarray) -> None:
    for (low, high), color in zip(spans(borders, steps), SHADES, strict=False):
        ax.axvspan(low, high, color=color, linewidth=0, zorder=0)
