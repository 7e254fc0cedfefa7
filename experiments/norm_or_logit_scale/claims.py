"""Norm or logit scale: which sets the time to generalise, by networks held at a norm, a temperature, a logit scale."""

import matplotlib.figure
import numpy as np

import grokdyn as gd
from grokdyn.analysis import final, first_step, scaling
from grokdyn.analysis.checks import ArgumentError
from grokdyn.analysis.claims import Claim, Student, exponent
from grokdyn.plot import style

SOURCE = "2606.18465, p = 59 and 97, MLP"
GENERALISES = 0.9
RESAMPLES = 2000


def since_fork(ds):
    """Return results with steps counted from the fork."""
    at = gd.Sweep.from_toml(ds.attrs["spec"]).base.optimizer.at
    after = ds.sel(step=slice(at, None))
    return after.assign_coords(step=after.step - at)


def log_times(ds):
    """Return log of the steps from the fork to generalisation, the middle of its interval; inf where it never came."""
    found = first_step(since_fork(ds), "test_accuracy", GENERALISES)
    return np.log((found.low + found.high) / 2).where(np.isfinite(found.high), np.inf)


def effective(ds):
    """Return the root mean square of a run's centred logits at its last record, over the temperature."""
    return final(ds).logit_spread / ds.temperature


def draws(ds, resamples=RESAMPLES):
    """Return places of seeds: all of them, then drawn with replacement [1 + resamples, seeds]."""
    n = ds.sizes["seed"]
    return np.concatenate([[np.arange(n)], np.random.default_rng(0).integers(n, size=(resamples, n))])


def medians(values, places):
    """Return medians over the seeds of every draw [draw, ...cells]."""
    array = values.transpose("seed", ...).values
    return np.stack([np.median(array[place], axis=0) for place in places])


def finite(values):
    """Return values, those of a median that is censored as nan."""
    return np.where(np.isfinite(values), values, np.nan)


def interval(values):
    """Return the 2.5 % quantile of the draws, the value of all seeds, and the 97.5 % quantile."""
    known = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (np.nan, np.nan)
    return low, values[0], high


def explained(ds):
    """Return R^2 of the cells' median log times, per draw, by what explains them."""
    places = draws(ds)
    time = medians(log_times(ds), places).reshape(len(places), -1)
    scale = medians(np.log(effective(ds)), places).reshape(len(places), -1)
    like = log_times(ds).isel(seed=0)
    norm, temperature = (np.log(ds[name]).broadcast_like(like).transpose(*like.dims).values.ravel() for name in AXES)
    found = {}
    for name, columns in {
        "logit scale": lambda i: [scale[i]],
        "norm": lambda i: [norm],
        "temperature": lambda i: [temperature],
        "norm, logit scale": lambda i: [norm, scale[i]],
        "norm, temperature": lambda i: [norm, temperature],
    }.items():
        found[name] = np.array([r_squared(time[i], columns(i)) for i in range(len(places))])
    return found


AXES = ("factor", "temperature")


def r_squared(y, columns):
    """Return 1 - the squared residuals of least squares over those of the mean; of the cells whose median is known."""
    known = np.isfinite(y)
    if known.sum() <= len(columns) + 1:
        return np.nan
    X = np.column_stack([np.ones(known.sum()), *(c[known] for c in columns)])
    rest = y[known] - X @ np.linalg.lstsq(X, y[known], rcond=None)[0]
    return 1 - np.sum(rest**2) / np.sum((y[known] - y[known].mean()) ** 2)


def norm_effect(ds, **at):
    """Return log T at the largest norm less that at factor 1, per draw, in the cell of some other axis."""
    one = log_times(ds).sel(**at, method="nearest")
    both = finite(medians(one.sel(factor=[1.0, float(ds.factor.max())], method="nearest"), draws(ds)))
    return both[:, 1] - both[:, 0]


def recovered(results):
    """Return the share of the norm's effect that a held logit scale takes away, per draw."""
    up = norm_effect(results["clamp"], temperature=1.0)
    return 1 - norm_effect(results["held_scale"], scale=3.0) / up


def recovered_by(ds, temperature):
    """Return (log T_up - log T_tau) / (log T_up - log T_base), per draw."""
    times, places = log_times(ds), draws(ds)
    top = float(ds.factor.max())
    base, up, undone = (
        finite(medians(times.sel(factor=f, temperature=t, method="nearest"), places))
        for f, t in ((1.0, 1.0), (top, 1.0), (top, temperature))
    )
    return (up - undone) / (up - base)


def renamed(ds):
    """Return results with the axis ``scale``, which is also the name of a law's spread, under another name."""
    axes = ds.attrs["axes"].replace("scale", "logit_scale")
    return ds.rename(scale="logit_scale").assign_attrs(axes=axes)


def powers(ds, *names):
    """Return the law of the time since the fork in some axes; None where too few runs generalise for one."""
    try:
        return scaling(since_fork(ds), f"test_accuracy >= {GENERALISES} ~ " + " + ".join(names))
    except ArgumentError:
        return None


def exponent_of(fit, name):
    return None if fit is None else exponent(fit, name)


def claims(results):
    r2 = explained(results["clamp"])
    held = powers(renamed(results["held_scale"]), "factor", "logit_scale")
    norm = powers(results["clamp"].sel(temperature=1.0, method="nearest"), "factor")
    seeds = results["clamp"].sizes["seed"]
    more = drawn(r2["logit scale"] - r2["norm"], seeds, "R² of the logit scale less that of the norm")
    return [
        Claim(
            "the logit scale explains more of log T than the norm", SOURCE, ".97 against .41", more, (0.1, 1), (0, 1)
        ),
        Claim(
            "a held logit scale takes away most of what the norm adds to log T",
            SOURCE,
            "a share of .83 to .89, by a temperature",
            drawn(recovered(results), seeds, "share taken away"),
            (0.7, 1.1),
            (0.5, 1.3),
        ),
        *(by_temperature(results["clamp"], temperature, seeds) for temperature in (1.2, 1.4)),
        Claim(
            "at one temperature T rises with a power of the norm of at least 3",
            "2606.13753",
            "a power of 7.64 [7.47, 7.81] with GELU and decay 1",
            exponent_of(norm, "factor"),
            (3, np.inf),
        ),
        Claim(
            "at one logit scale the power of the norm is below 1",
            SOURCE,
            "nearly none",
            exponent_of(held, "factor"),
            (-1, 1),
        ),
        Claim(
            "at one norm T rises with the logit scale",
            SOURCE,
            "it does",
            exponent_of(held, "logit_scale"),
            (0.5, np.inf),
        ),
        Claim(
            "control: under squared error T rises with the norm though the logits' scale hardly moves",
            SOURCE,
            "1.9 times from factor 1 to 1.15",
            exponent_of(powers(results["mse"], "factor"), "factor"),
            (1, np.inf),
            (0, np.inf),
        ),
    ]


def by_temperature(ds, temperature, seeds):
    share = drawn(recovered_by(ds, temperature), seeds, "share taken away")
    text = f"a temperature of {temperature:g} takes away most of what the norm adds to log T"
    return Claim(text, SOURCE, "a share of .83 to .89 at the temperature they choose", share, (0.7, 1.5), (0.5, 2))


def drawn(values, seeds, what):
    """Return a number with the spread of its draws over seeds as its error; None where it has none."""
    if not np.isfinite(values[0]) or np.isfinite(values[1:]).mean() < 0.9:
        return None
    return Student(float(values[0]), float(np.nanstd(values[1:], ddof=1)), seeds - 1, seeds, what)


def figure(results):
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 4.4), layout="constrained")
        axes = drawn.subplot_mosaic([["norm", "scale", "held"], ["mse", "r2", "share"]])
        for letter, ax in zip("abcdef", axes.values(), strict=False):
            style.letter(ax, letter)
        draw_clamp(axes["norm"], axes["scale"], results["clamp"])
        draw_lines(axes["held"], results["held_scale"], "scale", "logit scale held")
        axes["held"].set_title("logit scale held")
        draw_lines(axes["mse"], results["mse"], None, "")
        axes["mse"].set_title("squared error")
        plain_ticks(*(axes[name] for name in ("norm", "scale", "held", "mse")))
        draw_r2(axes["r2"], results["clamp"])
        draw_shares(axes["share"], results)
    return drawn


def draw_clamp(left, right, ds):
    """Draw every cell's median T against the norm, and against the effective logit scale, by temperature."""
    time, scale = log_times(ds).median("seed"), effective(ds).median("seed")
    for color, tau in zip(style.CYCLE, ds.temperature.values, strict=False):
        t, s = time.sel(temperature=tau), scale.sel(temperature=tau)
        left.plot(ds.factor, np.exp(t.where(np.isfinite(t))), "o-", ms=3, lw=0.9, color=color, label=f"{tau:g}")
        right.plot(s, np.exp(t.where(np.isfinite(t))), "o", ms=3.5, color=color)
    left.legend(title="temperature")
    left.set(yscale="log", xlabel="norm held / free norm", ylabel="steps from the fork", title="cross-entropy")
    right.set(xscale="log", yscale="log", xlabel="effective logit scale", title="by logit scale")
    right.set_xticks([2, 3, 4, 5], ["2", "3", "4", "5"])
    right.minorticks_off()


def draw_lines(ax, ds, axis, title):
    """Draw median T against the norm, a line for each value of an axis; cells whose median is censored as triangles."""
    time = log_times(ds).median("seed")
    last = float(since_fork(ds).step[-1])
    for color, value in zip(style.CYCLE, ds[axis].values if axis else [None], strict=False):
        t = time if axis is None else time.sel({axis: value})
        seen = np.isfinite(t)
        ax.plot(
            ds.factor,
            np.exp(t.where(seen)),
            "o-",
            ms=3,
            lw=0.9,
            color=color,
            label=None if axis is None else f"{value:g}",
        )
        ax.plot(ds.factor[~seen], np.full(int((~seen).sum()), last), "^", ms=4, mfc="none", color=color)
    if axis:
        ax.legend(
            title=title, loc="lower right", bbox_to_anchor=(1, 0.12), ncols=3, columnspacing=0.8, handlelength=0.8
        )
    ax.set(yscale="log", xlabel="norm held / free norm", ylabel="steps from the fork")


def plain_ticks(*axes):
    """Write the steps of logarithmic axes as numbers."""
    for ax in axes:
        low, high = ax.get_ylim()
        ticks = [t for t in (30, 50, 100, 200, 500, 1000, 2000, 5000, 10000) if low <= t <= high]
        ax.set_yticks(ticks, [f"{t:,}" for t in ticks])
        ax.minorticks_off()


def draw_r2(ax, ds):
    found = explained(ds)
    for i, values in enumerate(found.values()):
        low, middle, high = interval(values)
        ax.errorbar([middle], [i], xerr=[[middle - low], [high - middle]], fmt="o", ms=3, lw=0.9, color=style.CYCLE[0])
    ax.set_yticks(range(len(found)), list(found))
    ax.invert_yaxis()
    ax.set(xlabel="R² over the 25 cells", xlim=(0, 1.02), title="R² of log T")


def draw_shares(ax, results):
    rows = {"scale held": recovered(results)}
    rows |= {f"temperature {t:g}": recovered_by(results["clamp"], t) for t in (1.2, 1.4)}
    for i, values in enumerate(rows.values()):
        low, middle, high = interval(values)
        ax.errorbar([middle], [i], xerr=[[middle - low], [high - middle]], fmt="o", ms=3, lw=0.9, color=style.CYCLE[0])
    ax.axvspan(0.82, 0.91, color="#DDDDDD", lw=0, label="published")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.legend(loc="upper left")
    ax.set(xlabel="share taken away", title="the norm's effect")
    ax.set_ylim(len(rows) - 0.5, -0.9)
