"""The delay law: exponents in learning rate, weight decay, data and width, with censored runs and their intervals."""

import matplotlib.figure
import numpy as np

from grokdyn.analysis import scaling
from grokdyn.analysis.claims import Claim
from grokdyn.plot import style

AXES = ("learning_rate", "weight_decay", "train_fraction", "width")
LAW = "delay ~ " + " + ".join(AXES)
# Where each exponent is said: norm separation (2603.13331), critical decay (2605.20441), the four powers of FoGen.
PUBLISHED = {
    "learning_rate": {"norm separation (2603.13331)": -1.0, "FoGen (Qh29Wjs8oo)": -0.50},
    "weight_decay": {
        "norm separation (2603.13331)": -1.0,
        "critical decay (2605.20441)": -0.757,
        "FoGen (Qh29Wjs8oo)": -0.64,
    },
    "train_fraction": {"FoGen (Qh29Wjs8oo)": -2.04},
    "width": {"FoGen (Qh29Wjs8oo)": -0.27},
}
NEAR = 0.05


def with_width(ds):
    """Return results with the width of the hidden layer as a number on the axis of structures."""
    axis = "hidden" if "hidden" in ds.dims else "d_mlp"
    return ds.assign(width=(axis, [int(str(value).split("-")[0]) for value in ds[axis].values]))


def law(ds, formula=LAW):
    return scaling(with_width(ds), formula)


def halves(ds, name):
    """Return the fits to the lower and to the upper half of an axis, the middle value in both."""
    axis = name if name in ds.dims else next(iter(with_width(ds)[name].dims))
    n = ds.sizes[axis]
    return [law(ds.isel({axis: part})) for part in (slice(0, (n + 1) // 2), slice(n // 2, n))]


def break_of(ds, name):
    """Return by how much the exponent of the upper half of an axis is above that of the lower: low, value, high."""
    low, high = (fit.sel(term=name) for fit in halves(ds, name))
    change = float(high.exponent - low.exponent)
    half = 1.96 * float(np.hypot(low.standard_error, high.standard_error))
    return change - half, change, change + half


def claims(results):
    found = []
    for name, fit in ((n, law(results[n])) for n in ("mlp",)):
        for term, sources in PUBLISHED.items():
            one = fit.sel(term=term)
            ends = [float(one[k]) for k in ("exponent_low", "exponent", "exponent_high")]
            for source, exponent in sources.items():
                text = f"{name}: the delay's exponent in {told(term)} is {exponent:g}, to {NEAR:g}"
                found.append(Claim(text, source, f"{exponent:g}", ends, exponent - NEAR, exponent + NEAR, "exponent"))
    return found


def told(term):
    return term.replace("_", " ")


def figure(results):
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 3.4), layout="constrained")
        left, right = drawn.subplots(1, 2, width_ratios=[1.15, 1])
        draw_fit(left, results["mlp"])
        draw_exponents(right, results["mlp"])
        for letter, ax in zip("ab", (left, right), strict=True):
            style.letter(ax, letter)
    return drawn


def draw_fit(ax, ds):
    """Draw every run's delay against that of the fitted law, censored runs as open triangles at their last step."""
    fit = law(ds)
    rates = fit.low.learning_rate.broadcast_like(fit.low).values.ravel()
    low, high, law_says = (fit[k].transpose(*fit.low.dims).values.ravel() for k in ("low", "high", "predicted"))
    code = fit.censoring.transpose(*fit.low.dims).values.ravel()
    seen = np.isfinite(high) & (high > 0)
    for color, rate in zip(style.CYCLE, np.unique(rates), strict=False):
        here = rates == rate
        middle = (low + high) / 2
        ax.plot(law_says[here & seen], middle[here & seen], ".", ms=2.5, color=color, label=f"{rate:g}")
        open_ = here & ~seen & (code > 0)
        ax.plot(law_says[open_], low[open_], "^", ms=3.5, mfc="none", mew=0.6, color=color)
    ends = np.array([law_says.min(), law_says.max()])
    ax.plot(ends, ends, color=style.INK, linewidth=0.6)
    ax.set(xscale="log", yscale="log", xlabel="delay by the fitted law, steps", ylabel="delay measured, steps")
    ax.legend(title="learning rate", loc="lower right", markerscale=2)
    ax.set_title("every run; open triangles: not by the last step")


def draw_exponents(ax, ds):
    """Draw the exponents with their intervals, of all runs and of the halves of each axis, beside published ones."""
    whole = law(ds)
    for i, term in enumerate(AXES):
        fits = [("all", whole), *zip(("lower half", "upper half"), halves(ds, term), strict=True)]
        for k, (label, fit) in enumerate(fits):
            one = fit.sel(term=term)
            value = float(one.exponent)
            bar = [[value - float(one.exponent_low)], [float(one.exponent_high) - value]]
            ax.errorbar(
                [value],
                [i + 0.22 * (k - 1)],
                xerr=bar,
                fmt="o",
                ms=3,
                lw=0.9,
                color=style.CYCLE[(6, 0, 1)[k]],
                label=label if i == 0 else None,
            )
        for exponent, marker in zip(sorted(set(PUBLISHED[term].values())), "sDv", strict=False):
            ax.plot([exponent], [i - 0.42], marker, ms=4, mfc="none", mew=0.8, color="#777777")
            ax.annotate(
                f"{exponent:g}", (exponent, i - 0.42), (0, 5), textcoords="offset points", fontsize=5.5, ha="center"
            )
    ax.set_yticks(range(len(AXES)), [told(term) for term in AXES])
    ax.invert_yaxis()
    ax.axvline(0, color=style.INK, linewidth=0.4)
    ax.set(xlabel="exponent of the delay", title="95 % intervals; open marks: published")
    ax.legend(loc="lower left")
