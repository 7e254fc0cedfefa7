"""Slingshots: spikes of the train loss in float32, in float64, and without the gradient's sum over classes."""

import matplotlib.figure
import numpy as np
from scipy.stats import beta, binomtest

from grokdyn.analysis import spikes
from grokdyn.analysis.claims import Claim
from grokdyn.plot import style

ROUNDING, EDGE = "2605.06152", "2603.15492"
SETTLED = 2000
BEFORE = 200
ARMS = ("float32", "float64 loss", "zero sum")


def after_fit(ds):
    """Return the spikes after step 2000."""
    found = spikes(ds)
    late = found.spike & (found.step > SETTLED)
    first = found.step.where(late).min("step")
    return found.assign(spike=late, spikes=late.sum("step"), first_spike=first)


def spiked(ds):
    """Return whether a run has a spike."""
    return after_fit(ds).spikes > 0


def share(values):
    """Return the Clopper-Pearson interval of a share of runs: low, value, high."""
    values = np.asarray(values).ravel()
    k, n = int(values.sum()), len(values)
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    high = beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    return [low, k / n, high]


def excess(more, less):
    """Return the difference of two shares, paired run by run, with the interval that the discordant pairs give.

    Of n pairs b have a spike in the first arm only, c in the second only: (b - c) / n, with the Clopper-Pearson
    interval of b / (b + c) for the share among those.
    """
    more, less = np.asarray(more).ravel(), np.asarray(less).ravel()
    b, c, n = int((more & ~less).sum()), int((less & ~more).sum()), len(more)
    if b + c == 0:
        return [0.0, 0.0, 0.0]
    ends = binomtest(b, b + c).proportion_ci(0.95)
    return [(2 * p - 1) * (b + c) / n for p in (ends.low, b / (b + c), ends.high)]


def before_spikes(ds, variable):
    """Return a variable's median over the 200 steps before the first spike of every run, nan in runs without one."""
    first = after_fit(ds).first_spike
    return ds[variable].where((ds.step < first) & (ds.step >= first - BEFORE)).median("step")


def at_spikes(results, variable):
    """Return a variable before the float32 runs' first spikes, in these runs and at the same steps of float64's."""
    ds = results["edge"]
    bad, good = ds.isel(loss=0), ds.isel(loss=1)
    first = after_fit(bad).first_spike
    window = (ds.step < first) & (ds.step >= first - BEFORE)
    return [one[variable].where(window).median("step").dropna("seed") for one in (bad, good)]


def claims(results):
    fork, whole = spiked(results["fork"]), spiked(results["whole"])
    plain, wide, balanced = (fork.isel(then=i) for i in range(3))
    network = {bits: whole.sel(dtype=bits) for bits in ("float32", "float64")}
    calm = spikes(results["whole"].isel(loss=1))
    alarms = [int((calm.spike & (calm.step > SETTLED)).sum()), int((calm.spike_records).sum())]
    imbalance = before_spikes(results["fork"].isel(then=0), "logit_gradient_imbalance").values.ravel()
    sharp, _ = at_spikes(results, "stability_ratio")
    return [
        Claim("float32 spikes", ROUNDING, "many cycles", share(plain), low=0.25, unit="of runs, with its interval"),
        Claim(
            "from the fork on, a float64 loss has fewer spikes, paired by seed",
            ROUNDING,
            "none",
            excess(plain, wide),
            low=0.1,
            unit="more of the runs spike in float32",
        ),
        Claim(
            "so has a float32 loss without the gradient's sum over classes",
            ROUNDING,
            "none",
            excess(plain, balanced),
            low=0.1,
            unit="more of the runs spike with it",
        ),
        Claim(
            "a float64 network with a float32 softmax spikes",
            ROUNDING,
            "the softmax's rounding is what counts",
            share(network["float64"].isel(loss=0)),
            low=0.25,
            unit="of runs, with its interval",
        ),
        Claim(
            "a float32 network with a float64 softmax does not",
            ROUNDING,
            "none",
            share(network["float32"].isel(loss=1)),
            high=0.1,
            unit="of runs, with its interval",
        ),
        Claim(
            "an eps of 1e-5 has no spikes",
            ROUNDING,
            "none",
            share(spiked(results["eps"].sel(eps=1e-5))),
            high=0.15,
            unit="of runs, with its interval",
        ),
        Claim(
            "before a spike the sharpness is above Adam's bound",
            EDGE,
            "above 1",
            sharp,
            low=1,
            unit="of the bound, median over 200 steps",
        ),
        Claim(
            "before a spike the logit gradients have lost their balance",
            ROUNDING,
            "the correct class's are 0",
            imbalance,
            low=0.1,
            unit="of the gradients",
        ),
        Claim(
            "the detector's false alarms are within its bound",
            "grokdyn.analysis.spikes",
            "at most 1/21 a record",
            share(np.arange(alarms[1]) < alarms[0]),
            high=1 / 21,
            unit="a record, with its interval",
        ),
    ]


def figure(results):
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 4.6), layout="constrained")
        axes = drawn.subplot_mosaic([["runs", "share", "share"], ["survival", "sum", "edge"]])
        for letter, ax in zip("abcde", axes.values(), strict=False):
            style.letter(ax, letter)
        draw_runs(axes["runs"], results["fork"])
        draw_shares(axes["share"], results)
        draw_survival(axes["survival"], results["fork"])
        draw_sums(axes["sum"], results["fork"])
        draw_edge(axes["edge"], results)
    return drawn


def example(ds):
    """Return the place of the run whose float32 arm spikes first: rate, seed."""
    first = after_fit(ds.isel(then=0)).first_spike.fillna(np.inf)
    return {dim: int(i) for dim, i in first.argmin(list(first.dims)).items()}


def draw_runs(ax, ds):
    """Draw the train loss of one run in the three arms."""
    for i, (arm, color) in enumerate(zip(ARMS, style.CYCLE, strict=False)):
        one = ds.isel(then=i, **example(ds))
        ax.plot(one.step, one.train_loss.where(one.train_loss > 0), lw=0.7, color=color, label=arm, zorder=3 - i)
    ax.axvline(SETTLED, color=style.INK, lw=0.5, ls=":")
    ax.set(yscale="log", xlabel="step", ylabel="train loss", title="one seed, forked")
    ax.legend(loc="upper right")


def draw_shares(ax, results):
    """Draw the share of runs with a spike in every arm, with intervals."""
    fork, whole, eps = (spiked(results[name]) for name in ("fork", "whole", "eps"))
    rows = {}
    for rate in fork.learning_rate.values:
        rows |= {f"fork, rate {rate:g}: {arm}": fork.isel(then=i).sel(learning_rate=rate) for i, arm in enumerate(ARMS)}
    for bits in whole["dtype"].values:
        for i, softmax in enumerate(("float32", "float64")):
            rows[f"network {bits}, softmax {softmax}"] = whole.sel({"dtype": bits}).isel(loss=i)
    rows |= {f"eps {value:g}": eps.sel(eps=value) for value in eps.eps.values}
    for place, values in enumerate(rows.values()):
        low, middle, high = share(values)
        ax.errorbar(
            [middle], [place], xerr=[[middle - low], [high - middle]], fmt="o", ms=3, lw=0.9, color=style.CYCLE[0]
        )
    ax.set_yticks(range(len(rows)), list(rows), fontsize=6)
    ax.invert_yaxis()
    ax.set(xlabel="share of runs with a spike", xlim=(-0.02, 1.02), title="95 % intervals")


def draw_survival(ax, ds):
    """Draw the share of runs without a spike yet, by arm; all runs are followed to the last step."""
    first = after_fit(ds).first_spike
    for i, (arm, color) in enumerate(zip(ARMS, style.CYCLE, strict=False)):
        times = first.isel(then=i).values.ravel()
        steps = ds.step.values
        ax.step(steps, [(~(times <= t)).mean() for t in steps], where="post", color=color, lw=1, label=arm)
    ax.set(xlabel="step", ylabel="runs without a spike", ylim=(0, 1.03), title="both rates")
    ax.legend(loc="lower left")


def draw_sums(ax, ds):
    """Draw the unbalanced share of the logit gradients over the steps, median and middle half over runs."""
    for i, (arm, color) in enumerate(zip(ARMS, style.CYCLE, strict=False)):
        values = ds.logit_gradient_imbalance.isel(then=i)
        over = [dim for dim in values.dims if dim != "step"]
        low, middle, high = (values.quantile(q, over) for q in (0.25, 0.5, 0.75))
        ax.plot(values.step, middle, color=color, lw=0.9, label=arm)
        ax.fill_between(values.step, low, high, color=color, alpha=0.2, lw=0)
    ax.set(xlabel="step", ylabel="unbalanced share", title="class sum of logit gradients")


def draw_edge(ax, results):
    """Draw sharpness over its bound, every run of both arms, from 1500 steps before a float32 run's spike on."""
    ds = results["edge"]
    for i, (arm, color) in enumerate(zip(("float32", "float64 loss"), style.CYCLE, strict=False)):
        one = ds.stability_ratio.isel(loss=i)
        for seed in range(one.sizes["seed"]):
            ax.plot(one.step, one.isel(seed=seed), lw=0.4, alpha=0.6, color=color, label=arm if seed == 0 else None)
    ax.axhline(1, color=style.INK, lw=0.6, ls=":")
    ax.set(yscale="log", xlabel="step", ylabel="sharpness / bound", title="edge of stability")
    ax.legend()
