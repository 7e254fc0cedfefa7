"""Power et al. 2022: on division, test accuracy rises long after the train rows are fitted; decay makes it earlier."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, interpolated_step
from grokdyn.plot import Panel

SOURCE = "Power et al. 2022, figures 1 and 2"
FIT, GENERALISED = 0.99, 0.95
# Fitted within this many steps, in the paper's figure 1.
EARLY = 1000


def reached(accuracy, threshold):
    """Return the first step at a threshold; nan where the budget was too short to reach it."""
    found = interpolated_step(accuracy, threshold)
    return found.where(np.isfinite(found))


def claims(results):
    ds = results["division"]
    decayed, plain = ds.sel(weight_decay=1.0), ds.sel(weight_decay=0.0)
    fitted, general = reached(ds.train_accuracy, FIT), reached(ds.test_accuracy, GENERALISED)
    late, early = (interpolated_step(part.test_accuracy, GENERALISED) for part in (plain, decayed))
    faster = (late - early).where(np.isfinite(early))  # infinite where only decay got there
    return [
        Claim("the train rows are fitted early", SOURCE, "before step 1,000", fitted, high=EARLY, unit="steps"),
        Claim(
            "test accuracy of 95 % comes long after fitting",
            SOURCE,
            "a hundred times and more without decay",
            (general / fitted),
            low=2,
            unit="times",
        ),
        Claim("decay makes it earlier", SOURCE, "weight decay 1 needs the fewest data", faster, low=0, unit="steps"),
    ]


def figure(results):
    ds = results["division"]
    return gd.plot.beside(
        [
            Panel("train", ds, ("train_accuracy",), hue="weight_decay", xscale="log"),
            Panel("test", ds, ("test_accuracy",), hue="weight_decay", xscale="log"),
        ]
    )
