"""Jacot et al. 2018: kernels of finite width, the function in training, and what width makes of both."""

import matplotlib.figure
import numpy as np
from scipy.optimize import curve_fit

import grokdyn as gd
from grokdyn.analysis.claims import Claim, MaximalError, Student, mean
from grokdyn.plot import style

JACOT, RATE = "Jacot et al. 2018", "central limit theorem over units"
OURS = "counting gates, here"
NAMES = {"relu": "ReLU", "erf": "erf"}
# Exponents of width: how far from the value still agrees.
NEAR, WIDER = 0.05, 0.1
# The record at which losses of finite width are compared, and from which width on.
AT, FROM = 32, 128


def widths(ds):
    return np.array([int(str(value).split("-")[0]) for value in ds.hidden.values])


def exponent(values, what):
    """Return the mean over seeds of slopes of log values [seed, width] on log width."""
    array, x = values.transpose("seed", "hidden"), np.log(widths(values))
    x = x - x.mean()
    return mean(np.log(array.values) @ x / (x @ x), f"exponent of {what} in width")


def last(ds, variable):
    return ds[variable].isel(step=-1)


def excess(ds):
    """Return by how much train losses are above those of the limit from the same start, at the step compared."""
    step = int(ds.step[np.argmin(abs(ds.step.values - AT))])
    return (ds.train_loss - ds.limit_train_loss).sel(step=step)


def excess_exponent(ds):
    """Return p of c width^p fitted to the mean excesses over seeds, weighted by their errors."""
    array = excess(ds).transpose("seed", "hidden").values
    wide = widths(ds) >= FROM
    wide = wide if wide.sum() > 2 else np.ones_like(wide)
    middle, error = array.mean(0)[wide], array.std(0, ddof=1)[wide] / len(array) ** 0.5
    x = np.log(widths(ds)[wide] / widths(ds)[wide][0])
    what = f"exponent in width of the mean excess at step {AT}"
    try:
        found, spread = curve_fit(
            lambda x, c, p: c * np.exp(p * x), x, middle, (middle[0], -0.7), error, absolute_sigma=True
        )
    except RuntimeError:
        return Student(np.nan, np.nan, 0, len(array), what)
    return Student(float(found[1]), float(spread[1, 1] ** 0.5), len(array) - 1, len(array), what)


def against_theory(ds):
    """Return limits' losses of all widths beside theory, and those of the widest networks beside their limits'."""
    told = gd.theory.of(gd.Sweep.from_toml(ds.attrs["spec"]), ds.step).sel(activation=str(ds.activation.values))
    told = told.isel(hidden=0)
    parts = [f"{part}_loss" for part in ("train", "test")]
    first = float(told.test_loss[0])
    runs = ds.stack(run=("seed", "hidden"))
    limits = np.concatenate([runs[f"limit_{name}"].transpose("run", "step").values for name in parts], axis=1)
    lines = np.concatenate([told[name].values for name in parts])
    wide = ds.isel(hidden=-1)
    apart = [(wide[name] - wide[f"limit_{name}"]).transpose("seed", "step").values for name in parts]
    apart = np.concatenate(apart, axis=1)
    return MaximalError(limits / first, lines / first), MaximalError(apart / first, np.zeros(apart.shape[1]))


def claims(results):
    deep, training = results["kernel"], results["training"]
    found = [
        Claim(
            "two hidden layers of ReLU: the kernel of step 0 nears its limit as width^-1/2",
            f"{JACOT}, theorem 1; {RATE}",
            "-1/2",
            exponent(deep.limit_kernel_error.isel(step=0), "|K - Theta| / |Theta|"),
            (-0.5 - NEAR, -0.5 + NEAR),
        )
    ]
    for kind, name in NAMES.items():
        ds = training.sel(activation=kind)
        limits, widest = against_theory(ds)
        moved = (-0.5, "gates that switch") if kind == "relu" else (-1.0, "smooth units")
        found += [
            Claim(
                f"{name}: the kernel of step 0 nears its limit as width^-1/2",
                f"{JACOT}, theorem 1; {RATE}",
                "-1/2",
                exponent(ds.limit_kernel_error.isel(step=0), "|K - Theta| / |Theta|"),
                (-0.5 - NEAR, -0.5 + NEAR),
            ),
            Claim(
                f"{name}: the function at the last step nears that of the limit kernel as width^-1/2",
                f"{JACOT}, theorem 2",
                "-1/2",
                exponent(last(ds, "limit_function_error"), "|f - f_Theta|"),
                (-0.5 - NEAR, -0.5 + NEAR),
            ),
            Claim(
                f"{name}: the kernel moves in training as width^{moved[0]:g}",
                f"{moved[1]}, {OURS}",
                f"{moved[0]:g}",
                exponent(last(ds, "kernel_change"), "|K - K_0| / |K_0|"),
                (moved[0] - WIDER, moved[0] + WIDER),
                disputed="at most -1/2 is proven, -1 is seen in practice",
            ),
            Claim(
                f"{name}: mean train losses are above the limit's by width^{moved[0]:g}",
                f"{moved[1]}, {OURS}",
                f"{moved[0]:g}",
                excess_exponent(ds),
                (moved[0] - WIDER, moved[0] + WIDER),
            ),
            Claim(
                f"{name}: mean losses under the limit kernel are theory's at every record, to .1 of the first",
                "Jacot et al. 2018, Lee et al. 2019; theory.of",
                "equal",
                limits,
                (0, 0.1),
                unit="of the first test loss",
            ),
            Claim(
                f"{name}: mean losses of the widest networks are those under the limit kernel, to .05 of the first",
                JACOT,
                "equal for infinite width",
                widest,
                (0, 0.05),
                unit="of the first test loss",
            ),
        ]
    return found


def figure(results):
    deep, training = results["kernel"], results["training"]
    told = gd.theory.of(gd.Sweep.from_toml(training.attrs["spec"]), training.step)
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = drawn.subplots(2, 3)
        for letter, ax in zip("abcdef", axes.ravel(), strict=True):
            style.letter(ax, letter)
        draw_powers(axes[0, 0], "kernel of step 0 off its limit", deep, training)
        draw_power(axes[0, 1], training, lambda ds: last(ds, "limit_function_error"), (-0.5,), "function off its limit")
        draw_power(axes[0, 2], training, lambda ds: last(ds, "kernel_change"), (-0.5, -1), "kernel moved in training")
        for ax, kind in zip(axes[1], NAMES, strict=False):
            draw_losses(ax, training.sel(activation=kind), told.sel(activation=kind).isel(hidden=0), NAMES[kind])
        draw_excess(axes[1, 2], training)
    return drawn


def draw_powers(ax, title, deep, training):
    draw_power(ax, training, lambda ds: ds.limit_kernel_error.isel(step=0), (-0.5,), title)
    middle = deep.limit_kernel_error.isel(step=0).mean("seed")
    ax.plot(widths(deep), middle, "^", ms=3.5, color=style.CYCLE[2], label="ReLU, two layers")
    ax.legend()


def draw_power(ax, training, of, slopes, title):
    """Draw every seed and the mean against width, and lines of the powers through the first mean of ReLU."""
    for color, (kind, name) in zip(style.CYCLE, NAMES.items(), strict=False):
        array, n = of(training.sel(activation=kind)).transpose("hidden", "seed"), widths(training)
        ax.plot(n, array.values, ".", ms=1.5, alpha=0.15, color=color, mew=0)
        ax.plot(n, array.mean("seed"), "o", ms=3, color=color, label=name)
    for slope in slopes:
        for kind in NAMES if len(slopes) == 1 else ("relu" if slope == -0.5 else "erf",):
            first = float(of(training.sel(activation=kind)).mean("seed")[-1])
            ax.plot(n, first * (n / n[-1]) ** slope, color=style.INK, lw=0.7, ls=(0, (4, 2)))
    ax.set(xscale="log", yscale="log", xlabel="width", title=title)
    ax.legend()


def draw_losses(ax, ds, told, name):
    """Draw mean losses of three widths and theory's line."""
    shown = sorted({0, ds.sizes["hidden"] // 2, ds.sizes["hidden"] - 1})
    x = ds.step.values + 1
    for color, place in zip(style.CYCLE, shown, strict=False):
        one, n = ds.isel(hidden=place), widths(ds)[place]
        for part, mark in (("test", "o"), ("train", "s")):
            values = one[f"{part}_loss"]
            error = values.std("seed", ddof=1) / values.sizes["seed"] ** 0.5
            label = f"width {n}" if part == "test" else None
            ax.errorbar(x, values.mean("seed"), error, fmt=mark, ms=2.5, lw=0.7, color=color, label=label)
    for part in ("test", "train"):
        label = "theory" if part == "test" else None
        ax.plot(x, told[f"{part}_loss"], color=style.INK, lw=0.9, ls=(0, (2.5, 1.5)), label=label)
    ax.set(xscale="log", yscale="log", xlabel="step + 1", ylabel="loss", title=f"{name}: test, train (squares)")
    ax.legend()


def draw_excess(ax, training):
    for color, (kind, name) in zip(style.CYCLE, NAMES.items(), strict=False):
        values, n = excess(training.sel(activation=kind)), widths(training)
        error = values.std("seed", ddof=1) / values.sizes["seed"] ** 0.5
        middle = values.mean("seed")
        ax.errorbar(n, middle, error, fmt="o", ms=3, lw=0.8, color=color, label=name)
        slope, there = -0.5 if kind == "relu" else -1.0, n >= FROM
        scale = np.sum((middle * n**slope / error**2)[there]) / np.sum((n ** (2 * slope) / error**2)[there])
        label = f"width^{slope:g}"
        if scale > 0:
            ax.plot(n, float(scale) * n**slope, color=color, lw=0.7, ls=(0, (4, 2)), label=label)
    ax.legend(loc="lower left")
    ax.set(xscale="log", yscale="log", xlabel="width", title=f"excess train loss, step {AT}")
