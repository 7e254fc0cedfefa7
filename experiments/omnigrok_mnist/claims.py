"""Omnigrok (Liu, Michaud & Tegmark 2023) on images: eight times the usual initial weights make digits grok."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, interpolated_step
from grokdyn.plot import Panel

SOURCE = "Liu et al. 2023, MNIST; digitised from the released notebook, one seed, tested on 10,000 images"
EARLY = 5000
PAPER = {
    "train_accuracy": ([700, 1300, 2500], [0.6, 0.95, 1.0]),
    "test_accuracy": ([10_000, 20_000, 33_000, 50_000, 100_000], [0.18, 0.4, 0.8, 0.87, 0.89]),
}


def claims(results):
    ds = results["scale_8"]
    early = ds.sel(step=slice(0, EARLY))
    whole = float(ds.step[-1]) >= EARLY
    fit, late = interpolated_step(ds.train_accuracy, 0.95), interpolated_step(ds.test_accuracy, 0.8)
    enough = float(ds.step[-1]) >= 6 * EARLY
    return [
        Claim(
            f"for {EARLY:,} steps the network does not generalise",
            SOURCE,
            "18 % until step 10,000",
            early.test_accuracy.max("step").where(whole, np.nan),
            high=0.3,
        ),
        Claim("by then it fits", SOURCE, "95 % near step 1,300", fit.where(whole, np.nan), high=EARLY, unit="steps"),
        Claim(
            "later it generalises",
            SOURCE,
            "80 % near step 33,000",
            late.where(np.isfinite(late) | enough, np.nan),
            low=EARLY,
            high=float(ds.step[-1]),
            unit="steps",
        ),
    ]


def figure(results):
    ds = results["scale_8"]
    points = {name: PAPER[name] for name in PAPER} if float(ds.step[-1]) >= 6 * EARLY else {}
    return gd.plot.beside(
        [
            Panel("MNIST, initial weights × 8", ds, paper=points, xscale="log"),
            Panel("weight norm", ds, ("weight_norm",), xscale="log"),
        ]
    )
