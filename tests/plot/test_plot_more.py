"""Two sweeps beside each other, moving pictures, spectra, and the data of what was drawn."""

import io
import shutil

import numpy as np
import pytest
from matplotlib.figure import Figure

from grokdyn import plot
from grokdyn.analysis.checks import ArgumentError
from tests.plot.conftest import landscape
from tests.plot.test_plot_inside import records


@pytest.fixture(scope="module")
def small():
    return landscape(seeds=2, steps=range(0, 500, 100)).isel(weight_decay=slice(2, 5), train_fraction=slice(3, 6))


def saved(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=50)
    return figure


def test_the_data_of_curves_are_those_of_the_results(small):
    one = small.isel(weight_decay=0, train_fraction=0)
    entries = plot.drawn(saved(plot.curves(one, "test_accuracy")))
    median = one["test_accuracy"].median("seed").values
    thick = [e for e in entries if e["kind"] == "line" and np.allclose(e["y"], median)]
    assert len(thick) == 1
    np.testing.assert_array_equal(thick[0]["x"], one["step"])
    assert [e["kind"] for e in entries].count("band") == 1
    assert thick[0]["ylabel"] == "test accuracy"


def test_the_data_of_a_diagram_are_its_cells(small):
    figure = saved(plot.phase_diagram(small, value="test_accuracy"))
    (cells,) = (e for e in plot.drawn(figure) if e["kind"] == "cells")
    expected = small["test_accuracy"].isel(step=-1).mean("seed").transpose("weight_decay", "train_fraction").values
    np.testing.assert_allclose(cells["values"], expected)
    assert plot.drawn(figure.axes[0])[0]["kind"] == "cells"
    with pytest.raises(ArgumentError, match="expected a Figure or Axes, got int"):
        plot.drawn(3)


INSIDE = [plot.circles, plot.fourier, plot.neurons, plot.progress]


@pytest.mark.parametrize("draw", INSIDE, ids=lambda draw: draw.__name__)
def test_figures_of_several_panels_take_the_place_of_an_ax(draw):
    figure = Figure(figsize=(9, 6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([1, 2])
    assert draw(records(), ax=right) is figure
    assert right not in figure.axes
    assert len(saved(figure).axes) > 2
    with pytest.raises(ArgumentError, match="ax: holds one panel"):
        draw(records(), ax=Figure().add_axes((0, 0, 1, 1)))


def test_an_overview_and_a_panel_beside_a_paper_take_an_ax_too(small):
    figure = Figure(figsize=(9, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1)
    assert plot.overview(small, ax=top) is figure
    one = plot.Panel("one", small.isel(weight_decay=0, train_fraction=0))
    assert plot.beside([one], ax=bottom) is figure
    saved(figure)
    with pytest.raises(ArgumentError, match="ax: holds one panel, got 2"):
        plot.beside([one, one], ax=bottom)


def test_two_sweeps_are_drawn_at_what_both_have(small):
    other = small.isel(weight_decay=slice(1, 3), step=slice(0, 4)) * 0.5
    other.attrs = small.attrs
    figure = saved(plot.compare(small, other, "test_accuracy", names=("ours", "theirs")))
    panels = {e["panel"] for e in plot.drawn(figure)}
    assert len(panels) == 2 * 3
    values = plot.compare(small, other, value="test_accuracy")
    cells = [e["values"] for e in plot.drawn(saved(values)) if e["kind"] == "cells"]
    np.testing.assert_allclose(cells[2], cells[1] - cells[0])
    with pytest.raises(ArgumentError, match="different axes"):
        plot.compare(small, other.isel(seed=0, drop=True).assign_attrs(axes="weight_decay train_fraction"))
    with pytest.raises(ArgumentError, match="none of the values of weight_decay"):
        plot.compare(small.isel(weight_decay=[0]), small.isel(weight_decay=[1]))


def test_a_diagram_and_circles_move(small, tmp_path):
    path = plot.animate(small, tmp_path / "a.gif", value="test_accuracy", frames=3, dpi=40)
    assert path.read_bytes()[:6] in (b"GIF87a", b"GIF89a")
    assert plot.animate(records(), tmp_path / "c.gif", "circles", frames=2, dpi=40).stat().st_size > 1000
    if shutil.which("ffmpeg"):
        assert b"ftyp" in plot.animate(small, tmp_path / "b.mp4", frames=2, dpi=41).read_bytes()[:12]
    with pytest.raises(ArgumentError, match=r"out='\.avi': expected one of \.gif, \.mp4"):
        plot.animate(small, tmp_path / "a.avi")


def test_numbers_of_a_probe_over_the_steps(small):
    (cells,) = (e for e in plot.drawn(saved(plot.histograms(small, "weight_norm_per_tensor"))) if e["kind"] == "cells")
    np.testing.assert_allclose(cells["values"].sum(0), 1)
    one = small.isel(weight_decay=0, train_fraction=0, seed=0)
    entries = plot.drawn(saved(plot.spectra(one, "weight_norm_per_tensor")))
    ranked = np.sort(one["weight_norm_per_tensor"].values, axis=1)
    np.testing.assert_array_equal([e["y"] for e in entries if e["kind"] == "line"], ranked.T)
    with pytest.raises(ArgumentError, match="expected one axis besides step, got none"):
        plot.spectra(one, "test_accuracy")
