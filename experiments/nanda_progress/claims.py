"""Nanda et al. 2023: the fewer the data, the later a one-layer transformer generalises; its circuit forms before."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Median, Order, crossing, near
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
# Fractions whose times are compared with the published ones.
CLAIMED = (0.3, 0.4)
# Above this fraction the published order is within the noise of a seed.
ORDERED = 0.6
MEASURES = ("train_loss", "test_loss", "restricted_loss", "excluded_loss")


def below(losses, threshold):
    """Return between which records losses come below a threshold, by run."""
    return crossing(-losses, -threshold)


def claims(results):
    ds = results["fractions"]
    long = ds.step[-1] >= 250
    generalised = {f: below(ds.test_loss.sel(train_fraction=f), 1.0) for f in ds.train_fraction.values}
    # Runs of a seed are one draw: it fits early where its slowest fraction does.
    slowest = ds.train_loss.max("train_fraction")
    found = [
        Claim(
            "train loss is below 0.1 early, at every fraction",
            SOURCE,
            "by step 134 to 217",
            Median(below(slowest, 0.1)) if long else None,
            (0, 250),
            unit="steps, the slowest fraction of a seed",
        ),
        Claim(
            "test loss falls below 1 later with less data",
            SOURCE,
            "21,419 steps at .25, 123 at .95",
            Order(tuple(generalised[f] for f in sorted(generalised, reverse=True) if f <= ORDERED)),
            (0, np.inf),
            unit="steps",
        ),
    ]
    for fraction in CLAIMED:
        if fraction in generalised:
            told = f"{PAPER[fraction]:,} in its seed"
            text = f"at fraction {fraction} test loss falls below 1 near the step of the paper's seed"
            what = Median(generalised[fraction])
            span = near(PAPER[fraction])
            found.append(Claim(text, SOURCE, told, what, span, published=PAPER[fraction], unit="steps"))
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
            Median(at(ds.excluded_loss, end) / at(ds.excluded_loss, begin)),
            (2, np.inf),
            unit="times",
        ),
        Claim(
            "train loss is low and flat meanwhile",
            MEANT,
            "flat",
            Median(ds.train_loss.where(between).max("step").where(np.isfinite(end))),
            (0, 0.1),
        ),
        Claim(
            "restricted loss falls before test loss", MEANT, "falls first", Median(earlier), (0, np.inf), unit="steps"
        ),
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
