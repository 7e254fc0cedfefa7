"""Slingshots: spikes of the train loss in float32, in float64, and without the gradient's sum over classes."""

import matplotlib.figure
import numpy as np

from grokdyn.analysis import spikes
from grokdyn.analysis.claims import Claim, Median, Probability, mean
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


def rounded_only(plain, other):
    """Return, for the seeds and rates of which just one of the two forks spikes, whether it is the float32 one."""
    plain, other = plain.values.ravel(), other.values.ravel()
    return plain[plain != other]


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
    imbalance = before_spikes(results["fork"].isel(then=0), "logit_gradient_imbalance").values.ravel()
    sharp, calm = at_spikes(results, "stability_ratio")
    few, many = (0.0, 0.1), (0.25, 1.0)
    return [
        Claim("float32 spikes in at least a quarter of the runs", ROUNDING, "many cycles", Probability(plain), many),
        Claim(
            "where just one of two forks of a run spikes it is the float32 one, not that with a float64 loss",
            ROUNDING,
            "always",
            Probability(rounded_only(plain, wide)),
            (0.5, 1.0),
            unit="of such pairs",
            disputed=EDGE,
        ),
        Claim(
            "nor is it that without the gradient's sum over classes",
            ROUNDING,
            "always the float32 one",
            Probability(rounded_only(plain, balanced)),
            (0.5, 1.0),
            unit="of such pairs",
            disputed=EDGE,
        ),
        Claim(
            "a float64 network with a float32 softmax spikes",
            ROUNDING,
            "the rounding of the softmax is what counts",
            Probability(network["float64"].isel(loss=0)),
            many,
        ),
        Claim(
            "a float32 network with a float64 softmax does not",
            ROUNDING,
            "none does",
            Probability(network["float32"].isel(loss=1)),
            few,
            disputed=EDGE,
        ),
        Claim(
            "with an eps of 1e-5 there are no spikes",
            ROUNDING,
            "none",
            Probability(spiked(results["eps"]).sel(eps=1e-5)) if "eps" in results else None,
            few,
        ),
        Claim(
            "before a spike the logit gradients have lost their balance",
            ROUNDING,
            "the correct class's is 0",
            Median(imbalance),
            (0.1, 1.0),
            (0.01, 1.0),
            unit="of the gradients",
        ),
        Claim(
            "in the 200 steps before a spike the sharpness is above Adam's bound",
            EDGE,
            "above 1",
            Median(sharp),
            (1.0, np.inf),
            unit="of the bound",
            disputed=ROUNDING,
        ),
        Claim(
            "at the same steps it is not without rounding, same seeds",
            EDGE,
            "below 1",
            Median(calm),
            (0.0, 1.0),
            unit="of the bound",
        ),
        Claim(
            "runs without rounding set off the detector in at most one record in a thousand",
            "its bound for exchangeable records is 1 in 21",
            "few",
            mean(alarms(results["whole"]), "mean over runs"),
            (0.0, 1e-3),
            (0.0, 1 / 21),
            unit="a record",
        ),
    ]


def alarms(ds):
    """Return the share of records after step 2000 at which a spike begins, of every run with a float64 softmax."""
    found = spikes(ds.isel(loss=1)).spike
    return found.where(found.step > SETTLED, drop=True).mean("step")


def figure(results):
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 4.6), layout="constrained")
        above, below = drawn.subfigures(2, 1)  # each with columns of its own: names of arms take much of the first row
        axes = above.subplot_mosaic([["runs", "share"]]) | below.subplot_mosaic([["survival", "sum", "edge"]])
        for letter, ax in zip("abcde", axes.values(), strict=True):
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
    fork, whole = spiked(results["fork"]), spiked(results["whole"])
    rows = {}
    for rate in fork.learning_rate.values:
        rows |= {f"fork, rate {rate:g}: {arm}": fork.isel(then=i).sel(learning_rate=rate) for i, arm in enumerate(ARMS)}
    for bits in whole["dtype"].values:
        for i, softmax in enumerate(("float32", "float64")):
            rows[f"network {bits}, softmax {softmax}"] = whole.sel({"dtype": bits}).isel(loss=i)
    if "eps" in results:
        eps = spiked(results["eps"])
        rows |= {f"eps {value:g}": eps.sel(eps=value) for value in eps.eps.values}
    for place, values in enumerate(rows.values()):
        one = Probability(values)
        middle, (low, high) = one.estimate(), one.interval(0.95)
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
    ax.set(xlabel="step", ylabel="unbalanced share", title="class sums")


def draw_edge(ax, results):
    """Draw sharpness over its bound, the seeds whose float32 run spikes in both arms."""
    ds = results["edge"]
    spiking = after_fit(ds.isel(loss=0)).spikes.values > 0
    for i, (arm, color) in enumerate(zip(("float32", "float64 loss"), style.CYCLE, strict=False)):
        for place, values in enumerate(ds.stability_ratio.isel(loss=i).values[spiking]):
            ax.plot(ds.step, values, lw=0.4, alpha=0.6, color=color, label=None if place else arm)
    ax.axhline(1, color=style.INK, lw=0.6, ls=":")
    ax.set(yscale="log", xlabel="step", ylabel="sharpness / bound", title="edge of stability")
    ax.legend()
