"""Wang, Nichani and Lee 2023: rows that g(p(x)) takes, layer by layer, all at once, by a kernel."""

import matplotlib.figure
import numpy as np
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

import grokdyn as gd
from grokdyn.analysis.checks import ArgumentError
from grokdyn.analysis.claims import Between, Claim, Median, Student, exponent
from grokdyn.plot import style

SOURCE = "Wang, Nichani and Lee 2023 (arXiv 2311.13774)"
# k and q, the degrees of p and g.
INNER, OUTER = 2, 2
# How well q has to be p, and which share of the targets' variance may be left.
CORRELATION, LEFT = 0.9, 0.1
# How far from the power of theory an exponent still agrees.
NEAR, NEAR_KERNEL = 0.25, 0.5
# The dimension in which rows are compared.
AT = 10
# Name in the figure -> its colour.
COLORS = dict(zip(("two stages", "end to end", "kernel ridge", "stage one"), style.CYCLE, strict=False))


def kernel(ds):
    """Return kernel ridge regression by the better of its penalties, run by run."""
    return ds.assign(left=ds.kernel_ridge_unexplained.min("ridge"))


def sizes(results):
    """Return the rows that it takes for each of four things."""
    events = {
        "correlation": (results["stage_one"], f"inner_correlation >= {CORRELATION}"),
        "two stages": (results["stage_two"], f"test_unexplained <= {LEFT}"),
        "end to end": (results["end_to_end"], f"test_unexplained <= {LEFT}"),
        "kernel ridge": (kernel(results["kernel_fine"]), f"left <= {LEFT}"),
    }
    return {name: gd.analysis.sample_sizes(ds, event) for name, (ds, event) in events.items()}


def law(found):
    """Return the fit of n = e^a d^b e^(scale z), or None where no run gets there."""
    try:
        return gd.analysis.scaling(found, "sample_size ~ dimension", resamples=20)
    except ArgumentError:
        return None


def power(fit):
    return None if fit is None else exponent(fit, "dimension")


def steeper(one, other):
    """Return by how much one exponent is above another; fits of other runs, so that errors add in squares."""
    if one is None or other is None:
        return None
    a, b = power(one), power(other)
    error = float(np.hypot(a.error, b.error))
    return Student(
        a.value - b.value, error, min(a.freedom, b.freedom), min(a.seeds, b.seeds), "difference of exponents"
    )


def more(found, times):
    """Return how many times the rows of both stages something takes, by pairs of a seed, in one dimension."""
    ours = found["two stages"]
    if AT not in ours.dimension or AT not in times.dimension:
        return None
    ends = [one[end].sel(dimension=AT).values for one in (times, ours) for end in ("low", "high")]
    with np.errstate(divide="ignore"):
        return Between(ends[0] / (2 * ends[3]), ends[1] / (2 * ends[2]))


def second_stage(ds):
    """Return what the second stage leaves of the error of the first, at the most rows in one dimension."""
    if AT not in ds.dimension:
        return None
    errors = at_dimension(ds, AT).test_unexplained.isel(size=-1)
    return Median((errors.isel(step=-1) / errors.isel(step=0)).values)


def at_dimension(ds, dimension):
    return ds.isel(size=np.flatnonzero(ds.dimension.values == dimension))


def claims(results):
    found = sizes(results)
    fits = {name: law(one) for name, one in found.items()}
    ours, order = fits["two stages"], f"in {AT} dimensions"
    d_k, d_kq = f"d^{INNER}", f"d^{INNER * OUTER}"
    return [
        Claim(
            f"stage one: the rows at which the hidden number's correlation with p is {CORRELATION} grow as {d_k}",
            SOURCE,
            f"{d_k}, up to logarithms",
            power(fits["correlation"]),
            (INNER - NEAR, INNER + NEAR),
        ),
        Claim(
            f"both stages: the rows of a stage at which {LEFT} of the variance is left grow as {d_k}",
            SOURCE,
            f"{d_k}, up to logarithms",
            power(ours),
            (INNER - NEAR, INNER + NEAR),
        ),
        Claim(
            f"kernel ridge regression: the rows at which {LEFT} of the variance is left grow as {d_kq}",
            SOURCE,
            d_kq,
            power(fits["kernel ridge"]),
            (INNER * OUTER - NEAR_KERNEL, INNER * OUTER + NEAR_KERNEL),
        ),
        Claim(
            "kernel ridge regression's exponent is above that of two stages by a half or more",
            SOURCE,
            f"{d_kq} against {d_k}",
            steeper(fits["kernel ridge"], ours),
            (0.5, np.inf),
        ),
        Claim(
            f"{order} kernel ridge regression takes more rows than both stages together",
            SOURCE,
            "more",
            more(found, found["kernel ridge"]),
            (1, np.inf),
            unit="times the rows",
        ),
        Claim(
            f"{order} training end to end takes more rows than both stages together",
            "ours: no proof has it do with as few",
            "more",
            more(found, found["end to end"]),
            (1, np.inf),
            unit="times the rows",
        ),
        Claim(
            "training end to end has a larger exponent than two stages",
            "ours: no proof has it do with as few",
            "larger",
            steeper(fits["end to end"], ours),
            (0, np.inf),
        ),
        Claim(
            f"{order}, at the most rows, stage two leaves half or less of the error of stage one",
            SOURCE,
            "vanishing error",
            second_stage(results["stage_two"]),
            (0, 0.5),
            unit="of the error of stage one",
        ),
    ]


def figure(results):
    found = sizes(results)
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 2.9), layout="constrained")
        axes = drawn.subplots(1, 3)
        for letter, ax in zip("abc", axes, strict=True):
            style.letter(ax, letter)
        draw_correlation(axes[0], results["stage_one"])
        draw_errors(axes[1], results)
        draw_sizes(axes[2], found)
    return drawn


def band(ax, x, values, over, color, label, **more):
    """Draw medians over runs with the middle half of them."""
    low, middle, high = values.quantile([0.25, 0.5, 0.75], over).values
    ax.fill_between(x, low, high, color=color, alpha=0.2, lw=0)
    ax.plot(x, middle, "o-", ms=2.5, color=color, label=label, **more)


def draw_correlation(ax, ds):
    dimensions = np.unique(ds.dimension.values)
    for i, dimension in enumerate(dimensions):
        one = at_dimension(ds, dimension)
        shade = style.CYCLE[i % len(style.CYCLE)]
        band(
            ax, one.train_points / dimension**2, one.inner_correlation.isel(step=-1), "draw", shade, f"d = {dimension}"
        )
    ax.axhline(CORRELATION, color=style.INK, lw=0.7, ls=(0, (4, 2)))
    ax.set(xscale="log", xlabel="rows / d$^2$", ylabel="correlation with p", title="stage one")
    ticks(ax.xaxis, [0.5, 0.7, 1, 1.4, 2, 2.8, 4], ax.get_xlim())
    ax.legend(loc="lower right")


def ticks(axis, values, limits):
    """Write some values on a logarithmic axis, as far as they are within its limits."""
    shown = [value for value in values if limits[0] <= value <= limits[1]]
    axis.set_major_locator(FixedLocator(shown))
    axis.set_ticklabels([f"{value:g}" for value in shown])
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def draw_errors(ax, results):
    """Draw what is left of the variance against all rows used, in one dimension."""
    both = results["stage_two"]
    dimension = AT if AT in both.dimension else int(both.dimension[-1])
    two, alone = (at_dimension(results[name], dimension) for name in ("stage_two", "end_to_end"))
    ridge = at_dimension(kernel(results["kernel"]), dimension)
    lines = (
        ("stage one", two.train_points, two.test_unexplained.isel(step=0), "draw"),
        ("two stages", 2 * two.train_points, two.test_unexplained.isel(step=-1), "draw"),
        ("end to end", alone.train_points, alone.test_unexplained.min("step"), "seed"),
        ("kernel ridge", ridge.train_points, ridge.left.min("step"), "seed"),
    )
    for name, x, values, over in lines:
        band(ax, x, values, over, COLORS[name], name)
    ax.axhline(LEFT, color=style.INK, lw=0.7, ls=(0, (4, 2)))
    ax.set(xscale="log", yscale="log", xlabel="train rows, of both stages", ylabel="unexplained share of test variance")
    ax.set_title(f"d = {dimension}")
    ticks(ax.xaxis, [30, 60, 100, 200, 400, 1000, 2000, 4000], ax.get_xlim())
    ticks(ax.yaxis, [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1], ax.get_ylim())
    ax.legend(loc="lower left")


def draw_sizes(ax, found):
    """Draw medians over seeds of the rows that it takes, between which records they are, and the fitted powers."""
    dimensions = []
    for name, factor, aside in (("two stages", 2, 1.0), ("end to end", 1, 1.025), ("kernel ridge", 1, 1.0)):
        one, fit = found[name], law(found[name])
        over = next(dim for dim in one.low.dims if dim != "dimension")
        low, high = (factor * one[end].median(over).values for end in ("low", "high"))
        d = one.dimension.values
        dimensions += d.tolist()
        there = np.isfinite(high)
        label = name
        if fit is not None:
            row = fit.sel(term="dimension")
            half = float(row.exponent_high - row.exponent)
            label = f"{name}: {float(row.exponent):.2f} $\\pm$ {half:.2f}"
            predicted = fit.predicted.isel({over: 0}).values
            ax.plot(d * aside, factor * predicted, color=COLORS[name], lw=0.9)
        ax.vlines(d[there] * aside, low[there], high[there], color=COLORS[name], lw=2.5, label=label)
    ax.set(xscale="log", yscale="log", xlabel="dimension d", ylabel=f"train rows until {LEFT:g} is left")
    ax.set_ylim(top=2.5 * ax.get_ylim()[1])
    ax.set_title("rows needed")
    ticks(ax.xaxis, sorted(set(dimensions)), (0, np.inf))
    ticks(ax.yaxis, [50, 100, 200, 400, 800, 1600, 3200], ax.get_ylim())
    ax.legend(loc="upper left")
