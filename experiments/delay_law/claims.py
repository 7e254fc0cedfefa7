"""The delay law: exponents in learning rate, weight decay, data and width, with censored runs and their intervals."""

import matplotlib.figure
import numpy as np
import xarray as xr

from grokdyn.analysis import event_times, scaling
from grokdyn.analysis.checks import ArgumentError
from grokdyn.analysis.claims import Claim, Student
from grokdyn.analysis.lifetimes.laws import LAWS
from grokdyn.analysis.lifetimes.regression import fit as fit_times
from grokdyn.plot import style

AXES = ("learning_rate", "weight_decay", "train_fraction", "width")
LAW = "delay ~ " + " + ".join(AXES)
NORM, CRITICAL, POWERS = "norm separation (2603.13331)", "critical decay (2605.20441)", "FoGen (openreview Qh29Wjs8oo)"
# By axis: who gives which exponent.
PUBLISHED = {
    "learning_rate": {NORM: -1.0, POWERS: -0.50},
    "weight_decay": {NORM: -1.0, CRITICAL: -0.757, POWERS: -0.64},
    "train_fraction": {POWERS: -2.04},
    "width": {POWERS: -0.27},
}
NEAR, BREAK = 0.05, 0.1
RESAMPLES = 200
# Offsets r of T = c (r + 1 / decay), and critical decays over the least decay run, that are tried.
OFFSETS, CRITICALS = np.concatenate([[0], np.geomspace(0.05, 20, 60)]), np.linspace(0, 0.98, 50)


def with_width(ds):
    """Return results with the width of the hidden layer as a number on the axis of structures."""
    axis = "hidden" if "hidden" in ds.dims else "d_mlp"
    return ds.assign(width=(axis, [int(str(value).split("-")[0]) for value in ds[axis].values]))


def law(ds):
    """Return the fit of the law, runs resampled one by one; None where too few runs generalised for one."""
    try:
        return scaling(with_width(ds), LAW, over="run", resamples=RESAMPLES)
    except ArgumentError:
        return None


def exponent(fit, term):
    """Return an exponent, its error that of resampled runs, which also holds where the law is not quite the data's."""
    if fit is None:
        return None
    runs = int(fit.runs)
    row = fit.sel(term=term)
    error = float(np.nanstd(row["resample"], ddof=1))
    return Student(float(row.exponent), error, runs - fit.sizes["term"], runs, f"exponent of {told(term)}")


def halves(ds, term):
    """Return the exponents on the lower and on the upper half of an axis, the middle value in both."""
    axis = term if term in ds.dims else with_width(ds)["width"].dims[0]
    n = ds.sizes[axis]
    return [exponent(law(ds.isel({axis: part})), term) for part in (slice(0, (n + 1) // 2), slice(n // 2, n))]


def change(ds, term):
    """Return by how much the exponent of the upper half of an axis is above that of the lower."""
    low, high = halves(ds, term)
    if low is None or high is None:
        return None
    error = float(np.hypot(low.error, high.error))
    name = f"change of the exponent of {told(term)}"
    return Student(high.value - low.value, error, low.freedom, min(low.seeds, high.seeds), name)


def together(results):
    """Return the runs of the region and those below its least decay as one Dataset."""
    both = [results["low_decay"], results["mlp"]]
    return xr.concat(both, "weight_decay", combine_attrs="override", data_vars="all", join="outer")


def forms(results):
    """Return AIC and further numbers of three laws of the decay, each with powers of the other three axes.

    A: T = c (r + 1 / decay), an offset and 1 / decay. B: c decay^-a. C: c (decay - critical)^-nu. By the likelihood of
    log-normal times known to an interval, r and the critical decay on a grid; of C with the interval of the critical
    decay that a loss of 1.92 in log-likelihood gives. None where no run generalised.
    """
    ds = with_width(together(results))
    found = event_times(ds, "delay")
    if not np.isfinite(found.high).any():
        return None
    low, high = (found[name].values.ravel() for name in ("low", "high"))
    names = {name: ds[name].broadcast_like(found.low).transpose(*found.low.dims).values.ravel() for name in AXES}
    kept = high > 0
    low, high = np.log(np.maximum(low[kept], 1e-9)), np.log(high[kept])
    decay = names["weight_decay"][kept].astype(float)
    rest = [np.log(names[name][kept].astype(float)) for name in AXES if name != "weight_decay"]
    ones = np.ones(len(low))

    def level(offset, *columns):
        one = fit_times(LAWS["lognormal"], low - offset, high - offset, np.column_stack([ones, *rest, *columns]), ones)
        return one.log_likelihood, one.values

    a = [level(np.log(r + 1 / decay))[0] for r in OFFSETS]
    b, values = level(0.0, np.log(decay))
    criticals = CRITICALS * decay.min()
    c = [level(0.0, np.log(decay - critical)) for critical in criticals]
    best = int(np.argmax([one[0] for one in c]))
    inside = criticals[[one[0] > c[best][0] - 1.92 for one in c]]
    count = len(rest) + 2  # with the intercept and the spread
    return {
        "A": {"aic": 2 * (count + 1) - 2 * max(a), "offset": float(OFFSETS[int(np.argmax(a))])},
        "B": {"aic": 2 * (count + 1) - 2 * b, "power": float(values[4])},
        "C": {
            "aic": 2 * (count + 2) - 2 * c[best][0],
            "power": float(c[best][1][4]),
            "critical": float(criticals[best]),
            "interval": (float(inside[0]), float(inside[-1])),
        },
    }


def claims(results):
    found = []
    for name in sorted(set(results) - {"low_decay"}):
        fit = law(results[name])
        for term, sources in PUBLISHED.items():
            for source, value in sources.items():
                others = ", ".join(f"{v:g} {s}" for s, v in sources.items() if s != source)
                found.append(
                    Claim(
                        f"{KINDS[name]}: the delay's exponent in {told(term)} is {value:g}, to {NEAR:g}",
                        source,
                        f"{value:g}",
                        exponent(fit, term),
                        (value - NEAR, value + NEAR),
                        disputed=others,
                    )
                )
        for term in AXES:
            text = f"{KINDS[name]}: one power of {told(term)}, the same in both halves of its range to {BREAK:g}"
            region = (-BREAK, BREAK)
            found.append(Claim(text, "all laws but " + CRITICAL, "no change", change(results[name], term), region))
    return found


KINDS = {"mlp": "MLP", "transformer": "transformer"}


def told(term):
    return {"train_fraction": "data"}.get(term, term.replace("_", " "))


def figure(results):
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 3.5), layout="constrained")
        left, right = drawn.subplots(1, 2, width_ratios=[1.15, 1])
        draw_fit(left, results["mlp"])
        draw_exponents(right, results["mlp"])
        for letter, ax in zip("ab", (left, right), strict=True):
            style.letter(ax, letter)
    return drawn


def draw_fit(ax, ds):
    """Draw every run's delay against that of the fitted law, censored runs as open triangles at their last step."""
    fit = law(ds)
    ax.set(xscale="log", yscale="log", xlabel="delay by the fitted law, steps", ylabel="delay measured, steps")
    ax.set_title("every run; triangles: not by the last step")
    if fit is None:
        return
    dims = fit.low.dims
    rates = fit.low.learning_rate.broadcast_like(fit.low).transpose(*dims).values.ravel()
    low, high, predicted = (fit[name].transpose(*dims).values.ravel() for name in ("low", "high", "predicted"))
    seen = np.isfinite(high) & (high > 0)
    late = np.isinf(high)
    for color, rate in zip(style.CYCLE, np.unique(rates), strict=False):
        here = rates == rate
        middle = np.maximum(low + high, 1) / 2
        ax.plot(predicted[here & seen], middle[here & seen], ".", ms=2.5, color=color, label=f"{rate:g}")
        ax.plot(predicted[here & late], low[here & late], "^", ms=3.5, mfc="none", mew=0.6, color=color)
    ends = np.array([predicted.min(), predicted.max()])
    ax.plot(ends, ends, color=style.INK, linewidth=0.6)
    ax.legend(title="learning rate", loc="lower right", markerscale=2)


def draw_exponents(ax, ds):
    """Draw the exponents with their intervals, of all runs and of the halves of each axis, beside published ones."""
    whole = law(ds)
    for i, term in enumerate(AXES):
        rows = dict(
            zip(("all runs", "lower half", "upper half"), (exponent(whole, term), *halves(ds, term)), strict=True)
        )
        for k, (label, one) in enumerate(rows.items()):
            if one is None:
                continue
            low, high = one.interval(0.95)
            look = {"fmt": "o", "ms": 3, "lw": 0.9, "color": style.CYCLE[(6, 0, 1)[k]]}
            bar = [[one.value - low], [high - one.value]]
            ax.errorbar([one.value], [i + 0.2 * k], xerr=bar, label=label if i == 0 else None, **look)
        for value in sorted(set(PUBLISHED[term].values())):
            ax.plot([value], [i - 0.2], "D", ms=3, mfc="none", mew=0.7, color="#777777")
            where = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center"}
            ax.annotate(f"{value:g}", (value, i - 0.2), fontsize=5.5, color="#555555", **where)
    ax.set_yticks(range(len(AXES)), [told(term) for term in AXES])
    ax.set_ylim(len(AXES) - 0.4, -0.6)
    ax.axvline(0, color=style.INK, linewidth=0.4)
    ax.set(xlabel="exponent of the delay", title="95 % intervals; open diamonds: published")
    ax.legend(loc="lower left")
