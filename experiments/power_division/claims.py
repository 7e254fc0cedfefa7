"""Power et al. 2022: on division, test accuracy rises long after the train rows are fitted; decay makes it earlier."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, crossing, quotient
from grokdyn.plot import Panel

SOURCE = "Power et al. 2022, figures 1 and 2"
FIT, GENERALISED = 0.99, 0.95
# Fitted within this many steps, in the paper's figure 1.
EARLY = 1000


def claims(results):
    ds = results["division"]
    fitted = {decay: crossing(ds.train_accuracy.sel(weight_decay=decay), FIT) for decay in (0.0, 1.0)}
    general = {decay: crossing(ds.test_accuracy.sel(weight_decay=decay), GENERALISED) for decay in (0.0, 1.0)}
    return [
        Claim(
            "the train rows are fitted early",
            SOURCE,
            "before step 1,000",
            Median(fitted[0.0]),
            (0, EARLY),
            unit="steps",
        ),
        Claim(
            "without decay test accuracy of 95 % comes long after fitting",
            SOURCE,
            "a hundred times and more",
            Median(quotient(general[0.0], fitted[0.0])),
            (2, np.inf),
            unit="times the steps to fit",
        ),
        Claim(
            "decay makes it earlier",
            SOURCE,
            "weight decay 1 needs the fewest data",
            Contrast(general[0.0], general[1.0]),
            (1, np.inf),
            unit="times the steps with decay",
        ),
    ]


def figure(results):
    ds = results["division"]
    return gd.plot.beside(
        [
            Panel("train", ds, ("train_accuracy",), hue="weight_decay", xscale="log"),
            Panel("test", ds, ("test_accuracy",), hue="weight_decay", xscale="log"),
        ]
    )
