"""Nanda et al. 2023: the fewer the data, the later a one-layer transformer generalises; its circuit forms before."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, interpolated_step
from grokdyn.plot import Panel

SOURCE = "Nanda et al. 2023; decoded from the published curves, one seed"
MEANT = "Nanda et al. 2023, progress measures over training"
# train_fraction -> first step with a test loss below 1.
PAPER = {
    0.25: 21419,
    0.28: 14465,
    0.3: 7583,
    0.4: 2615,
    0.5: 744,
    0.6: 270,
    0.7: 129,
    0.8: 177,
    0.9: 156,
    0.95: 123,
}
# Over seeds, around the one published.
SPANS = {0.3: (5500, 11_000), 0.4: (2000, 4000)}
# Above this fraction the published order is within the noise of a seed.
ORDERED = 0.6
MEASURES = ("train_loss", "test_loss", "restricted_loss", "excluded_loss")


def below(losses, threshold):
    """Return the first step at which losses are below a threshold, interpolated in their logarithm; nan: not reached.

    The runs are as long as their budget, so one that does not get there does not decide.
    """
    found = interpolated_step(-np.log(losses), -np.log(threshold))
    return found.where(np.isfinite(found))


def claims(results):
    ds = results["fractions"]
    generalised, fitted = below(ds.test_loss, 1.0), below(ds.train_loss, 0.1)
    early = ds.step[-1] < 250
    ordered = generalised.sel(train_fraction=[f for f in ds.train_fraction.values if f <= ORDERED])
    found = [
        Claim(
            "train loss is below 0.1 early, at every fraction",
            SOURCE,
            "by step 134 to 217",
            fitted.where(~early),
            high=250,
            unit="steps",
        ),
        Claim(
            "test loss falls below 1 later with less data",
            SOURCE,
            "21,419 steps at .25, 123 at .95",
            -ordered.diff("train_fraction"),
            low=0,
            unit="steps",
        ),
    ]
    for fraction, (low, high) in SPANS.items():
        if fraction in ds.train_fraction.values:
            value = generalised.sel(train_fraction=fraction)
            told = f"{PAPER[fraction]:,} in its seed"
            text = f"at fraction {fraction} test loss falls below 1"
            found.append(Claim(text, SOURCE, told, value, low, high, "steps"))
    return found + measures(results["progress"])


def at(values, steps):
    """Return every run's value at a step of its own; nan for none."""
    known = steps.fillna(0)
    return values.sel(step=known).drop_vars("step").where(np.isfinite(steps))


def half_fallen(losses):
    """Return the last step at which a loss is still half of its largest value; nan for a loss that rises in the end."""
    large = losses >= losses.max("step") / 2
    last = losses.step.where(large).max("step")
    return last.where(last < losses.step[-1])


def measures(ds):
    phases = gd.analysis.progress_phases(ds)
    begin, end = phases.circuit_formation, phases.cleanup
    # The phase begins between two records: at the first of them the train loss may still be on its way down.
    between = (ds.step > begin) & (ds.step <= end)
    earlier = half_fallen(ds.test_loss) - half_fallen(ds.restricted_loss)
    return [
        Claim(
            "excluded loss rises during circuit formation",
            MEANT,
            "rises",
            at(ds.excluded_loss, end) / at(ds.excluded_loss, begin),
            low=2,
            unit="times",
        ),
        Claim(
            "train loss is low and flat meanwhile",
            MEANT,
            "flat",
            ds.train_loss.where(between).max("step").where(np.isfinite(end)),
            high=0.1,
        ),
        Claim("restricted loss falls before test loss", MEANT, "falls first", earlier, low=0, unit="steps"),
    ]


def figure(results):
    ds = results["fractions"]
    shown = [f for f in ds.train_fraction.values.tolist() if f <= ORDERED] or ds.train_fraction.values.tolist()[:1]
    paper = {f: ([PAPER[f]], [1.0]) for f in shown if f in PAPER and PAPER[f] <= ds.step[-1]}
    part = ds.sel(train_fraction=shown)
    return gd.plot.beside(
        [
            Panel("train", part, ("train_loss",), hue="train_fraction", xscale="log"),
            Panel("test", part, ("test_loss",), hue="train_fraction", paper=paper, xscale="log"),
            Panel("test", part, ("test_accuracy",), hue="train_fraction", xscale="log"),
            Panel("progress measures", results["progress"], MEASURES, yscale="log"),
        ]
    )
