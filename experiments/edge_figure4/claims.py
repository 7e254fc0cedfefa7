"""Figure 4 of Prieto et al. 2025: StableMax groks addition, multiplication and sparse parity without regularisation."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Median, crossing, most, near, within
from grokdyn.plot import Panel

SOURCE = "Prieto et al. 2025, figure 4; digitised from the published notebook, one seed"
THOUSAND = 1000
PAPER = {
    "addition": (
        [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 70, 85, 95],
        [0.005, 0.01, 0.027, 0.06, 0.139, 0.294, 0.518, 0.733, 0.875, 0.939, 0.964, 0.976, 0.983, 0.99, 0.992],
    ),
    "product": (
        [20, 30, 40, 45, 50, 55, 60, 65, 70, 80],
        [0.022, 0.039, 0.122, 0.227, 0.39, 0.59, 0.76, 0.86, 0.924, 0.967],
    ),
    "parity": ([0, 5, 10, 15, 20, 25], [0.52, 0.82, 0.91, 0.959, 0.985, 0.999]),
}
# task -> a level of test accuracy, and the step at which the paper's seed passes it
HALVES = {
    "addition": (0.5, 34_700),
    "product": (0.5, 52_800),
    "parity": (0.9, 9_500),
}


def paper_of(results, name):
    """Return the paper's values, which for the modular tasks are for p = 113 only."""
    task = gd.Sweep.from_toml(results[name].attrs["spec"]).base.task
    return PAPER[name] if getattr(task, "p", 113) == 113 else None


def claims(results):
    found = []
    for name, (level, told) in HALVES.items():
        ds = results[name]
        whole = paper_of(results, name) is not None
        reached = crossing(ds.test_accuracy, level)
        growth = ds.weight_norm.isel(step=-1) / ds.weight_norm.isel(step=0)
        found += [
            Claim(
                f"{name}: test accuracy passes {level:.0%} without regularisation, near the step of the paper's seed",
                SOURCE,
                f"step {told:,}" + (" (p = 113)" if name != "parity" else ""),
                Median(reached) if ds.step[-1] >= 10_000 else None,
                near(told) if whole else (2_000, 40_000),
                published=told if whole else None,
                unit="steps",
            ),
            most(
                f"{name}: the weight norm grows while the network groks",
                SOURCE,
                "tenfold or more from the first record to the last",
                within(growth, 10.0),
            ),
        ]
    return found


def figure(results):
    def paper(name):
        told = paper_of(results, name)
        return {} if told is None else {"test_accuracy": (THOUSAND * np.asarray(told[0]), told[1])}

    accuracy = [Panel(name, results[name], paper=paper(name)) for name in PAPER]
    norms = [Panel("", results[name], ("weight_norm",), yscale="log") for name in PAPER]
    return gd.plot.beside([*accuracy, *norms])
