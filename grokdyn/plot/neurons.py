"""How neurons come to compute with one frequency each."""

import matplotlib.figure
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from . import single, style

BINS = np.linspace(0, 1, 26)


def neurons(
    ds: xr.Dataset, step: int | None = None, threshold: float = 0.85, *, ax: Axes | None = None
) -> matplotlib.figure.Figure:
    """Draw what the probe `neurons` has recorded of one run.

    a: over the steps, how many neurons have which share of their variance at one frequency; the line is the median.
    b: every neuron's frequency and share at `step`, by default the last record. c: number of neurons at each frequency
    then, in colour those with a share of at least `threshold`; Nanda et al. (2023) take .85. Square activations of pure
    cosines have .8.

    `ax` of a figure's subplots gives its place to the panels; the Figure returned is then that of `ax`.

    Raises ValueError where the probe is missing or several runs are left.
    """
    found = single.one_run(ds, ("neuron_share", "neuron_frequency", "neurons_at_frequency"), "neurons")
    last = single.at_step(found, step)
    ks = found["frequency"].values
    shares = found["neuron_share"].transpose("step", "neuron").values
    counts = np.stack([np.histogram(row, BINS)[0] for row in shares], axis=1) / shares.shape[1]
    with style.context():
        figure = style.room(ax, 7.2, 2.3)
        a, b, c = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
        steps = found["step"].values
        mapped = single.over_steps(a, steps, BINS, counts, cmap="Greys", vmin=0, vmax=max(counts[:, -1].max(), 0.1))
        a.plot(steps, np.median(shares, axis=1), color=style.CYCLE[1])
        a.set(ylabel="share of variance at one frequency", title="all neurons")
        bar = figure.colorbar(mapped, ax=a, pad=0.02, aspect=25)
        bar.set_label("share of neurons")
        bar.outline.set_linewidth(0.5)  # type: ignore[operator]
        frequency, share = last["neuron_frequency"].values, last["neuron_share"].values
        b.plot(frequency, share, "o", ms=2.2, mew=0, alpha=0.45, color=style.CYCLE[0])
        b.set(xlabel="frequency", ylabel="share of variance", ylim=(0, 1.03), title=f"step {int(last['step']):,}")
        well = np.array([np.sum((frequency == k) & (share >= threshold)) for k in ks])
        c.bar(ks, last["neurons_at_frequency"].values, width=0.8, color="#BBBBBB", label="all")
        c.bar(ks, well, width=0.8, color=style.CYCLE[1], label=f"share ≥ {threshold:g}")
        c.set(xlabel="frequency", ylabel="neurons")
        c.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=2)
        for one, name in zip((a, b, c), "abc", strict=True):
            style.letter(one, name)
        for one in (b, c):
            one.set_xlim(ks[0] - 1, ks[-1] + 1)
    return style.whole(figure)
