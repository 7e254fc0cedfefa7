"""Figures of what a network has inside, from made-up records."""

import numpy as np
import pytest
import xarray as xr

from grokdyn import plot
from grokdyn.analysis import progress_phases

P, STEPS = 11, np.array([0, 10, 20, 40, 80, 160, 320])
KS = np.arange(P // 2 + 1)


def records(seeds=1):
    """A run that memorises until step 20, forms its circuit until 80 and cleans up until 160."""
    rng = np.random.default_rng(0)
    train = np.array([2.4, 1.0, 1e-1, 1e-2, 1e-3, 1e-3, 1e-3])
    test = np.array([2.4, 3.0, 6.0, 7.0, 3.6, 0.2, 1e-3])
    excluded = np.array([2.4, 1.1, 0.2, 0.6, 2.0, 3.0, 3.0])
    restricted = np.array([2.4, 2.4, 2.0, 1.0, 0.2, 0.05, 0.01])
    losses = {"train_loss": train, "test_loss": test, "excluded_loss": excluded, "restricted_loss": restricted}
    angle = 2 * np.pi * np.outer([3, 1], np.arange(P)) / P
    circle = np.broadcast_to(np.stack([np.cos(angle), np.sin(angle)], axis=-1), (3, 2, P, 2))
    fixed = {
        "fourier_power": (("side", "frequency"), rng.uniform(0, 1, (3, len(KS)))),
        "fourier_gini": (("side",), np.array([0.1, 0.2, 0.3])),
        "key_frequency": (("frequency",), (KS == 3).astype(float)),
        "neuron_share": (("neuron",), rng.uniform(0, 1, 9)),
        "neuron_frequency": (("neuron",), rng.integers(1, 6, 9).astype(float)),
        "neurons_at_frequency": (("frequency",), np.ones(len(KS))),
        "circle": (("side", "plane", "residue", "component"), circle),
        "circle_frequency": (("side", "plane"), np.array([[3.0, 1.0]] * 3)),
        "circle_share": (("side", "plane"), np.full((3, 2), 0.25)),
    }
    data = {name: (("seed", "step"), np.tile(v, (seeds, 1))) for name, v in losses.items()}
    for name, (dims, values) in fixed.items():
        data[name] = (("seed", "step", *dims), np.broadcast_to(values, (seeds, len(STEPS), *values.shape)))
    coordinates = {"seed": range(seeds), "step": STEPS, "frequency": KS, "side": ["a", "b", "c"]}
    return xr.Dataset(data, coordinates, {"axes": ["seed"]})


def test_the_phases_are_where_the_losses_turn():
    found = progress_phases(records(2))
    assert found.circuit_formation.values.tolist() == [20, 20]
    assert found.cleanup.values.tolist() == [160, 160]
    assert found.generalisation.values.tolist() == [160, 160]
    early = progress_phases(records(), generalised=0.01)
    assert (float(early.cleanup[0]), float(early.generalisation[0])) == (160, 320)


def test_a_run_that_does_not_generalise_has_no_phases():
    ds = records()
    found = progress_phases(ds.assign(test_loss=ds.test_loss + 1))
    assert np.isnan(found.cleanup).all()
    assert not len(plot.progress(ds.assign(test_loss=ds.test_loss + 1)).axes[0].patches)


def test_progress_marks_the_three_phases(shown):
    figure = plot.progress(records(3))
    shades = figure.axes[0].patches
    assert [(p.get_x(), p.get_x() + p.get_width()) for p in shades] == [(0, 20), (20, 160), (160, 160)]
    texts = shown(figure)
    assert {"memorisation", "circuit formation", "cleanup", "excluded loss", "Gini coefficient", "readout"} <= {
        t.replace("_", " ") for t in texts
    }


def test_fourier_shows_every_side_and_the_key_frequencies(shown):
    figure = plot.fourier(records(), step=80)
    texts = shown(figure)
    assert {"embedding of a", "embedding of b", "readout", "key frequency", "step 80, Gini 0.10"} <= set(texts)
    bars = figure.axes[1].patches
    colors = [bar.get_facecolor() for bar in bars]
    assert len(bars) == len(KS) - 1
    assert colors[2] != colors[0], "frequency 3 is key"
    assert colors.count(colors[0]) == len(KS) - 2
    np.testing.assert_allclose(sum(bar.get_height() for bar in bars), 1)


def test_neurons_shows_all_of_them(shown):
    figure = plot.neurons(records(), threshold=0.5)
    assert "share ≥ 0.5" in shown(figure)
    assert len(figure.axes[1].lines[0].get_xdata()) == 9


def test_circles_join_neighbours_on_the_circle(shown):
    figure = plot.circles(records())
    assert "k = 3 (25 %)" in shown(figure)
    line = np.stack(figure.axes[0].lines[0].get_data(), axis=1)
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    np.testing.assert_allclose(lengths, 2 * np.sin(np.pi / P))


@pytest.mark.parametrize("name", ["fourier", "neurons", "circles"])
def test_mistakes_are_told(name):
    draw = getattr(plot, name)
    with pytest.raises(ValueError, match=r"select one first, e\.g\. ds\.isel\(seed=0\)"):
        draw(records(2))
    with pytest.raises(ValueError, match="record the probe"):
        draw(records()[["train_loss"]])
    with pytest.raises(ValueError, match="step=5: not recorded"):
        draw(records(), step=5)


def test_mistakes_of_progress_are_told():
    with pytest.raises(ValueError, match="no such variable"):
        plot.progress(records().drop_vars("excluded_loss"))
    with pytest.raises(ValueError, match="varies along weight_decay too"):
        plot.progress(xr.concat([records(), records()], xr.Variable("weight_decay", [0.0, 1.0])))
