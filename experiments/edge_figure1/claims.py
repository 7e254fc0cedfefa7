"""Figure 1 of Prieto et al. 2025: three ways to train without regularisation, two of which grok."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Median, crossing, most, near, within
from grokdyn.plot import Panel

SOURCE = "Prieto et al. 2025, figure 1; digitised from the published notebook, one seed"
PERPGRAD = ([80, 90, 100, 110, 120], [0.03, 0.185, 0.63, 0.955, 1.0])
STABLEMAX = (
    [0, 5e3, 10e3, 15e3, 20e3, 25e3, 30e3, 35e3, 40e3, 45e3, 50e3, 55e3, 60e3, 70e3],
    [0.008, 0.005, 0.01, 0.027, 0.06, 0.139, 0.294, 0.518, 0.733, 0.875, 0.939, 0.964, 0.976, 0.983],
)
CROSS_ENTROPY = ([5e3, 75e3], [0.005, 0.01])


def full(results):
    """Return whether this is the paper's setting; its steps are no guide to another."""
    return modulus(results) == 113


def modulus(results):
    """Return p."""
    return gd.Sweep.from_toml(results["stablemax"].attrs["spec"]).base.task.p


def claims(results):
    perpgrad, stablemax, cross = (results[name] for name in ("perpgrad", "stablemax", "cross_entropy"))
    whole = full(results)
    early, half = (crossing(ds.test_accuracy, 0.5) for ds in (perpgrad, stablemax))
    long = stablemax.step[-1] >= 40_000
    norm = stablemax.weight_norm.isel(step=slice(1, None))
    growth = norm.diff("step") / norm.isel(step=slice(None, -1))
    done = perpgrad.test_accuracy.sel(step=slice(0, 130 if whole else 300)).max("step")
    return [
        Claim(
            "perpGrad with AdamW reaches 50 % test accuracy at once",
            SOURCE,
            "step 97 (p = 113)",
            Median(early),
            near(97) if whole else (10, 300),
            published=97 if whole else None,
            unit="steps",
        ),
        most("perpGrad with AdamW generalises completely", SOURCE, "100 % by step 130 (p = 113)", within(done, 0.99)),
        most(
            "StableMax groks without regularisation",
            SOURCE + "; two seeds of a prototype, too",
            "50 % at step 35,000 (p = 113)",
            np.isfinite(half[1]),
            measured=long,
        ),
        Claim(
            "StableMax reaches 50 % test accuracy near the step of the paper's seed",
            SOURCE + "; two seeds of a prototype: 51,000 and 38,000",
            "step 35,000 (p = 113)",
            Median(half) if whole else None,
            near(35_000),
            published=35_000,
            unit="steps",
        ),
        most(
            "the weight norm under StableMax grows smoothly to the end",
            SOURCE,
            "grows from record to record, at most by half from the second on",
            within(((growth > 0) & (growth < 0.5)).where(growth.notnull()).mean("step"), 0.97),
        ),
        most(
            "cross-entropy in float64 does not generalise",
            SOURCE,
            "test accuracy under 2 % throughout",
            within(cross.test_accuracy.max("step"), high=0.02 if whole else 2.35 / modulus(results)),  # chance is 1 / p
        ),
        most(
            "cross-entropy in float64 fits",
            SOURCE,
            "train accuracy 100 % by step 5,000",
            within(cross.train_accuracy.sel(step=slice(0, 5000)).max("step"), 0.999),
        ),
    ]


def figure(results):
    def paper(values):
        return {"test_accuracy": values} if full(results) else {}

    return gd.plot.beside(
        [
            Panel("perpGrad", results["perpgrad"], paper=paper(PERPGRAD)),
            Panel("StableMax", results["stablemax"], paper=paper(STABLEMAX)),
            Panel("cross-entropy, float64", results["cross_entropy"], paper=paper(CROSS_ENTROPY)),
        ]
    )
