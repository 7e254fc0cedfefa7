"""The delay law: exponents in learning rate, weight decay, data and width, with censored runs and their intervals."""

import matplotlib.figure

from grokdyn.analysis.claims.powers import power_law, published_claims
from grokdyn.analysis.lifetimes.forms import forms
from grokdyn.plot import powers, style
from grokdyn.theory.delay_laws import CRITICAL, PUBLISHED

AXES = tuple(PUBLISHED)
OTHERS = tuple(name for name in AXES if name != "weight_decay")


def with_width(ds):
    """Return results with the width of the hidden layer as a number on the axis of structures."""
    return ds.assign_coords(width=("hidden", [int(value) for value in ds.hidden.values]))


def claims(results):
    return list(published_claims(with_width(results["mlp"]), "MLP", PUBLISHED, f"all laws but {CRITICAL}"))


def figure(results):
    ds = with_width(results["mlp"])
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 5.6), layout="constrained")
        axes = drawn.subplot_mosaic([["fit", "powers"], ["local", "slopes"]])
        for letter, ax in zip("abcd", axes.values(), strict=True):
            style.letter(ax, letter)
        powers.measured(axes["fit"], power_law(ds, AXES), "learning_rate")
        powers.exponents(axes["powers"], ds, PUBLISHED, written="train_fraction")
        powers.local(axes["local"], ds, ("learning_rate", "weight_decay", "width"), along="train_fraction")
        powers.along(axes["slopes"], ds, "weight_decay", "train_fraction")
        powers.forms_told(axes["slopes"], forms(ds, "delay", "weight_decay", OTHERS))
    return drawn
