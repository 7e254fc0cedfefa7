"""Figure 1 of Prieto et al. 2025: three ways to train without regularisation, two of which grok."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, interpolated_step
from grokdyn.plot import Panel

SOURCE = "Prieto et al. 2025, figure 1; digitised from the published notebook, one seed"
PERPGRAD = ([80, 90, 100, 110, 120], [0.03, 0.185, 0.63, 0.955, 1.0])
STABLEMAX = (
    [0, 5e3, 10e3, 15e3, 20e3, 25e3, 30e3, 35e3, 40e3, 45e3, 50e3, 55e3, 60e3, 70e3],
    [0.008, 0.005, 0.01, 0.027, 0.06, 0.139, 0.294, 0.518, 0.733, 0.875, 0.939, 0.964, 0.976, 0.983],
)
CROSS_ENTROPY = ([5e3, 75e3], [0.005, 0.01])


def claims(results):
    perpgrad, stablemax, cross = (results[name] for name in ("perpgrad", "stablemax", "cross_entropy"))
    half = interpolated_step(stablemax.test_accuracy, 0.5)
    if stablemax.step[-1] < 60_000:
        half = half.where(np.isfinite(half))  # too short to say never
    norm = stablemax.weight_norm
    steps_of_norm = (norm.diff("step") / norm.isel(step=slice(None, -1))).isel(step=slice(5, None))
    return [
        Claim(
            "perpGrad with AdamW reaches 50 % test accuracy within about a hundred steps",
            SOURCE,
            "step 97",
            interpolated_step(perpgrad.test_accuracy, 0.5),
            80,
            115,
            "steps",
        ),
        Claim(
            "perpGrad with AdamW generalises completely",
            SOURCE,
            "100 % by step 130",
            perpgrad.test_accuracy.sel(step=slice(0, 130)).max("step"),
            0.99,
        ),
        Claim(
            "StableMax groks without regularisation",
            SOURCE + "; two seeds of a prototype: 51,000 and 38,000",
            "50 % at step 35,000",
            half,
            25_000,
            60_000,
            "steps",
        ),
        Claim(
            "the weight norm under StableMax grows smoothly to the end",
            SOURCE,
            "grows between all records, never by more than half",
            ((steps_of_norm > 0) & (steps_of_norm < 0.5)).mean("step"),
            0.99,
        ),
        Claim(
            "cross-entropy in float64 does not generalise",
            SOURCE,
            "test accuracy under 2 % throughout",
            cross.test_accuracy.max("step"),
            high=0.02,
        ),
        Claim(
            "cross-entropy in float64 fits",
            SOURCE,
            "train accuracy 100 % by step 5,000",
            cross.train_accuracy.sel(step=slice(0, 5000)).max("step"),
            0.999,
        ),
    ]


def figure(results):
    return gd.plot.beside(
        [
            Panel("perpGrad, AdamW", results["perpgrad"], paper={"test_accuracy": PERPGRAD}),
            Panel("StableMax, AdamW", results["stablemax"], paper={"test_accuracy": STABLEMAX}),
            Panel("cross-entropy float64, AdamW", results["cross_entropy"], paper={"test_accuracy": CROSS_ENTROPY}),
        ]
    )
