"""Omnigrok (Liu, Michaud & Tegmark 2023) on images: eight times the usual initial weights make digits grok."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, crossing, most, near, within
from grokdyn.plot import Panel

SOURCE = "Liu et al. 2023, MNIST; digitised from the released notebook, one seed, tested on 10,000 images"
EARLY = 5000
IMAGES = 1000
# With fewer images and more decay than the paper's: to generalise is so many of the test images, late so many times as
# late as to fit.
GENERALISES, LATE = 0.7, 2.0
PAPER = {
    "train_accuracy": ([700, 1300, 2500], [0.6, 0.95, 1.0]),
    "test_accuracy": ([10_000, 20_000, 33_000, 50_000, 100_000], [0.18, 0.4, 0.8, 0.87, 0.89]),
}


def claims(results):
    ds = results["scale_8"]
    return as_published(ds) if as_in_the_paper(ds) else of_fewer(ds)


def as_in_the_paper(ds):
    """Return whether a sweep has as many images and as much decay; with others its steps are no guide."""
    base = gd.Sweep.from_toml(ds.attrs["spec"]).base
    return (base.task.train_points, base.optimizer.weight_decay) == (IMAGES, 0.01)


def as_published(ds):
    """Return the claims on the paper's steps."""
    early = ds.sel(step=slice(0, EARLY))
    last = float(ds.step[-1])
    fit, late = crossing(ds.train_accuracy, 0.95), crossing(ds.test_accuracy, 0.8)
    return [
        most(
            f"for {EARLY:,} steps the network does not generalise",
            SOURCE,
            "18 % until step 10,000",
            within(early.test_accuracy.max("step"), high=0.3),
            measured=last >= EARLY,
        ),
        Claim(
            "by then it fits",
            SOURCE,
            "95 % near step 1,300",
            Median(fit) if last >= EARLY else None,
            (0, EARLY),
            published=1300,
            unit="steps",
        ),
        Claim(
            "later it generalises, near the step of the paper's seed",
            SOURCE,
            "80 % near step 33,000",
            Median(late) if last >= 6 * EARLY else None,
            near(33_000),
            published=33_000,
            unit="steps",
        ),
    ]


def of_fewer(ds):
    """Return the claims on the order of things."""
    fit, late = crossing(ds.train_accuracy, 0.95), crossing(ds.test_accuracy, GENERALISES)
    fitted = ds.train_accuracy >= 0.95
    at_fit = ds.test_accuracy.isel(step=fitted.argmax("step")).where(fitted.any("step"))
    return [
        most("as it fits it does not generalise", SOURCE, "18 % until step 10,000", within(at_fit, high=0.3)),
        Claim(
            f"by step {EARLY:,} it fits",
            SOURCE,
            "95 % near step 1,300",
            Median(fit),
            (0, EARLY),
            unit="steps",
        ),
        Claim(
            "later it generalises",
            SOURCE,
            "80 % near step 33,000, 25 times as late",
            Contrast(late, fit),
            (LATE, np.inf),
            (1.0, np.inf),
            unit="times the steps to fit",
        ),
    ]


def figure(results):
    ds = results["scale_8"]
    points = PAPER if as_in_the_paper(ds) else {}
    return gd.plot.beside(
        [
            Panel("MNIST, initial weights × 8", ds, paper=points, xscale="log"),
            Panel("weight norm", ds, ("weight_norm",), xscale="log"),
        ]
    )
