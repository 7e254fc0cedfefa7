"""The delay law of a transformer: the exponents of `delay_law` and the power of the decay above a critical one."""

from grokdyn.analysis.claims import Claim, Student
from grokdyn.analysis.claims.powers import NEAR, RESAMPLES, published_claims
from grokdyn.analysis.lifetimes.forms import forms
from grokdyn.plot import powers
from grokdyn.theory.delay_laws import CRITICAL, PUBLISHED

OTHERS = tuple(name for name in PUBLISHED if name != "weight_decay")
NU = PUBLISHED["weight_decay"][CRITICAL]


def with_width(ds):
    """Return results with the width of the feed-forward layer under the name of the laws."""
    return ds.assign_coords(width=("d_mlp", ds.d_mlp.values))


def above_critical(ds):
    """Return the power of the decay less a critical decay, the latter found along with it, runs resampled."""
    found = forms(ds, "delay", "weight_decay", OTHERS, RESAMPLES)
    if found is None:
        return None
    c = found["C"]
    return Student(c["power"], c["error"], c["runs"] - 6, c["runs"], "power of the decay less a critical decay")


def claims(results):
    ds = with_width(results["transformer"])
    text = f"transformer: the delay's power of the decay less a critical one is {NU:g}, to {NEAR:g}"
    critical = Claim(text, CRITICAL, f"{NU:g}", above_critical(ds), (NU - NEAR, NU + NEAR))
    return [*published_claims(ds, "transformer", PUBLISHED, f"all laws but {CRITICAL}"), critical]


def figure(results):
    ds = with_width(results["transformer"])
    return powers.panels(ds, PUBLISHED, by="learning_rate", written="train_fraction", axis="weight_decay")
