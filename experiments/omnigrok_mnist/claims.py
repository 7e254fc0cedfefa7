"""Omnigrok (Liu, Michaud & Tegmark 2023) on images: eight times the usual initial weights make digits grok."""

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Median, crossing, most, near, within
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


def figure(results):
    ds = results["scale_8"]
    points = {name: PAPER[name] for name in PAPER} if float(ds.step[-1]) >= 6 * EARLY else {}
    return gd.plot.beside(
        [
            Panel("MNIST, initial weights × 8", ds, paper=points, xscale="log"),
            Panel("weight norm", ds, ("weight_norm",), xscale="log"),
        ]
    )
