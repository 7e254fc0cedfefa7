"""Lin et al. 2023: what a linear student forgets of earlier tasks, by the order and likeness of tasks, exactly."""

import numpy as np
import xarray as xr

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, MaximalError, Order, mean
from grokdyn.plot import style
from grokdyn.theory.continual import forgetting
from grokdyn.theory.lines.continual_linear import task_teachers

LIN, EXACT = "Lin et al. 2023 (arXiv 2302.05836)", "theory.continual, exact at any size"
PARTS = ("first", "second", "third", "fourth")
UNIT = "of |w*|^2"
WORDS = {"similarity": "likeness", "order": "order", "weights": "number of weights"}


def sweep(ds):
    return gd.Sweep.from_toml(ds.attrs["spec"])


def errors(ds):
    """Return |w - w*_i|^2 of every task i, over the axis ``task``."""
    return xr.concat([ds[f"{part}_unseen_loss"] for part in PARTS], "task")


def lost(ds):
    """Return what is forgotten of earlier tasks after the last, a number a run."""
    every, found = sweep(ds).base.transforms[0].every, errors(ds)
    then = [found.isel(task=i).sel(step=(i + 1) * every) for i in range(len(PARTS) - 1)]
    return sum(found.isel(task=i, step=-1) - one for i, one in enumerate(then)) / len(then)


def known(ds):
    """Return the closed form of what is forgotten, and of the error after the last task, over the swept axes."""
    whole = sweep(ds)
    axes = [dim for dim in ds.attrs["axes"].split() if dim != "seed"]
    one = ds.isel(seed=0, step=-1).test_loss.transpose(*axes)
    apart = {name: axis.given() for name, axis in whole.dims.items() if name != "seed"}
    runs = gd.Sweep(whole.base, apart).experiments()
    told = [forgetting(task_teachers(run.task), run.task.rows, float(run.task.noise_std)) for run in runs]
    return [one.copy(data=np.reshape([getattr(t, name) for t in told], one.shape)) for name in FORGOTTEN]


FORGOTTEN = ("forgetting", "generalisation")


def some(ds):
    """Return the records that are kept in the claims' file: the first one of each task, and its end."""
    every, first = sweep(ds).base.transforms[0].every, int(ds.step[1])
    return ds.sel(step=[i * every + at for i in range(len(PARTS)) for at in (first, every)])


def farthest(values, told):
    """Return the largest distance of means over seeds from theory, over all other axes; values to three digits."""
    axes = [dim for dim in values.dims if dim != "seed"]
    found = values.transpose("seed", *axes).values.astype(np.float64).round(3)
    return MaximalError(found.reshape(len(found), -1), told.transpose(*axes).values.ravel())


def claims(results):
    found = []
    for name, ds in results.items():
        early = some(ds)
        told = errors(gd.theory.of(sweep(ds), early.step))
        found.append(
            Claim(
                f"{WORDS[name]}: the mean error on every task is theory's, early and late in each task, to .05",
                EXACT,
                "equal",
                farthest(errors(early), told),
                (0, 0.05),
                unit=UNIT,
            )
        )
        found.append(
            Claim(
                f"{WORDS[name]}: what is forgotten after the last task is the closed form, to .05",
                LIN,
                "equal",
                farthest(lost(ds), known(ds)[0]),
                (0, 0.05),
                unit=UNIT,
            )
        )
    return [*found, *of_likeness(results["similarity"]), *of_order(results["order"]), *of_weights(results["weights"])]


def of_likeness(ds):
    clean = lost(ds.sel(noise_std=0.0)).transpose("similarity", "seed").values
    return [
        Claim(
            "without noise, the more alike the teachers the less is forgotten",
            LIN,
            "less",
            Order(tuple(clean[::-1])),
            (0, np.inf),
            unit=f"{UNIT}, from one likeness to the next",
        ),
        Claim(
            "one teacher all along: later tasks teach about earlier ones, and what is forgotten is below 0",
            LIN,
            "below 0",
            mean(clean[-1]),
            (-np.inf, 0),
            unit=UNIT,
        ),
    ]


def of_order(ds):
    gone, end = lost(ds), ds.test_loss.isel(step=-1)
    alternating, _, grouped = gone.transpose("order", "seed").values
    return [
        Claim(
            "two teachers in turn are forgotten less than one after the other, by .05 or more",
            EXACT,
            f"less by {float(np.subtract(*known(ds)[0].values[[2, 0]])):.3f}",
            mean(grouped - alternating, "mean difference"),
            (0.05, np.inf),
            unit=UNIT,
        ),
        Claim(
            "the error on all tasks after the last hangs on no such order, to .03",
            EXACT,
            "0",
            mean(np.subtract(*end.transpose("order", "seed").values[[2, 0]]), "mean difference"),
            (-0.03, 0.03),
            unit=UNIT,
        ),
    ]


def of_weights(ds):
    found = []
    for noise in ds.noise_std.values:
        one = ds.sel(noise_std=noise)
        gone = lost(one).transpose("size", "seed").values
        end = one.test_loss.isel(step=-1).transpose("size", "seed").values
        told = "without noise" if noise == 0 else f"noise {noise:g}"
        better = end if noise == 0 else end[::-1]
        found.append(
            Claim(
                f"{told}: more weights forget less, from {one.dimension.values[0]} on",
                LIN,
                "less",
                Order(tuple(gone[::-1]), paired=False),
                (0, np.inf),
                unit=f"{UNIT}, from one number to the next",
            )
        )
        found.append(
            Claim(
                f"{told}: the error on all tasks after the last "
                f"{'rises' if noise == 0 else 'falls'} with the number of weights, from the first to the last",
                EXACT,
                "they learn less" if noise == 0 else "they fit less noise",
                Contrast(better[-1], better[0], "difference", paired=False),
                (0, np.inf),
                unit=UNIT,
            )
        )
    return found


def course(ax, ds, told, title):
    """Draw the mean error on every task of one setting, shades the middle four fifths of runs, and theory's."""
    found = errors(ds)
    for color, part, one, line in zip(style.CYCLE, PARTS, found, errors(told), strict=False):
        low, high = one.quantile((0.1, 0.9), "seed")
        ax.fill_between(ds.step, low, high, color=color, alpha=0.13, lw=0)
        ax.plot(ds.step, one.mean("seed"), color=color, label=part)
        ax.plot(ds.step, line, color=style.INK, lw=0.8, ls=(0, (2.5, 1.5)))
    every = sweep(ds).base.transforms[0].every
    for place in range(1, len(PARTS)):
        ax.axvline(place * every, color="#BBBBBB", lw=0.6, zorder=0)
    ax.set(xlabel="step", ylabel=r"$|w - w^*_i|^2$", title=title, ylim=(0, None))


def ends(ax, x, values, told, color, label):
    """Draw means over seeds [places, seeds] with two standard errors, and the closed form."""
    error = 2 * values.std(1, ddof=1) / values.shape[1] ** 0.5
    ax.errorbar(x, values.mean(1), error, fmt="o", ms=3.5, mfc="white", lw=1, color=color, label=label)
    ax.plot(x, told, color=color, lw=0.9, ls=(0, (2.5, 1.5)))


def figure(results):
    alike, order, weights = (results[name] for name in ("similarity", "order", "weights"))
    with style.context():
        drawn = style.new_figure(7.2, 4.6)
        (one, two, likeness), (third, orders, sizes) = drawn.subplots(2, 3)
        theory = gd.theory.of(sweep(order), order.step)
        for ax, place, title in ((one, 0, "teachers 1 2 1 2"), (two, 2, "teachers 1 1 2 2")):
            course(ax, order.isel(order=place), theory.isel(order=place), title)
        one.set_ylim(0, 2.2)
        one.legend(title="error on task", fontsize=6, title_fontsize=6, loc="upper right", ncol=2)
        pick = {"similarity": 0.9, "noise_std": float(alike.noise_std[-1])}
        told = gd.theory.of(sweep(alike), alike.step).sel(pick)
        course(third, alike.sel(pick), told, f"cosine 0.9, noise {pick['noise_std']:g}")
        for ax, ds, x in ((likeness, alike, "similarity"), (sizes, weights, "dimension")):
            dim = ds[x].dims[0]
            forgotten, told = lost(ds), known(ds)[0]
            for color, noise in zip(style.CYCLE, ds.noise_std.values, strict=False):
                values = forgotten.sel(noise_std=noise).transpose(dim, "seed").values
                ends(ax, ds[x].values, values, told.sel(noise_std=noise).values, color, f"noise {noise:g}")
            ax.axhline(0, color="#BBBBBB", lw=0.6, zorder=0)
            ax.legend(fontsize=6)
        likeness.set(xlabel="cosine of teachers", ylabel="forgotten", title="D = 60, 20 rows a task")
        sizes.set(xlabel="number of weights", ylabel="forgotten", xscale="log", title="cosine 0.5")
        sizes.set_xticks(weights.dimension.values, [str(n) for n in weights.dimension.values])
        sizes.minorticks_off()
        names = [str(value).strip("[]").replace(",", "") for value in order.order.values]
        for color, values, told, label in (
            (style.CYCLE[0], lost(order), known(order)[0], "forgotten"),
            (style.CYCLE[1], order.test_loss.isel(step=-1), known(order)[1], "error on all tasks"),
        ):
            ends(orders, range(len(names)), values.transpose("order", "seed").values, told.values, color, label)
        orders.set_xticks(range(len(names)), names)
        orders.set(xlabel="teachers, in order", ylim=(0, 1.2), title="after the last task")
        orders.legend(fontsize=6, loc="center right")
        for letter, ax in zip("abcdef", (one, two, likeness, third, orders, sizes), strict=True):
            style.letter(ax, letter)
    return drawn
