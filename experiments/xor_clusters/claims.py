"""Xu et al. 2023 and Frei et al. 2022: memorised noise, late generalisation and amplified features on XOR clusters."""

import functools

import numpy as np
import xarray as xr

import grokdyn as gd
from grokdyn.analysis.claims import Claim, MaximalError, Median, crossing, most, within
from grokdyn.analysis.order_statistics import median_rank_interval
from grokdyn.plot import style
from grokdyn.theory import xor_clusters as dual

SOURCE = "Xu et al. 2023 (arXiv 2310.02541)"
LEFT, RIGHT = (f"{SOURCE}, figure 1 {side}, medians of 100 runs" for side in ("left", "right"))
AMPLIFIED = "Frei et al. 2022 (arXiv 2202.07626), in words; the size is ours"
# The vector figure's medians: left by number of updates, right (value, step at which it is reached).
TEST = [0.495, 0.505, 0.820, 0.825, 0.915, 0.960, 0.980, 0.990, 0.995, 0.995, 1.0]
RIGHT_TEST = [(0.505, 60), (0.6, 370), (0.75, 930), (0.9, 1550), (0.95, 1840), (0.99, 2350), (1.0, 2950)]
RIGHT_TRAIN = [(0.9, 17), (1.0, 39)]
STEEP = range(2, 6)
# Steps of the dual dynamics, to beyond 1.15 * 1550; a slack far above the logits there, which stay below 1e-8.
DUAL_STEPS = (0, 1, 2, 3, 5, 7, 10, 13, 17, 20, 25, 30, 35, 39, 45, 50, 60, 80, 100, *range(150, 1801, 50))
SLACK = 1e-8
# The check of smaller networks: seeds of the dual dynamics, apart from those of any other use.
CHECK_SEEDS = range(10_000, 10_400)
EARLY, LATE, LAST = 1, 15, 10


def base(ds):
    return gd.Sweep.from_toml(ds.attrs["spec"]).base


def full(ds):
    """Return whether this is the paper's setting; its values are no guide to a smaller one."""
    return base(ds).task.dimension == 40_000


def setting(ds):
    """Return the sizes and scales of a sweep as those of the dual dynamics."""
    exp = base(ds)
    task, n = exp.task, exp.task.train_points
    sizes = (task.dimension, n, task.points - n, 2 * exp.model.width, task.mean_norm, task.label_noise)
    return dual.Setting(exp.optimizer.learning_rate, exp.model.init_scale, *sizes)


def right_panel(ds):
    """Return what ``left_panel`` does, or the dual dynamics for as many seeds where training ended earlier."""
    if not full(ds) or ds.step[-1] >= DUAL_STEPS[-1]:
        return left_panel(ds)
    found = dual_curves(setting(ds), ds.sizes["seed"])
    return found.step, found.train, found.test


@functools.cache
def dual_curves(of, seeds):
    return dual.curves(of, range(seeds), DUAL_STEPS, slack=SLACK, workers=2)


def median(values):
    """Return the median of values [seed, step] over seeds."""
    return np.median(values, axis=0)


def interval(values):
    """Return the ends of the 95 % interval of the median over seeds [2, step], whatever their law."""
    return np.sort(values, axis=0)[list(median_rank_interval(len(values)))]


def times(steps, values, level):
    """Return between which records the accuracies of runs [seed, step] come to a level."""
    return crossing(xr.DataArray(values, {"step": steps}, ("seed", "step")), level)


def claims(results):
    return [
        *(claim for side in ("left", "left_twice") for claim in of_left(results[side])),
        *of_right(results["right"], left_panel),
        *of_right(results["right_twice"], right_panel),
        *of_features(results["left"]),
        of_network(results["network"]),
    ]


def rate(ds):
    """Return the rate of a sweep in words, to begin a claim with."""
    return f"rate {base(ds).optimizer.learning_rate:g}"


def of_left(ds):
    """Return the claims on the left panel, on medians over the seeds of the sweep."""
    whole = full(ds) and ds.sizes["seed"] >= 100
    _, train, test = left_panel(ds)
    place = {int(t): i for i, t in enumerate(ds.step.values)}
    found = []
    for t, told in enumerate(TEST):
        if t not in place:
            continue
        room = 0.05 if t in STEEP else 0.02
        text = f"{rate(ds)}: median test accuracy after {t} updates"
        what = Median(test[:, place[t]]) if whole else None
        found.append(Claim(text, LEFT, f"{told:.3f} +- {room:g}", what, (told - room, told + room)))
    gap = (ds.corrupted_rows_accuracy - ds.test_accuracy).sel(step=1)
    return [
        *found,
        most(
            f"{rate(ds)}: all train rows fit, flipped ones too, from the first update on",
            LEFT,
            "median 1 from t = 1",
            within(train[:, 1:].min(axis=1), 1.0),
            measured=whole,
        ),
        Claim(
            f"{rate(ds)}: after one update flipped rows are fitted and the test is guessed",
            SOURCE + ", theorem 3.1",
            "test error near 1/2 at t = 1, all train rows right",
            Median(gap) if whole else None,
            (0.4, 1.0),
            unit="accuracy on flipped rows less that on the test",
        ),
    ]


def of_right(ds, panel):
    """Return the claims on the right panel; ``panel`` gives the curves for that on late steps."""
    whole = full(ds) and ds.sizes["seed"] >= 100
    begun = ds.train_accuracy.transpose("seed", "step").values
    early = ds.test_accuracy.sel(step=60, method="nearest")
    found = [
        of_time(f"{rate(ds)}: train accuracy reaches {level:.2f}", step, times(ds.step.values, begun, level), whole)
        for level, step in RIGHT_TRAIN
    ]
    text = f"{rate(ds)}: median test accuracy at step 60"
    flat = Claim(text, RIGHT, "0.505 +- .05", Median(early) if whole else None, (0.455, 0.555))
    late = None
    if whole:
        steps, _, test = panel(ds)
        late = times(steps, test, 0.9)
    return [*found, flat, of_time(f"{rate(ds)}: test accuracy reaches 0.90", 1550, late, whole)]


def of_time(text, step, found, whole):
    """Return the claim that the median time is the listed one, to 15 %."""
    what = Median(found) if whole else None
    return Claim(text, RIGHT, f"median at step {step} +- 15 %", what, (0.85 * step, 1.15 * step), unit="steps")


def of_features(ds):
    """Return the claims on neurons, one value per run."""
    whole, last = full(ds), ds.sel(step=LAST, method="nearest")
    grown = last.cluster_amplification
    first, later = ds.own_feature_share.isel(step=0), last.own_feature_share
    ratio = grown.sel(side="own") / grown.sel(side="other")

    def of(text, expected, values, agrees, unit="of the neurons"):
        return Claim(text, AMPLIFIED, expected, Median(values) if whole else None, agrees, unit=unit)

    return [
        of(
            "before training a neuron lies along the mean of its own class as often as along the other",
            "chance: .45 to .55 of the neurons",
            first,
            (0.45, 0.55),
        ),
        of(
            "after 10 updates nearly all neurons lie along the mean of their own class",
            "at least .95",
            later,
            (0.95, 1.0),
        ),
        of(
            "the own mean is amplified more than the other",
            "at least 5 times as much after 10 updates",
            ratio,
            (5, np.inf),
            "times",
        ),
    ]


def of_network(ds):
    """Return the claim that full points give the accuracies of the dual dynamics, drawn by other means."""
    text = "trained on full points, the mean test accuracy is that of the dual dynamics, to .02 at every record"
    if base(ds).task.dimension < 1000:
        return Claim(text, "exact", "the same", None, (0, 0.02))
    one = ds.test_accuracy.transpose("seed", "step").values
    other = dual.curves(setting(ds), CHECK_SEEDS, ds.step.values.tolist()).test
    return Claim(text, "exact", "the same", MaximalError(one, other.mean(axis=0)), (0, 0.02))


def figure(results):
    neurons = results["neurons"]
    with style.context():
        drawn = style.new_figure(7.0, 4.2)
        top, bottom = drawn.subplots(2, 3)
        for ax, side, panel in ((top[0], "left", left_panel), (top[1], "right", right_panel)):
            accuracies(ax, *panel(results[f"{side}_twice"]))
            beside(ax, *left_panel(results[side]))
        if full(results["left"]):
            mark(top[0], "test", range(len(TEST)), TEST)
            mark(top[0], "train", (0, 1), (0.4975, 1))
            for part, listed in (("train", RIGHT_TRAIN), ("test", RIGHT_TEST)):
                mark(top[1], part, [step for _, step in listed], [value for value, _ in listed])
        top[0].set_title("left panel")
        top[1].set_title("right panel")
        drawn.legend(*top[1].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=6.5)
        amplification(top[2], results["left"])
        for ax, step in zip(bottom, (0, EARLY, LATE), strict=True):
            histogram(ax, neurons.sel(step=step), step)
        bottom[2].legend(fontsize=6, loc="upper left")
        bottom[0].set_ylabel("neurons")
        for letter, ax in zip("abcdef", (*top, *bottom), strict=True):
            style.letter(ax, letter)
    return drawn


def left_panel(ds):
    """Return steps, train and test accuracy [seed, step] of a sweep."""
    return ds.step.values, *(ds[f"{part}_accuracy"].transpose("seed", "step").values for part in ("train", "test"))


def accuracies(ax, steps, train, test):
    """Draw medians over seeds, from the 20 % to the 80 % quantile, and darker the 95 % interval of the median."""
    for part, values in (("train", train), ("test", test)):
        color = style.SPLIT_COLORS[part]
        for alpha, ends in ((0.15, np.quantile(values, (0.2, 0.8), axis=0)), (0.3, interval(values))):
            ax.fill_between(steps + 1, *ends, color=color, alpha=alpha, linewidth=0)
        ax.plot(steps + 1, median(values), color=color, label=f"{part}, twice the rate")
    ax.set(xscale="log", xlabel="step + 1", ylabel="accuracy", ylim=(0.42, 1.03))


def beside(ax, steps, train, test):
    """Draw the medians at the rate of the text."""
    for part, values in (("train", train), ("test", test)):
        look = {"color": style.SPLIT_COLORS[part], "linestyle": style.LINE_STYLES[1], "linewidth": 0.9}
        ax.plot(steps + 1, median(values), label=f"{part}, rate of the text", **look)


def mark(ax, part, steps, values):
    """Mark a paper's values by open circles."""
    look = {"facecolors": "none", "edgecolors": style.SPLIT_COLORS[part], "linewidths": 0.7, "zorder": 4}
    ax.scatter(np.asarray(steps) + 1, values, s=14, label=f"{part}, paper", **look)


def amplification(ax, ds):
    """Draw by how much products of neurons with their own and with the other mean have grown."""
    for color, side in zip(style.CYCLE[2:], ("own", "other"), strict=False):
        values = ds.cluster_amplification.sel(side=side).transpose("seed", "step").values
        ax.fill_between(ds.step + 1, *np.quantile(values, (0.2, 0.8), axis=0), color=color, alpha=0.2, linewidth=0)
        ax.plot(ds.step + 1, median(values), color=color, label=f"{side} mean")
    ax.set(xscale="log", yscale="log", xlabel="step + 1", ylabel="neurons along a mean,\nover step 0")
    ax.legend(fontsize=6)


def histogram(ax, ds, step):
    """Draw the cosines of all neurons with the mean of their own class and with the other."""
    cosines, vote = ds.neuron_mean_cosine.values, ds.neuron_vote.values
    own = np.where(vote > 0, cosines[..., 0], cosines[..., 1]).ravel()
    other = np.where(vote > 0, cosines[..., 1], cosines[..., 0]).ravel()
    most = 1.05 * max(np.abs(own).max(), np.abs(other).max())
    for color, name, values in zip(style.CYCLE[2:], ("own", "other"), (own, other), strict=False):
        ax.hist(values, bins=np.linspace(-most, most, 61), color=color, alpha=0.6, label=f"{name} mean")
    ax.set(xlabel="cosine with a mean", title=f"step {step}", yscale="log", ylim=(0.8, None))
