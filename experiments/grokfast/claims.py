"""Grokfast (Lee et al. 2024): amplifying the slow part of the gradients shortens the delay of generalisation."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, interpolated_step
from grokdyn.plot import Panel

SOURCE = "Lee et al. 2024, x * y mod 97; README of the released code, one seed of a transformer"
LEVEL = 0.95


def speed_up(baseline, filtered):
    """Return steps to 95 % without the filter over those with it, by seed; at least that where the former has none."""
    slow, fast = (interpolated_step(ds.test_accuracy, LEVEL) for ds in (baseline, filtered))
    slow = slow.where(np.isfinite(slow), float(baseline.step[-1]))
    return slow / fast


def claims(results):
    baseline, ema, ma = (results[name] for name in ("baseline", "ema", "ma"))
    fits = interpolated_step(baseline.train_accuracy, LEVEL)
    return [
        Claim(
            "the baseline fits long before it generalises",
            SOURCE,
            "39,890 steps to 95 %",
            speed_up(baseline, baseline) * 0 + interpolated_step(baseline.test_accuracy, LEVEL) / fits,
            low=5,
            unit="times the steps to fit",
        ),
        Claim(
            "Grokfast-EMA needs fewer steps to 95 %",
            SOURCE,
            "910 steps, 44 times fewer",
            speed_up(baseline, ema),
            low=5,
            unit="times fewer",
        ),
        Claim(
            "Grokfast-MA needs fewer steps to 95 %",
            SOURCE,
            "790 steps, 50 times fewer",
            speed_up(baseline, ma),
            low=5,
            unit="times fewer",
        ),
    ]


def figure(results):
    names = {"baseline": "baseline", "ema": "Grokfast-EMA", "ma": "Grokfast-MA"}
    return gd.plot.beside([Panel(title, results[name], xscale="log") for name, title in names.items()])
