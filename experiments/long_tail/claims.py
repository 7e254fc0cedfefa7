"""Feldman 2020: what it costs not to fit examples of the tail, by early stopping and by weight decay."""

from typing import NamedTuple

import numpy as np
import xarray as xr

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Student
from grokdyn.plot import style
from grokdyn.theory import long_tail

SOURCE = "Feldman 2020 (arXiv 1906.05271), theorem 2.3: tau_l for Zipf frequencies"
SHOWN = (1, 2, 3)
MARKERS = ("o", "s")


class Cost(NamedTuple):
    """Arrays (..., seed, times_seen): how a run differs from the one of its seed that fits all it has seen.

    Attributes:
        mistakes: how many more subpopulations it errs on where it trains.
        excess: by how much its test error is higher, from these subpopulations alone.
        tau: what theory says one mistake costs (times_seen).
    """

    mistakes: xr.DataArray
    excess: xr.DataArray
    tau: xr.DataArray


def frequencies(ds):
    task = gd.Sweep.from_toml(ds.attrs["spec"]).base.task
    return long_tail.zipf(task.subpopulations, task.exponent), task.train_points, task.classes


def costs(ds):
    """Return what every run and record costs, for subpopulations seen 1 to L times."""
    p, n, _ = frequencies(ds)
    seen = ds.isel(times_seen=slice(1, None))
    # Where nothing was seen so often there is nothing to err on.
    mistakes = (seen.seen_count * seen.seen_train_error).fillna(0)
    errors = (seen.seen_test_share * seen.seen_test_error).fillna(0)
    fitted = {"weight_decay": 0, "step": -1}
    tau = xr.DataArray([long_tail.tau(p, n, int(times)) for times in seen.times_seen], coords=[seen.times_seen])
    return Cost(mistakes - mistakes.isel(fitted), errors - errors.isel(fitted), tau)


def pick(cost, where):
    return Cost(cost.mistakes.isel(where), cost.excess.isel(where), cost.tau)


def half(ds, cost, along):
    """Return the costs at the place of an axis where nearest to a half of the singletons are left unfitted."""
    share = cost.mistakes.sel(times_seen=1).mean("seed") / ds.seen_count.sel(times_seen=1).mean()
    return pick(cost, {along: int(np.argmin(np.abs(share.values - 0.5)))})


def groups(ds):
    """Return the costs of runs that stopped early (seed, step, ...) and of decayed ones (seed, weight_decay, ...)."""
    cost = costs(ds)
    return {
        "stopped early": pick(cost, {"weight_decay": 0, "step": slice(None, -1)}),
        "weight decay": pick(cost, {"weight_decay": slice(1, None), "step": -1}),
    }


def ways(ds):
    """Return the same (seed, times_seen), each where half of the singletons are left unfitted."""
    axes = ("step", "weight_decay")
    return {name: half(ds, cost, along) for (name, cost), along in zip(groups(ds).items(), axes, strict=True)}


def against(measured, expected):
    """Return the ratio of the means over seeds of what was measured and expected, with its standard error.

    None where no seed decides: nothing is expected of any, or all are alike.
    """
    if float(expected.mean()) == 0:
        return None
    ratio = float(measured.mean() / expected.mean())
    rest = measured - ratio * expected
    error = float(rest.std(ddof=1) / np.sqrt(rest.size) / abs(expected.mean()))
    return Student(ratio, error, rest.size - 1, rest.size, "ratio of means") if error else None


def agreement(text, expected, measured, told):
    """Return the claim that a ratio is 1, to a tenth."""
    return Claim(text, SOURCE, expected, against(measured, told), (0.9, 1.1), unit="measured / expected")


def claims(results):
    ds = results["tail"]
    p, n, classes = frequencies(ds)
    unseen = ds.isel(weight_decay=0, step=-1).sel(times_seen=0)
    found = []
    for way, cost in ways(ds).items():
        one = {"times_seen": 1}
        each = float(cost.tau.sel(one))
        found += [
            agreement(
                f"{way}: a singleton left unfitted costs tau_1",
                f"{each:.5f} of test error each, {each * n:.3f} / n",
                cost.excess.sel(one),
                each * cost.mistakes.sel(one),
            ),
            agreement(
                f"{way}: all that is left unfitted costs the sum over times seen of tau_l",
                f"over subpopulations seen 1 to {int(cost.tau.times_seen[-1])} times",
                cost.excess.sum("times_seen"),
                (cost.tau * cost.mistakes).sum("times_seen"),
            ),
        ]
    chance = float(long_tail.cost(p, n, 0, classes))
    errors = (unseen.seen_test_share * unseen.seen_test_error).fillna(0)
    found.append(
        agreement(
            "fitted: what was never seen is predicted by chance",
            f"tau_0 (1 - 1/K) of each, {chance:.4f} of test error together",
            errors,
            xr.full_like(errors, chance),
        )
    )
    return found


def spread(values):
    """Return the mean over seeds and its standard error."""
    return values.mean("seed"), values.std("seed", ddof=1) / np.sqrt(values.count("seed"))


def face(marker, color):
    """Return how a marker is filled: those of decayed runs are open."""
    return {"mfc": "white" if marker == MARKERS[1] else color}


def figure(results):
    ds = results["tail"]
    p, n, _ = frequencies(ds)
    with style.context():
        drawn = style.new_figure(6.2, 2.6)
        left, right = drawn.subplots(1, 2)
        for color, times in zip(style.CYCLE, SHOWN, strict=False):
            level, number = long_tail.level(p, n, times), float(ds.seen_count.sel(times_seen=times).mean())
            left.plot([0, 1], [0, level.mass], color=color, label=f"$\\tau_{times}$ mistakes, seen {times}x")
            for marker, one in zip(MARKERS, groups(ds).values(), strict=True):
                share = one.mistakes.sel(times_seen=times).mean("seed") / number
                mean, error = spread(one.excess.sel(times_seen=times))
                left.errorbar(share, mean, error, fmt=marker, ms=3, color=color, **face(marker, color))
        for marker, name in zip(MARKERS, groups(ds), strict=True):
            left.plot([], [], marker, ms=3, color="0.3", label=name, **face(marker, "0.3"))
        left.set(xlabel="share left unfitted", ylabel="excess test error from them", xlim=(0, 1), ylim=(0, None))
        by_times(ds, right)
        for letter, ax in zip("ab", (left, right), strict=True):
            ax.legend(fontsize=6)
            style.letter(ax, letter)
    return drawn


def by_times(ds, ax):
    """Draw train and test error by times seen, of fitted runs and of those that stopped with half of the singletons."""
    plain = ds.isel(weight_decay=0)
    share = plain.seen_train_error.sel(times_seen=1).mean("seed")
    at = {"fitted": -1, "stopped early": int(np.argmin(np.abs(share.values - 0.5)))}
    for color, (name, place) in zip(style.CYCLE, at.items(), strict=False):
        one = plain.isel(step=place)
        mean, error = spread(one.seen_test_error)
        ax.errorbar(ds.times_seen, mean, error, fmt="o-", ms=3, color=color, label=f"{name}, test")
        ax.plot(ds.times_seen, one.seen_train_error.mean("seed"), "x--", ms=4, color=color, label=f"{name}, train")
    ax.set(xlabel="times seen in training", ylabel="error", ylim=(-0.03, 1))
