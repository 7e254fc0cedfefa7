"""Figure 6 of Prieto et al. 2025: perpGrad generalises fastest, weight decay next, plain AdamW not at all."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, crossing, most, near, within
from grokdyn.plot import Panel

SOURCE = "Prieto et al. 2025, figure 6; digitised from the published notebook, one seed"
MLP = ([100, 120, 140, 160, 180, 240], [0.06, 0.48, 0.68, 0.88, 0.95, 0.979])
SGD = ([260, 280, 300, 320, 340, 360, 400], [0.07, 0.19, 0.53, 0.81, 0.90, 0.95, 0.99])
# The figure's axis of steps is 2.5 times too long; these are true steps.
TRANSFORMER = {
    "perpgrad": ([400, 600, 800], [0.88, 0.99, 1.0]),
    "decay": ([600, 800, 1000, 1200], [0.01, 0.08, 0.48, 0.93]),
}
# Names and places of the optimizers in the sweeps, in an order in which each has the same colour in all panels.
MLP_NAMES = {"perpGrad": 1, "AdamW": 0}
SGD_NAMES = {"perpGrad": 0}
TRANSFORMER_NAMES = {"perpGrad": 0, "AdamW": 2, "decay 1.5": 1}


# The transformer's train fraction in the paper.
FRACTION = 0.4


def halves(ds):
    return crossing(ds.test_accuracy, 0.5)


def as_in_the_paper(results):
    """Return whether the transformer has as many train rows as in the paper; with more it is faster."""
    return gd.Sweep.from_toml(results["transformer"].attrs["spec"]).base.task.train_fraction == FRACTION


def claims(results):
    mlp, sgd, transformer = (results[name] for name in ("mlp", "mlp_sgd", "transformer"))
    plain, perp = (mlp.isel(optimizer=i) for i in range(2))
    fast, decayed, neither = (transformer.isel(optimizer=i) for i in range(3))
    told = as_in_the_paper(results)
    at = "" if told else f" at fraction {FRACTION}"
    return [
        most(
            "MLP: AdamW alone does not generalise",
            SOURCE,
            "0 % for 500 steps",
            within(plain.test_accuracy.max("step"), high=0.03),
        ),
        of_half("MLP: perpGrad with AdamW generalises near the step of the paper's seed", halves(perp), 121),
        of_half("MLP: perpGrad with gradient descent generalises near the step of the paper's seed", halves(sgd), 298),
        of_half("transformer: perpGrad generalises near the step of the paper's seed", halves(fast), 330, told),
        of_half("transformer: weight decay generalises near the step of the paper's seed", halves(decayed), 1005, told),
        Claim(
            "transformer: perpGrad is faster than decay",
            SOURCE,
            f"a third of the steps{at}",
            Contrast(halves(fast), halves(decayed)),
            (0.0, 0.8),
            (0.0, 1.0),
            unit="of the steps",
        ),
        most(
            "transformer: AdamW with neither does not generalise",
            SOURCE,
            "about 0 %",
            within(neither.test_accuracy.max("step"), high=0.1),
        ),
    ]


def of_half(text, times, published, told=True):
    """Return the claim on when half of the test rows are right; with more train rows that is earlier."""
    what = Median(times) if told else None
    return Claim(
        text, SOURCE, f"50 % near step {published:,}", what, near(published), published=published, unit="steps"
    )


def named(ds, names):
    """Return a Dataset with its optimizers in the order of the names."""
    if "optimizer" not in ds.dims:
        ds = ds.expand_dims("optimizer")
    labels = np.asarray(list(names), np.dtypes.StringDType())
    return ds.isel(optimizer=list(names.values())).assign_coords(optimizer=labels)


def figure(results):
    mlp = named(results["mlp"], MLP_NAMES)
    sgd = named(results["mlp_sgd"], SGD_NAMES)
    transformer = named(results["transformer"], TRANSFORMER_NAMES)
    told = {"perpGrad": TRANSFORMER["perpgrad"], "decay 1.5": TRANSFORMER["decay"]} if as_in_the_paper(results) else {}
    return gd.plot.beside(
        [
            Panel("MLP, AdamW", mlp, ("test_accuracy",), hue="optimizer", paper={"perpGrad": MLP}),
            Panel("MLP, gradient descent", sgd, ("test_accuracy",), hue="optimizer", paper={"perpGrad": SGD}),
            Panel("transformer", transformer, ("test_accuracy",), hue="optimizer", paper=told),
        ]
    )
