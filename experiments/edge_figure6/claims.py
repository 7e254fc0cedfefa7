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


# The settings of the paper; elsewhere its steps are no guide.
MODULUS, FRACTION = 113, 0.4


def halves(ds):
    return crossing(ds.test_accuracy, 0.5)


def task_of(ds):
    return gd.Sweep.from_toml(ds.attrs["spec"]).base.task


def as_in_the_paper(ds):
    """Return whether a sweep has the paper's table and as many train rows; with others it takes other steps."""
    return (task_of(ds).p, task_of(ds).train_fraction) == (MODULUS, FRACTION)


def claims(results):
    mlp, sgd, transformer = (results[name] for name in ("mlp", "mlp_sgd", "transformer"))
    plain, perp = (mlp.isel(optimizer=i) for i in range(2))
    fast, decayed, neither = (transformer.isel(optimizer=i) for i in range(3))
    return [
        # 3.4 times chance, 1 / p, at any p
        stays("MLP: AdamW alone does not generalise", "0 % for 500 steps", plain, 0.03 * MODULUS / task_of(mlp).p),
        *of_half("MLP: perpGrad with AdamW generalises", perp, 121),
        *of_half("MLP: perpGrad with gradient descent generalises", sgd, 298),
        *of_half("transformer: perpGrad generalises", fast, 330),
        *of_half("transformer: weight decay generalises", decayed, 1005),
        only_with("MLP: with perpGrad half of the test rows are right, without it they never are", perp, plain),
        only_with("transformer: so with perpGrad, so without it and without decay", fast, neither),
        Claim(
            "transformer: perpGrad is faster than decay",
            SOURCE,
            f"a third of the steps{'' if as_in_the_paper(transformer) else f' at p = {MODULUS}, fraction {FRACTION}'}",
            Contrast(halves(fast), halves(decayed)),
            (0.0, 0.8 if as_in_the_paper(transformer) else 1.0),
            (0.0, 1.0),
            unit="of the steps",
        ),
        stays("transformer: AdamW with neither does not generalise", "about 0 %", neither, 0.1),
    ]


def stays(text, published, ds, bound):
    """Return the claim that test accuracy stays under a bound."""
    return most(text, SOURCE, published, within(ds.test_accuracy.max("step"), high=bound))


def of_half(text, ds, published):
    """Return the claim on when half of the test rows are right, where the step of the paper's seed is a guide to it."""
    if not as_in_the_paper(ds):
        return [most(text, SOURCE, f"50 % near step {published:,} at p = {MODULUS}", np.isfinite(halves(ds)[1]))]
    where = Median(halves(ds)), near(published)
    text += " near the step of the paper's seed"
    return [Claim(text, SOURCE, f"50 % near step {published:,}", *where, published=published, unit="steps")]


def only_with(text, one, other):
    """Return the claim that of one seed's two runs the one comes to half of the test rows and the other does not."""
    with_it, without = (np.isfinite(halves(ds)[1]) for ds in (one, other))
    return most(text, SOURCE, "the one does, the other never", with_it & ~without)


def named(ds, names):
    """Return a Dataset with its optimizers in the order of the names."""
    if "optimizer" not in ds.dims:
        ds = ds.expand_dims("optimizer")
    labels = np.asarray(list(names), np.dtypes.StringDType())
    return ds.isel(optimizer=list(names.values())).assign_coords(optimizer=labels)


def figure(results):
    def told(name, values):
        return values if as_in_the_paper(results[name]) else {}

    mlp = named(results["mlp"], MLP_NAMES)
    sgd = named(results["mlp_sgd"], SGD_NAMES)
    transformer = named(results["transformer"], TRANSFORMER_NAMES)
    published = {"perpGrad": TRANSFORMER["perpgrad"], "decay 1.5": TRANSFORMER["decay"]}
    return gd.plot.beside(
        [
            Panel("MLP, AdamW", mlp, ("test_accuracy",), hue="optimizer", paper=told("mlp", {"perpGrad": MLP})),
            Panel(
                "MLP, gradient descent",
                sgd,
                ("test_accuracy",),
                hue="optimizer",
                paper=told("mlp_sgd", {"perpGrad": SGD}),
            ),
            Panel(
                "transformer", transformer, ("test_accuracy",), hue="optimizer", paper=told("transformer", published)
            ),
        ]
    )
