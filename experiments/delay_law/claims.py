"""The delay law: exponents in learning rate, weight decay, data and width, with censored runs and their intervals."""

import matplotlib.figure
import numpy as np

from grokdyn.analysis import event_times, scaling
from grokdyn.analysis.checks import ArgumentError
from grokdyn.analysis.claims import Claim, Student
from grokdyn.analysis.lifetimes.laws import LAWS
from grokdyn.analysis.lifetimes.regression import fit as fit_times
from grokdyn.plot import style

AXES = ("learning_rate", "weight_decay", "train_fraction", "width")
NORM, CRITICAL, POWERS = "norm separation (2603.13331)", "critical decay (2605.20441)", "FoGen (openreview Qh29Wjs8oo)"
# By axis: who gives which exponent.
PUBLISHED = {
    "learning_rate": {NORM: -1.0, POWERS: -0.50},
    "weight_decay": {NORM: -1.0, CRITICAL: -0.757, POWERS: -0.64},
    "train_fraction": {POWERS: -2.04},
    "width": {POWERS: -0.27},
}
MARKERS = {NORM: "D", CRITICAL: "s", POWERS: "v"}
NEAR, BREAK = 0.05, 0.1
RESAMPLES = 100
FORMS = {"A": "offset", "B": "power", "C": "critical decay"}
# Offsets r of T = c (r + 1 / decay), and critical decays over the least decay run, that are tried.
OFFSETS, CRITICALS = np.concatenate([[0], np.geomspace(0.05, 20, 60)]), np.linspace(0, 0.98, 50)


def with_width(ds):
    """Return results with the width of the hidden layer as a number on the axis of structures."""
    axis = "hidden" if "hidden" in ds.dims else "d_mlp"
    return ds.assign(width=(axis, [int(str(value).split("-")[0]) for value in ds[axis].values]))


def law(ds, names=AXES):
    """Return the fit of the law, runs resampled one by one; None where too few runs generalised for one."""
    try:
        return scaling(with_width(ds), "delay ~ " + " + ".join(names), over="run", resamples=RESAMPLES)
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


def forms(ds):
    """Return AIC and further numbers of three laws of the decay, each with powers of the other three axes.

    A: T = c (r + 1 / decay), an offset and 1 / decay. B: c decay^-a. C: c (decay - critical)^-nu. By the likelihood of
    log-normal times known to an interval, r and the critical decay on a grid; of C with the interval of the critical
    decay that a loss of 1.92 in log-likelihood gives. None where no run generalised.
    """
    ds = with_width(ds)
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
    for name in sorted(results):
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
        drawn = matplotlib.figure.Figure(figsize=(7.2, 5.6), layout="constrained")
        axes = drawn.subplot_mosaic([["fit", "powers"], ["local", "slopes"]])
        for letter, ax in zip("abcd", axes.values(), strict=True):
            style.letter(ax, letter)
        draw_fit(axes["fit"], results["mlp"])
        draw_exponents(axes["powers"], results["mlp"])
        draw_local(axes["local"], results["mlp"])
        draw_decay(axes["slopes"], results["mlp"])
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
    """Draw exponents with their intervals, of all runs and of the halves of each axis, beside published ones.

    That of the data is far from the others and is written instead.
    """
    whole, drawn = law(ds), [name for name in AXES if name != "train_fraction"]
    for i, term in enumerate(drawn):
        for k, one in enumerate((exponent(whole, term), *halves(ds, term))):
            if one is not None:
                low, high = one.interval(0.95)
                bar = [[one.value - low], [high - one.value]]
                look = {"fmt": "o", "ms": 3, "lw": 0.9, "color": style.CYCLE[(6, 0, 1)[k]]}
                label = ("all runs", "lower half", "upper half")[k] if i == 0 else None
                ax.errorbar([one.value], [i + 0.18 * k], xerr=bar, label=label, **look)
        for (source, marker), color in zip(MARKERS.items(), ("#444444", "#777777", "#777777"), strict=True):
            if source in PUBLISHED[term]:
                label = source.split(" (")[0] if term == "weight_decay" else None
                ax.plot(PUBLISHED[term][source], i - 0.18, marker, ms=4, mfc="none", mew=0.8, color=color, label=label)
    ax.set_yticks(range(len(drawn)), [told(term) for term in drawn])
    ax.set_ylim(len(drawn) - 0.4, -0.5)
    ax.set(xlabel="exponent of the delay", title="95 % intervals; open marks: published")
    ax.legend(loc="lower left", fontsize=6)
    data = exponent(whole, "train_fraction")
    if data is not None:
        low, high = data.interval(0.95)
        ends = f"data: {data.value:.2f} ({low:.2f} to {high:.2f}); published {PUBLISHED['train_fraction'][POWERS]:g}"
        ax.text(0.98, 0.02, ends, transform=ax.transAxes, ha="right", fontsize=6)


def draw_local(ax, ds):
    """Draw the exponents of the rate and of the decay at every train fraction by itself."""
    names = [name for name in AXES if name != "train_fraction"]
    for color, term in zip(style.CYCLE, names, strict=False):
        found = {}
        for share in ds.train_fraction.values:
            one = law(ds.sel(train_fraction=share), names)
            if one is not None:
                found[float(share)] = exponent(one, term)
        if not found:
            continue
        values = np.array([[e.interval(0.95)[0], e.value, e.interval(0.95)[1]] for e in found.values()]).T
        look = {"fmt": "o-", "ms": 3, "lw": 0.9, "color": color, "label": told(term)}
        ax.errorbar(list(found), values[1], yerr=[values[1] - values[0], values[2] - values[1]], **look)
    for value in (-1, -0.5):
        ax.axhline(value, color=style.INK, lw=0.4, ls=":")
    ax.set(xlabel="train fraction", ylabel="exponent of the delay", title="at each train fraction by itself")
    ax.legend()


def draw_decay(ax, ds):
    """Draw delays against the decay, by train fraction at the middle rate and width; censored ones as triangles."""
    found = event_times(ds, "delay")
    middle = found.isel({dim: found.sizes[dim] // 2 for dim in ("learning_rate", "hidden")})
    last = float(ds.step[-1])
    for color, share in zip(style.CYCLE, ds.train_fraction.values, strict=False):
        one = middle.sel(train_fraction=share)
        times = ((one.low + one.high) / 2).transpose("weight_decay", "seed").values
        times[times <= 0] = 1.0
        for seed in range(times.shape[1]):
            t = times[:, seed]
            seen = np.isfinite(t)
            label = f"{float(share):g}" if seed == 0 else None
            ax.plot(ds.weight_decay[seen], t[seen], ".-", ms=4, lw=0.7, color=color, label=label)
            ax.plot(ds.weight_decay[~seen], np.full((~seen).sum(), last), "^", ms=4, mfc="none", color=color)
    ax.set(xscale="log", yscale="log", xlabel="weight decay", ylabel="delay", title="at the middle rate and width")
    ax.set_xticks(ds.weight_decay.values, [f"{value:g}" for value in ds.weight_decay.values])
    ax.set_xticks([], minor=True)
    ax.legend(title="train fraction")
    found = forms(ds)
    if found is not None:
        least = min(form["aic"] for form in found.values())
        words = ", ".join(f"{FORMS[name]} {form['aic'] - least:.0f}" for name, form in found.items())
        ax.text(0.02, 0.02, f"AIC above the best form's: {words}", transform=ax.transAxes, fontsize=6)
