"""Three forms of a law, each beside the fit that it stands for."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from grokdyn.analysis import scaling
from grokdyn.analysis.claims import powers
from grokdyn.analysis.claims.powers import halves, power_law, published_claims, resampled_exponent
from grokdyn.analysis.lifetimes.forms import forms
from grokdyn.plot import powers as draw

from .made import runs

RATE, DECAY, SEEDS = np.array([0.01, 0.02, 0.04]), np.array([0.1, 0.2, 0.4, 0.8]), np.arange(8)
STEPS = np.unique(np.geomspace(1, 3000, 200).astype(int))


def made(time, spread=0.02):
    """Return runs whose delay is a function of rate and decay, times a log-normal number."""
    rate, decay, _ = np.meshgrid(RATE, DECAY, SEEDS, indexing="ij")
    noise = np.exp(spread * np.random.default_rng(0).standard_normal(rate.shape))
    train = np.full(rate.shape, 5.0)
    axes = {"learning_rate": RATE, "weight_decay": DECAY, "seed": SEEDS}
    return runs(train + time(rate, decay) * noise, train, STEPS, **axes)


def asked(ds):
    return forms(ds, "delay", "weight_decay", ("learning_rate",))


def test_the_power_is_that_of_scaling_and_so_is_the_edge_on_the_axis_without_it():
    ds = made(lambda rate, decay: rate**-0.5 * (decay - 0.06) ** -1.5)
    found = asked(ds)
    ds = ds.assign_coords(above=("weight_decay", DECAY - found["C"]["edge"]))
    for name, term, extra in (("B", "weight_decay", 0), ("C", "above", 2)):
        twin = scaling(ds, f"delay ~ learning_rate + {term}", resamples=2)
        assert found[name]["power"] == pytest.approx(float(twin.sel(term=term).exponent), abs=1e-4)
        assert found[name]["aic"] == pytest.approx(float(twin.aic) + extra, abs=1e-3)
    low, high = found["C"]["interval"]
    assert low <= 0.06 <= high
    assert found["C"]["aic"] + 10 < min(found["A"]["aic"], found["B"]["aic"])


def test_an_offset_is_found_and_told_from_an_edge():
    found = asked(made(lambda rate, decay: 10 * rate**-0.5 * (2 + 1 / decay)))
    assert found["A"]["offset"] == pytest.approx(2, rel=0.15)
    assert found["A"]["aic"] + 10 < min(found["B"]["aic"], found["C"]["aic"])


def test_a_power_that_changes_is_seen_in_the_halves(monkeypatch):
    monkeypatch.setattr(powers, "RESAMPLES", 20)
    ds = made(lambda rate, decay: np.where(rate < 0.02, 2, rate / 0.01) ** -1.0 * 600 * decay**-0.5, 0.1)
    names = ("learning_rate", "weight_decay")
    for one, truth in zip(halves(ds, names, "learning_rate"), (0.0, -1.0), strict=True):
        assert one.value == pytest.approx(truth, abs=4 * one.error)
    law = power_law(ds, names)
    decay = resampled_exponent(law, "weight_decay")
    assert decay.error == pytest.approx(float(law.sel(term="weight_decay").standard_error), rel=0.5)
    published = {"learning_rate": {"one": -1.0, "two": -0.5}, "weight_decay": {"two": -0.5}}
    told = list(published_claims(ds, "net", published, "both"))
    assert [claim.source for claim in told] == ["one", "two", "two", "both", "both"]
    assert told[2].estimand == decay
    assert told[3].estimand.interval(0.99)[1] < -0.5


def test_every_run_is_drawn_once_as_a_point_or_where_it_was_censored(monkeypatch):
    monkeypatch.setattr(powers, "RESAMPLES", 2)
    ds = made(lambda rate, decay: 100 * rate**-0.5 / decay, 0.3)
    law = power_law(ds, ("learning_rate", "weight_decay"))
    ax = Figure().add_subplot()
    draw.measured(ax, law, "learning_rate")
    late = int(np.isinf(law.high).sum())
    drawn = {mark: sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() == mark) for mark in ".^"}
    assert 0 < late == drawn["^"]
    assert drawn["."] == law.high.size - late
