"""Where the power of a network's embeddings is: frequencies over the steps, and at the end."""

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from . import single, style

SIDES = {"a": "embedding of a", "b": "embedding of b", "ab": "embedding", "c": "readout"}
KEY, OTHER = style.CYCLE[1], "#777777"


def fourier(ds: xr.Dataset, step: int | None = None, *, ax: Axes | None = None) -> matplotlib.figure.Figure:
    """Draw the Fourier power of one run's embeddings and readout, as recorded by the probe `fourier_power`.

    One row a side. Left: share of the power above frequency 0 of every frequency, over the steps. Right: the same at
    `step`, by default the last record, with key frequencies in colour where the probe `key_frequencies` has recorded
    them; its Gini coefficient is that of `fourier_gini`.

    `ax` of a figure's subplots gives its place to the panels; the Figure returned is then that of `ax`.

    Raises ValueError where the probe is missing or several runs are left.
    """
    names = ["fourier_power", "fourier_gini", *(["key_frequency"] if "key_frequency" in ds else [])]
    found = single.one_run(ds, names, "fourier_power")
    power = found["fourier_power"].isel(frequency=slice(1, None))
    total = power.sum("frequency")
    share = (power / total.where(total > 0)).fillna(0)
    last = single.at_step(found.sel(frequency=power.frequency).assign(share=share), step)
    sides, ks = power["side"].values.tolist(), power["frequency"].values
    top = float(np.nanmax(share.values))
    edges = np.append(ks - 0.5, ks[-1] + 0.5)
    with style.context():
        figure = style.room(ax, 7.0, 0.9 + 1.3 * len(sides))
        axes = figure.subplots(len(sides), 2, squeeze=False, width_ratios=(1.2, 1), sharex="col")
        maps = []
        for (left, right), side in zip(axes, sides, strict=True):
            values = share.sel(side=side).transpose("frequency", "step").values
            maps.append(single.over_steps(left, power["step"].values, edges, values, cmap="Greys", vmin=0, vmax=top))
            left.set(ylabel="frequency", title=SIDES.get(side, style.plain(side)))
            one = last.sel(side=side)
            draw_bars(right, one, ks)
            right.set_title(f"step {int(last['step']):,}, Gini {float(one['fourier_gini']):.2f}")
            if side != sides[-1]:
                left.set_xlabel("")
        axes[-1][1].set_xlabel("frequency")
        bar = figure.colorbar(maps[0], ax=axes[:, 0], location="bottom", aspect=40, shrink=0.7, pad=0.02)
        bar.set_label("share of power")
        bar.outline.set_linewidth(0.5)  # type: ignore[operator]
        if "key_frequency" in last:
            handles = [Patch(color=c, label=words) for c, words in ((KEY, "key frequency"), (OTHER, "other"))]
            figure.legend(handles=handles, loc="lower right", bbox_to_anchor=(0.95, 0.03), ncols=2)
    return style.whole(figure)


def draw_bars(ax: Axes, last: xr.Dataset, ks: np.ndarray) -> None:
    """Draw the shares at one step, key frequencies in colour."""
    key = last["key_frequency"].values > 0 if "key_frequency" in last else np.zeros(len(ks), bool)
    ax.bar(ks, last["share"].values, width=0.8, color=np.where(key, KEY, OTHER))
    ax.set(ylabel="share of power", xlim=(ks[0] - 1, ks[-1] + 1), ylim=(0, None))
