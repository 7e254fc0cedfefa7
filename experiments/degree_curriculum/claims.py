"""Sparse parity with light strings first, or with hard rows weighed more: how many updates until it is learned."""

import numpy as np

from grokdyn.analysis.claims import Claim, Contrast, crossing
from grokdyn.plot import style

CURRICULUM = "Abbe et al. 2023 (arXiv 2301.13105), degree curriculum"
HARD = "weights in proportion to a row's loss, as boosting and focal losses have them"
LEARNED = 0.95
TOLD = {"plain": "all alike", "curriculum": "light strings first", "hard": "hard rows weigh more"}


def learned(ds):
    """Return between which records each run's test accuracy comes to LEARNED."""
    return crossing(ds.test_accuracy, LEARNED)


def held(values):
    """Return values [runs, steps] with the last one of a run that was over in place of those that it never had."""
    last = values[np.arange(len(values)), (~np.isnan(values)).sum(1) - 1]
    return np.where(np.isnan(values), last[:, None], values)


def claims(results):
    times = {name: learned(results[name]) for name in TOLD}
    return [
        Claim(
            f"{what} learns in fewer updates than rows that are all alike",
            source,
            "faster",
            Contrast(times[name], times["plain"]),
            (0, 0.95),
            bears=(0, 1),
            unit="times the updates to a test accuracy of .95",
        )
        for name, what, source in (
            ("curriculum", "a curriculum from light to heavy strings", CURRICULUM),
            ("hard", "weighing rows by their loss", HARD),
        )
    ]


def figure(results):
    with style.context():
        drawn = style.new_figure(6.4, 2.4)
        left, right = drawn.subplots(1, 2)
        for color, (name, told) in zip(style.CYCLE, TOLD.items(), strict=False):
            ds = results[name]
            accuracy = held(ds.test_accuracy.transpose("seed", "step").values)
            left.plot(ds.step, np.median(accuracy, axis=0), color=color, label=told)
            low, high = np.quantile(accuracy, (0.1, 0.9), axis=0)
            left.fill_between(ds.step, low, high, color=color, alpha=0.18, linewidth=0)
            ended = np.sort(learned(ds)[1])
            shares = np.arange(1, len(ended) + 1) / len(ended)
            right.step(np.append(0, ended), np.append(0, shares), where="post", color=color, label=told)
        left.set(xlabel="step", ylabel="test accuracy", ylim=(0.4, 1.02))
        right.set(xlabel="step", ylabel=f"share of runs at {LEARNED:g}", ylim=(0, 1.02))
        left.legend(fontsize=6)
        for letter, ax in zip("ab", (left, right), strict=True):
            style.letter(ax, letter)
    return drawn
