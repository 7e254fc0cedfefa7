"""Single points as cells of different size, and a fitted boundary over them."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh

import grokdyn as gd
from grokdyn.analysis.checks import ArgumentError
from grokdyn.plot.points import completed, points

PLACES = np.array([(0, 0), (0, 7), (7, 0), (7, 7), (4, 4), (2, 4), (4, 2), (3, 4), (5, 1), (1, 5)])


def scattered():
    """Return two runs at each of some places of an 8 x 8 grid, which reach a level below a diagonal."""
    i, j = np.repeat(PLACES, 2, axis=0).T
    at = {"rate": ("run", np.geomspace(0.01, 1.28, 8)[j]), "share": ("run", np.linspace(0.1, 0.8, 8)[i])}
    reached = (i + j < 7.5).astype(float)
    records = np.stack([0 * reached, reached], axis=1)
    return xr.Dataset(
        {"test_accuracy": (("run", "step"), records), "status": ("run", np.zeros(len(i), int))},
        {"step": [0, 100], **at, "seed": ("run", np.arange(len(i)))},
        {"axes": "run"},
    )


def cells_of(figure):
    (mesh,) = [c for c in figure.axes[0].collections if isinstance(c, QuadMesh)]
    return np.ma.asarray(mesh.get_array())


def test_points_lie_on_the_finest_even_grid_that_has_them_all():
    np.testing.assert_allclose(completed(np.array([0.1, 0.3, 0.6])), np.linspace(0.1, 0.6, 6))
    np.testing.assert_allclose(completed(np.array([0.01, 0.02, 0.16])), 0.01 * 2.0 ** np.arange(5))
    np.testing.assert_array_equal(completed(np.array([0.0, 1.0, np.pi])), [0, 1, np.pi])


def test_every_cell_shows_the_nearest_point():
    drawn = cells_of(gd.plot.phase_diagram(scattered(), "rate", "share"))
    assert drawn.shape == (8, 8)
    cells = np.argwhere(np.ones((8, 8)))
    distance = np.abs(cells[:, None] - PLACES).max(2)
    answers = np.broadcast_to(PLACES.sum(1) < 7.5, distance.shape)
    near = distance == distance.min(1, keepdims=True)
    clear = answers.any(1, where=near) == answers.all(1, where=near)
    assert clear.sum() > 40
    np.testing.assert_array_equal(drawn.ravel()[clear], answers.any(1, where=near)[clear])


def test_several_runs_of_a_point_are_reduced_and_missing_ones_left_out():
    ds = scattered().isel(run=slice(1, None))
    ds["test_accuracy"][0, 1] = 0.5
    made = points(ds, "rate", "share")
    assert made.counted == "1 to 2"
    found = made.placed(gd.analysis.final(ds)[["test_accuracy", "status"]])
    assert float(found.test_accuracy.isel(share=0, rate=0).mean()) == 0.5
    assert found.status.dtype == ds.status.dtype
    assert set(found.status.values.ravel().tolist()) == {0, -1}


def test_a_boundary_is_drawn_with_its_band_over_its_own_runs():
    ds = scattered()
    fit = gd.analysis.boundary(ds, "test_accuracy >= 0.9", "rate", "share")
    figure = gd.plot.boundary(ds, fit)
    told = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert told == ["test_accuracy >= 0.9", "band of the whole line"]
    assert set(np.unique(cells_of(figure))) == {0.0, 1.0}


def test_a_boundary_of_other_axes_or_none_is_refused_in_a_line():
    ds = scattered()
    fit = gd.analysis.boundary(ds, "test_accuracy >= 0.9", "rate", "share")
    with pytest.raises(ArgumentError, match="boundary: is over rate and share; expected rate and seed"):
        gd.plot.phase_diagram(ds, "rate", "seed", boundary=fit)
    with pytest.raises(ArgumentError, match="boundary: expected what"):
        gd.plot.boundary(ds, ds)


def test_what_has_no_seed_axis_is_drawn_or_refused_in_a_line(sweep):
    flat = sweep.test_accuracy.isel(step=-1).mean("seed").assign_attrs(ancillary_variables="late")
    ds = sweep.assign(one=flat, late=sweep.status > 0)
    np.testing.assert_allclose(cells_of(gd.plot.phase_diagram(ds, value="one")), flat)
    with pytest.raises(ArgumentError, match="value='status': holds codes"):
        gd.plot.phase_diagram(ds, value="status")


def test_the_phases_of_corrupted_labels_have_names_and_colours_of_their_own():
    ds = scattered()
    ds = ds.assign(train_accuracy=1 - 0.5 * ds.test_accuracy).assign_coords(label_noise=0.5)
    fit = gd.analysis.boundary(ds, "corruption_phase", "rate", "share")
    figure = gd.plot.boundary(ds, fit)
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names[:5] == ["coexistence", "partial inversion", "full inversion", "memorization", "forgetting"]
    assert set(np.unique(cells_of(figure))) == {2, 3}  # inverted where it generalises, memorised elsewhere
