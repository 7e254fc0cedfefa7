"""Outliers with opposing signals (Rosenfeld & Risteski 2023): sharpening, and spikes at the edge of stability."""

import numpy as np
from scipy.stats import spearmanr

from grokdyn.analysis.claims import Claim, Contrast, Median, mean, most
from grokdyn.plot import style

PAPER = "Rosenfeld & Risteski 2023 (arXiv 2311.04163)"
# What share of the train rows either group is, and the steps without which nothing is decided.
SHARE, SHORT = 10 / 220, 50
# Fewer steps beyond the edge tell nothing of a run; so many from the first on are looked at; a spike is so many times
# the least loss before.
FEWEST, AFTER, SPIKE = 5, 100, 1.5
NETWORKS = {"linear": "gd_linear", "ReLU": "gd_relu"}
ADAM = {"linear": "adam_linear", "ReLU": "adam_relu"}


def claims(results):
    made = []
    for name, sweep in NETWORKS.items():
        slow, fast, plain = arms(results[sweep])
        made += sharpening(name, slow)
        made += at_the_edge(name, slow, fast)
        made += spiking(name, slow, fast, plain)
        made += under_adam(name, fast, results[ADAM[name]].squeeze(drop=True))
    return [*made, proportional(results["signals"]), *images(results["digits"])]


def arms(ds):
    """Return the runs with outliers at the low rate and at the high one, and those without at the high one."""
    low, high = ds.learning_rate.values
    return (ds.sel(size=size, learning_rate=rate) for size, rate in ((10.0, low), (10.0, high), (1.0, high)))


def long(ds):
    return int(ds.step[-1]) > SHORT


def of_runs(ds, number):
    """Return a number of every run, nan where it has none."""
    return np.asarray([number(ds.isel(seed=i)) for i in range(ds.sizes["seed"])], np.float64)


def median(text, expected, ds, number, agrees, unit="", source=PAPER):
    return Claim(text, source, expected, Median(of_runs(ds, number)) if long(ds) else None, agrees, unit=unit)


def sharpening(name, slow):
    text = f"{name}, far from the edge: the largest sharpness is twice the first"
    return [median(text, "sharpness rises", slow, rise_of_sharpness, (2, np.inf), "times")]


def rise_of_sharpness(run):
    values = run.preconditioned_sharpness.values
    return np.nanmax(values) / values[0]


def beyond(run):
    """Return the steps with a sharpness beyond the edge; none where they are too few."""
    found = np.flatnonzero(run.stability_ratio.values > 1)
    return found if len(found) >= FEWEST else found[:0]


def edge_mean(word, of=np.mean):
    """Return run -> what a variable is on average beyond the edge."""

    def number(run):
        steps = beyond(run)
        return of(run[word].values[steps]) if len(steps) else np.nan

    return number


def while_it_learns(word):
    """Return run -> what a variable is on average while the train loss is at least twice its least."""

    def number(run):
        losses = run.train_loss.values
        return run[word].values[losses >= 2 * losses.min()].mean()

    return number


def at_the_edge(name, slow, fast):
    return [
        median(
            f"{name}, far from the edge: the rows that move most go on in the next step",
            "no oscillation",
            slow,
            while_it_learns("swapped"),
            (0, 0.2),
            "share that moves back",
        ),
        median(
            f"{name}, beyond the edge: the rows that move most move back in the next step",
            "they oscillate",
            fast,
            edge_mean("swapped"),
            (0.8, 1),
            "share that moves back",
        ),
        median(
            f"{name}, beyond the edge: gradients of the two groups point against each other",
            "cosine near -1",
            fast,
            edge_mean("opposing_cosine", np.median),
            (-1, -0.8),
            "cosine",
        ),
    ]


def highest(run):
    """Return the step from which the train loss jumps most, of those after it had first halved."""
    losses = run.train_loss.values
    begin = int(np.argmax(losses < losses[0] / 2))
    return begin + int(np.argmax(np.diff(losses[begin:])))


def share_of_outliers(run):
    """Return what part of the largest jump of the train loss the two groups make."""
    at = highest(run)
    jump, up, down = (np.diff(run[word].values)[at] for word in ("train_loss", "positive_loss", "negative_loss"))
    return SHARE * (up + down) / jump


def together(run):
    """Return the rank correlation of the train loss and the distance of the groups' losses around the edge."""
    steps = beyond(run)
    if not len(steps):
        return np.nan
    window = slice(steps[0], steps[0] + AFTER)
    apart = np.abs(run.positive_loss - run.negative_loss).values[window]
    return spearmanr(run.train_loss.values[window], apart).statistic


def spike(run):
    """Return the largest quotient of the train loss and the least before it."""
    losses = run.train_loss.values[: 2 * AFTER]
    return np.max(losses / np.minimum.accumulate(losses))


def spiking(name, slow, fast, plain):
    def spiked(ds, wanted):
        return of_runs(ds, lambda run: (spike(run) >= SPIKE) == wanted)

    def all_seeds(text, expected, ds, wanted):
        return most(f"{name}, {text}", PAPER, expected, spiked(ds, wanted), measured=long(ds))

    told = f"at least {SPIKE} times its least before"
    return [
        all_seeds(f"beyond the edge: the train loss spikes, to {told}", "spikes", fast, True),
        all_seeds("far from the edge: it does not", "no spikes", slow, False),
        all_seeds("the high rate without large features: it does not", "outliers are the cause", plain, False),
        median(
            f"{name}: the two groups make the largest jump of the train loss",
            "spikes are theirs",
            fast,
            share_of_outliers,
            (0.8, 1.2),
            "of the jump",
        ),
        median(
            f"{name}: the train loss is high when the two groups' losses are far apart",
            "spikes coincide",
            fast,
            together,
            (0.5, 1),
            "rank correlation",
        ),
        most(
            f"{name}: in the end the sharpness is no more than 5 % beyond the edge",
            PAPER,
            "it hovers there",
            of_runs(fast, lambda run: run.stability_ratio.values[-1] <= 1.05),
            measured=long(fast),
        ),
    ]


def against(run):
    """Return the correlation of the changes of the two groups' losses over the first steps."""
    up, down = (np.diff(run[word].values[: AFTER + 1]) for word in ("positive_loss", "negative_loss"))
    return np.corrcoef(up, down)[0, 1]


def under_adam(name, fast, adam):
    spikes = Contrast(of_runs(fast, spike), of_runs(adam, spike)) if long(fast) else None
    return [
        median(
            f"{name}, Adam: the losses of the two groups change against each other",
            "as under gradient descent",
            adam,
            against,
            (-1, -0.3),
            "correlation of changes",
        ),
        Claim(
            f"{name}: the largest spike of gradient descent is higher than Adam's",
            PAPER,
            "Adam damps",
            spikes,
            (1.2, np.inf),
            (1.0, np.inf),
            unit="times",
        ),
    ]


def images(ds):
    """Claim of images, in which nobody planted two groups, what holds of the toy."""
    slow, fast = (ds.isel(learning_rate=i) for i in range(2))

    def beyond_the_edge(text, expected, word, of, agrees, unit):
        return median(f"digits, ReLU, beyond the edge: {text}", expected, fast, edge_mean(word, of), agrees, unit)

    return [
        median(
            "digits, ReLU, far from the edge: the rows that move most go on in the next step",
            "no oscillation",
            slow,
            lambda run: run.swapped.values.mean(),
            (0, 0.2),
            "share that moves back",
        ),
        beyond_the_edge(
            "the rows that move most move back in the next step",
            "they oscillate",
            "swapped",
            np.mean,
            (0.8, 1),
            "share that moves back",
        ),
        beyond_the_edge(
            "so do all rows, in ranks of their changes",
            "strongly negative",
            "loss_change_correlation",
            np.mean,
            (-1, -0.5),
            "rank correlation",
        ),
        beyond_the_edge(
            "gradients of the two groups point against each other",
            "cosine near -1",
            "opposing_cosine",
            np.median,
            (-1, -0.8),
            "cosine",
        ),
    ]


def proportional(ds):
    text = "linear, far from the edge: the sharpness in the end is proportional to |beta|"
    found = None
    if int(ds.step[-1]) > SHORT:
        sharpness = ds.sharpness.isel(step=-1).transpose("signal", "seed").values
        found = mean(np.polyfit(np.log(ds.signal.values), np.log(sharpness), 1)[0], "mean exponent")
    return Claim(text, PAPER, "linear in |beta|", found, (0.9, 1.1), unit="exponent")


def figure(results):
    colors = style.CYCLE
    with style.context():
        drawn = style.new_figure(7.0, 6.6)
        panels = drawn.subplots(3, 3)
        for row, (name, sweep) in zip(panels, NETWORKS.items(), strict=False):
            slow, fast, _ = arms(results[sweep])
            adam = results[ADAM[name]].squeeze(drop=True)
            sharp, groups, losses = row
            sharpnesses(sharp, slow, fast, name)
            one = fast.isel(seed=0)
            for word, color in (("positive", colors[2]), ("negative", colors[3])):
                groups.plot(one.step, one[f"{word}_loss"], color=color, lw=0.8, label=f"{word} outliers")
            groups.plot(one.step, one.train_loss, color=style.INK, lw=0.8, label="all train rows")
            told = f"descent, {float(fast.learning_rate):g}"
            for ds, color, label in ((fast, colors[1], told), (adam, colors[4], "Adam")):
                band(losses, ds.train_loss, color, label)
            groups.set(ylabel="loss of one run", title=f"{name}, descent", yscale="log")
            groups.set_ylim(top=50 * float(one.negative_loss.max()))
            losses.set(ylabel="train loss", title=name, yscale="log")
            for ax in row:
                ax.set_xlim(0, min(150, int(slow.step[-1])))
        of_images(panels[2], results["digits"])
        for letter, ax in zip("abcdefghi", panels.flat, strict=True):
            ax.set_xlabel("step")
            ax.legend(fontsize=6, loc="upper right")
            style.letter(ax, letter)
    return drawn


def sharpnesses(ax, slow, fast, title):
    """Draw the sharpness at both rates, and the edge of the high one."""
    for ds, color in zip((slow, fast), style.CYCLE, strict=False):
        band(ax, ds.preconditioned_sharpness, color, f"rate {float(ds.learning_rate):g}")
    rate = float(fast.learning_rate)
    ax.axhline(2 / rate, color=style.INK, ls="--", lw=0.7, label=f"2 / {rate:g}")
    top = 1.6 * float(max(ds.preconditioned_sharpness.max() for ds in (slow, fast)))
    ax.set(ylabel="sharpness", title=title, ylim=(0, top))


def of_images(row, ds):
    """Draw of images the sharpness, how many rows move back, and the cosine of the two groups."""
    slow, fast = (ds.isel(learning_rate=i) for i in range(2))
    sharpnesses(row[0], slow, fast, "digits, ReLU")
    for ax, word, told in ((row[1], "swapped", "share that moves back"), (row[2], "opposing_cosine", "groups' cosine")):
        for one, color in zip((slow, fast), style.CYCLE, strict=False):
            band(ax, one[word], color, f"rate {float(one.learning_rate):g}")
        ax.set(ylabel=told, title="digits, ReLU", ylim=(-1.05, 1.6))
    row[1].set_ylim(-0.05, 1.6)


def band(ax, values, color, label):
    """Draw the median over seeds, and where nine in ten runs are."""
    low, middle, high = np.nanquantile(values.transpose("seed", "step").values, [0.05, 0.5, 0.95], axis=0)
    ax.plot(values.step, middle, color=color, label=label)
    ax.fill_between(values.step, low, high, color=color, alpha=0.25, lw=0)
