"""Advani and Saxe 2017, nonlinear networks: overtraining by size, weights that never learn, and when to stop."""

import numpy as np
from matplotlib.ticker import NullFormatter

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, MaximalError, Median, Order, mean
from grokdyn.plot import style
from grokdyn.theory.linear import best_stopping

SOURCE = "Advani & Saxe 2017 (arXiv 1710.03667)"
EXACT = "theory.linear, closed form for many dimensions"
SLACK = 0.03  # a larger best error than this is a rise
SMALL, MIDDLE, LARGE = 0, 1, 2  # starts of the sweeps
NAMES = {"readout": "readout alone", "full": "all weights"}


def base(ds):
    return gd.Sweep.from_toml(ds.attrs["spec"]).base


def units(ds):
    """Return the widths of a sweep."""
    return np.array([int(text.strip("[]")) for text in map(str, ds.hidden.values)])


def trained(ds):
    """Return how many weights train, by width."""
    every = not isinstance(base(ds).optimizer, gd.Groups)
    return units(ds) * (base(ds).task.dimension + 1 if every else 1)


def at(ds, share):
    """Return the place of the width whose trained weights are nearest to a share of the examples."""
    return int(np.argmin(np.abs(np.log(trained(ds) / base(ds).task.train_points / share))))


def last(ds, width, start, name="test_loss"):
    """Return the values of runs in the end [seed]."""
    return ds[name].isel(hidden=width, start=start, step=-1).values


def best(ds, width, start):
    """Return the least test errors of runs [seed]."""
    return ds.test_loss.isel(hidden=width, start=start).min("step").values


def gap(ds, width, start):
    """Return overtraining: test error in the end less the least [seed]."""
    return last(ds, width, start) - best(ds, width, start)


def claims(results):
    return [
        *of_sizes(results["readout"], "readout", SMALL, (0.5, 2)),
        *of_sizes(results["full"], "full", MIDDLE, (0.5, 4)),
        *of_frozen(results["readout"]),
        *of_stopping(results["linear"]),
    ]


def of_sizes(ds, name, start, beside):
    """Return the claims on errors by width, with ``beside`` the shares of weights to examples just off the peak."""
    peak, wide = at(ds, 1), len(units(ds)) - 1
    found = [
        Claim(
            f"{NAMES[name]}: the test error in the end is larger with as many weights as examples than with {how}",
            SOURCE,
            "a peak where trained weights are as many as examples",
            Contrast(last(ds, peak, start), last(ds, at(ds, share), start)),
            (1, np.inf),
            unit="times the error there",
        )
        for share, how in zip(beside, ("half as many", f"{beside[1]} times as many"), strict=True)
    ]
    found += [
        Claim(
            f"{NAMES[name]}: overtraining there is twice that of the {how} network or more",
            SOURCE,
            "less on both sides",
            Contrast(gap(ds, peak, start), gap(ds, place, start)),
            (2, np.inf),
            unit="times",
        )
        for how, place in (("narrowest", 0), ("widest", wide))
    ]
    arms = [best(ds, place, SMALL) for place in range(wide, -1, -1)]
    big, small = last(ds, wide, LARGE), last(ds, wide, SMALL)
    return [
        *found,
        Claim(
            f"{NAMES[name]}: stopped at the best time, from a small start, more units never hurt by {SLACK} or more",
            SOURCE,
            "early stopping removes the peak",
            Order(tuple(arms)),
            (-SLACK, np.inf),
            unit="of test error from one width to the next narrower",
        ),
        Claim(
            f"{NAMES[name]}: a large start makes the widest network 1.2 times as wrong in the end, or more",
            SOURCE,
            "weights that do not learn keep their first values",
            Contrast(big, small),
            (1.2, np.inf),
            unit="times the error of a small start",
        ),
        Claim(
            f"{NAMES[name]}: nor does stopping at the best time undo it, 1.2 times as wrong or more",
            "ours: what does not learn is as large at every time",
            "early stopping or small weights",
            Contrast(best(ds, wide, LARGE), best(ds, wide, SMALL)),
            (1.2, np.inf),
            unit="times the best error of a small start",
        ),
    ]


def of_frozen(ds):
    """Return the claims on the part of a readout that does not learn."""
    wide, peak = len(units(ds)) - 1, at(ds, 1)
    expected = 1 - base(ds).task.train_points / units(ds)[wide]
    least = ds.least_eigenvalue.isel(start=SMALL, step=-1)
    norm = ds.frozen_norm.isel(hidden=wide, start=LARGE)
    found = [
        Claim(
            f"readout alone, widest: 1 - P/N = {expected:g} of the first weights' squared norm is frozen",
            SOURCE,
            f"{expected:g}",
            mean(ds.frozen_share.isel(hidden=wide, start=LARGE, step=0).values),
            (expected - 0.02, expected + 0.02),
        ),
        Claim(
            "readout alone, widest: the frozen part is in the end what it was at first",
            SOURCE,
            "the same",
            Median((norm.isel(step=-1) / norm.isel(step=0)).values),
            (0.999, 1.001),
            unit="of its first norm",
        ),
        Claim(
            "readout alone, widest: a large start with its frozen part set to 0 is as wrong as a small one, to .05",
            SOURCE,
            "equal",
            Contrast(last(ds, wide, LARGE, "test_loss_without_frozen"), last(ds, wide, SMALL)),
            (0.95, 1.05),
            unit="times the error of a small start",
        ),
    ]
    return found + [
        Claim(
            f"readout alone: the kernel is worse conditioned with as many weights as examples than with {how}",
            SOURCE,
            "inputs are better conditioned off the peak",
            Contrast(*(least.isel(hidden=at(ds, share)).values for share in (beside, 1))),
            (2, np.inf),
            unit="times the least eigenvalue",
        )
        for beside, how in ((0.5, "half as many"), (2, "twice as many"))
        if at(ds, beside) != peak
    ]


def told(ds):
    """Return what theory says of every number of examples."""
    return [best_at(ds, a) for a in ds.train_points.values / base(ds).task.dimension]


def best_at(ds, ratio):
    task = base(ds).task
    return best_stopping(ratio, task.teacher_std, task.noise_std, base(ds).model.init_scale)


def stopped(ds):
    """Return test errors at theory's best time, between records [train_points, seed]."""
    found, pace = [], 2 * base(ds).optimizer.learning_rate
    for place, one in enumerate(told(ds)):
        values = ds.test_loss.isel(train_points=place).interp(step=one.time / pace)
        found.append(values.transpose("seed").values)
    return np.stack(found)


def lost(ds):
    """Return by how much test errors rise after theory's best time [train_points, seed]."""
    return ds.test_loss.isel(step=-1).transpose("train_points", "seed").values - stopped(ds)


def of_stopping(ds):
    """Return the claims on early stopping of a linear student."""
    errors, theory = stopped(ds), np.array([one.error for one in told(ds)])
    rise, away = lost(ds), np.abs(ds.train_points.values - base(ds).task.dimension)
    peak, off = int(np.argmin(away)), away > away.min()
    exact = gd.theory.of(gd.Sweep.from_toml(ds.attrs["spec"]), ds.step[-1:]).test_loss.isel(step=-1).values - theory
    own = ds.test_loss.min("step").transpose("train_points", "seed").values
    return [
        Claim(
            "linear student: test errors at theory's best time are theory's, at every P/N, to a tenth",
            EXACT,
            "equal",
            MaximalError((errors / theory[:, None]).T, np.ones(len(theory))),
            (0, 0.1),
            unit="of theory's",
        ),
        Claim(
            "linear student, P = N: at theory's best time a run is within .05 of the best error of its own",
            EXACT,
            "1",
            Median(errors[peak] / own[peak]),
            (0, 1.05),
            unit="times its own best error",
        ),
        Claim(
            "linear student, P = N: training to the end costs what theory says, to .15",
            EXACT,
            f"{exact[peak]:.3g}",
            mean(rise[peak] / exact[peak]),
            (0.85, 1.15),
            unit="of theory's",
        ),
        Claim(
            "linear student, other P/N: it costs what theory says, to .1 of the noise's variance",
            EXACT,
            ", ".join(f"{one:.2f}" for one in exact[off]),
            MaximalError(rise[off].T, exact[off]),
            (0, 0.1),
            unit="of the noise's variance",
        ),
    ]


def ratios_told(ax, label):
    """Label a logarithmic axis of ratios by powers of 4."""
    ax.set(xscale="log", xlabel=label)
    low, high = np.log2(ax.get_xlim())
    shown = [k for k in range(-6, 8, 2) if low <= k <= high]
    ax.set_xticks([2.0**k for k in shown], [f"1/{2**-k}" if k < 0 else str(2**k) for k in shown])
    ax.xaxis.set_minor_formatter(NullFormatter())


def draw_sizes(ax, ds, name):
    """Draw errors in the end and at the best time by the number of trained weights to that of examples."""
    x = trained(ds) / base(ds).task.train_points
    scales = ds.init_scale.values**2
    for color, place in zip(style.CYCLE, range(ds.sizes["start"]), strict=False):
        one = ds.test_loss.isel(start=place)
        for values, line in ((one.isel(step=-1), "o-"), (one.min("step"), "s:")):
            error = 2 * values.std("seed", ddof=1) / ds.sizes["seed"] ** 0.5
            label = f"{scales[place]:.2g}" if line == "o-" else None
            ax.errorbar(x, values.mean("seed"), error, fmt=line, ms=3, mfc="white", lw=1, color=color, label=label)
    ax.axvline(1, color=style.INK, lw=0.6, ls=":")
    ratios_told(ax, "trained weights / examples")
    ax.set(ylabel="test error", ylim=(0, None))
    ax.set_title(f"{NAMES[name]}: end (lines), best (dotted)")
    ax.legend(title="size of the start", fontsize=6, title_fontsize=6)


def draw_gaps(ax, results):
    """Draw overtraining of both networks, from the starts that the claims are of."""
    for color, (name, start) in zip(style.CYCLE, (("readout", SMALL), ("full", MIDDLE)), strict=False):
        ds = results[name]
        values = np.stack([gap(ds, place, start) for place in range(ds.sizes["hidden"])])
        error = 2 * values.std(1, ddof=1) / values.shape[1] ** 0.5
        x = trained(ds) / base(ds).task.train_points
        ax.errorbar(x, values.mean(1), error, fmt="o-", ms=3, mfc="white", lw=1, color=color, label=NAMES[name])
    ax.axvline(1, color=style.INK, lw=0.6, ls=":")
    ratios_told(ax, "trained weights / examples")
    ax.set(ylabel="end - best", title="overtraining", ylim=(0, None))
    ax.legend(fontsize=6)


def draw_stopping(ax, ds):
    """Draw errors of the linear student in the end and at the best time, with theory's lines."""
    task, ratios = base(ds).task, ds.train_points.values / base(ds).task.dimension
    many = np.geomspace(ratios[0], ratios[-1], 101)
    lines = [best_at(ds, a) for a in many]
    points = np.unique(np.rint(many * task.dimension).astype(int))
    dense = gd.theory.of(gd.Sweep(base(ds), {"task.train_points": points.tolist()}), ds.step[-1:])
    drawn = {
        "end": (points / task.dimension, dense.test_loss.isel(step=-1), lost(ds) + stopped(ds)),
        "at theory's best time": (many, [one.error for one in lines], stopped(ds)),
    }
    for color, (name, (x, line, values)) in zip(style.CYCLE, drawn.items(), strict=False):
        ax.plot(x, line, color=color, lw=1)
        error = 2 * values.std(1, ddof=1) / values.shape[1] ** 0.5
        ax.errorbar(ratios, values.mean(1), error, fmt="o", ms=3, mfc="white", lw=1, color=color, label=name)
    ratios_told(ax, "examples / weights")
    ax.set(ylabel="test error", title="linear: theory (lines)")
    ax.legend(fontsize=6)


def figure(results):
    with style.context():
        drawn = style.new_figure(7.2, 5)
        axes = drawn.subplots(2, 2)
        draw_sizes(axes[0, 0], results["readout"], "readout")
        draw_sizes(axes[0, 1], results["full"], "full")
        draw_gaps(axes[1, 0], results)
        draw_stopping(axes[1, 1], results["linear"])
        for letter, ax in zip("abcd", axes.flat, strict=True):
            style.letter(ax, letter)
    return drawn
