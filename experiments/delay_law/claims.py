"""The delay law: exponents in learning rate, weight decay, data and width, with censored runs and their intervals."""

from grokdyn.analysis.claims.powers import published_claims
from grokdyn.plot import powers
from grokdyn.theory.delay_laws import CRITICAL, PUBLISHED


def with_width(ds):
    """Return results with the width of the hidden layer as a number on the axis of structures."""
    return ds.assign_coords(width=("hidden", [int(value) for value in ds.hidden.values]))


def claims(results):
    return list(published_claims(with_width(results["mlp"]), "MLP", PUBLISHED, f"all laws but {CRITICAL}"))


def figure(results):
    written = "train_fraction"
    return powers.panels(with_width(results["mlp"]), PUBLISHED, by=written, written=written, axis="weight_decay")
