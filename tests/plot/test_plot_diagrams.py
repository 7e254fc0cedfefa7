import io

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from grokdyn.analysis import grokking_time, phases
from grokdyn.analysis.classify import majority
from grokdyn.plot import overview, phase_diagram
from grokdyn.plot.grid import value_cells
from grokdyn.plot.representative import representatives


def cells_of(figure):
    (mesh,) = [c for c in figure.axes[0].collections if isinstance(c, QuadMesh)]
    return np.ma.asarray(mesh.get_array())


@pytest.mark.parametrize("value", ["test_accuracy", "train_loss", "step_train", "step_test", "delay", "phase"])
def test_every_kind_of_value_is_drawn_and_labelled(sweep, shown, value):
    figure = phase_diagram(sweep, x="train_fraction", y="weight_decay", value=value)
    assert isinstance(figure, Figure)
    texts = shown(figure)
    assert {"train fraction", "weight decay", "0.2", "20"} <= set(texts)
    assert cells_of(figure).shape == (8, 8)
    expected = "grokking" if value == "phase" else "of 4 runs"
    assert any(expected in text for text in texts)


def test_cells_hold_the_mean_over_seeds_of_the_last_record(sweep):
    drawn = cells_of(phase_diagram(sweep, "train_fraction", "weight_decay"))
    np.testing.assert_allclose(drawn, sweep["test_accuracy"].isel(step=-1).mean("seed"))


def test_axes_may_be_left_out_swapped_and_unsorted(sweep):
    plain, swapped = phase_diagram(sweep), phase_diagram(sweep, x="weight_decay", y="train_fraction")
    np.testing.assert_allclose(cells_of(plain), cells_of(swapped).T)
    shuffled = sweep.isel(weight_decay=[3, 0, 1, 2, 7, 6, 5, 4])
    np.testing.assert_allclose(cells_of(plain), cells_of(phase_diagram(shuffled)))


def test_censored_cells_are_masked_and_explained(sweep, shown):
    figure = phase_diagram(sweep, value="step_test")
    late = grokking_time(sweep)["test_censored"].sum("seed") >= 2
    np.testing.assert_array_equal(np.ma.getmaskarray(cells_of(figure)), late)
    told = [" ".join(text.split()) for text in shown(figure)]  # broken where the figure is narrow
    assert "not within 2000 steps in half of the runs or more" in told


def test_runs_that_became_non_finite_or_were_not_run_have_no_value(sweep):
    ds = sweep.copy(deep=True)
    ds["status"][0, 0] = 1
    ds["test_accuracy"][0, 1] = np.nan
    ds["test_accuracy"][0, 2, 0, 10:] = np.nan  # met its stop rule: the last record counts
    cells = value_cells(ds, "train_fraction", "weight_decay", "test_accuracy")
    np.testing.assert_array_equal(np.argwhere(cells.isnull().values), [[0, 0], [0, 1]])
    last = sweep["test_accuracy"][0, 2].isel(step=-1).values.copy()
    last[0] = sweep["test_accuracy"][0, 2, 0, 9]
    assert cells[0, 2] == pytest.approx(last.mean())


@pytest.mark.parametrize(("reduce", "expected"), [("mean", 3.0), ("median", 2.0), ("min", 1.0), ("max", 6.0)])
def test_other_axes_are_reduced_as_asked(reduce, expected):
    ds = xr.Dataset({"loss": (("a", "b", "seed"), [[[1.0, 2, 6]] * 2] * 2)}, {"a": [1, 2], "b": [1, 2]})
    np.testing.assert_allclose(value_cells(ds, "a", "b", "loss", reduce), np.full((2, 2), expected))


def test_disagreement_is_an_inner_square_by_area(sweep):
    figure = phase_diagram(sweep, value="phase")
    squares = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    most = majority(phases(sweep)["phase"], ("seed",))
    assert len(squares) == int((most["second"] >= 0).sum()) > 0
    shares = most["second_share"].values[most["second"].values >= 0]
    widths, heights = np.array([(p.get_width(), p.get_height()) for p in squares]).T
    np.testing.assert_allclose(widths * heights, shares * 0.1, rtol=1e-6)  # cells are 0.1 wide and 1 high


def test_a_diagram_goes_into_given_axes_and_leaves_the_session_alone(sweep):
    import matplotlib.pyplot as plt

    before, mine = dict(mpl.rcParams), Figure()
    ax = mine.subplots()
    assert phase_diagram(sweep, value="phase", ax=ax) is mine
    overview(sweep)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_words_and_log_axes_and_a_single_run(sweep, shown):
    ds = sweep.isel(weight_decay=[1, 2, 3], train_fraction=[0, 4, 7], seed=0, drop=True)
    ds = ds.assign_coords(weight_decay=["relu", "square", "gelu"], train_fraction=[1e-4, 1e-3, 1e-2])
    ds.train_fraction.attrs.update(long_name="learning rate", units="1/step")
    figure = phase_diagram(ds, "train_fraction", "weight_decay", "phase")
    assert {"relu", "square", "gelu", "0.0001", "learning rate (1/step)"} <= set(shown(figure))
    assert figure.axes[0].get_xscale() == "log"


def test_long_words_turn_instead_of_overlapping(sweep):
    names = ["a_rather_long_activation", "another_long_activation", "a_third_long_activation"]
    ds = sweep.isel(weight_decay=[1, 2, 3]).assign_coords(weight_decay=names)
    figure = phase_diagram(ds, x="weight_decay", y="train_fraction")
    assert {t.get_rotation() for t in figure.axes[0].get_xticklabels()} == {35}


def test_the_overview_shows_one_cell_for_every_phase(sweep, shown):
    figure = overview(sweep)
    texts = shown(figure)
    assert {*"abcdefg", "memorization", "grokking", "comprehension", "confusion", "final test accuracy"} <= set(texts)
    for mark in "defg":
        assert texts.count(mark) == 4  # the panel's title and a mark in each of three diagrams
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_the_overview_says_which_phases_are_absent(sweep, shown):
    figure = overview(sweep.isel(weight_decay=slice(2, 5), train_fraction=slice(3, 6), seed=0), delay=1000)
    assert shown(figure).count("no cell of the sweep\nis in this phase") == 3


def test_figures_of_a_sweep_without_any_result_still_say_so(sweep, shown):
    ds = sweep.where(False)
    ds["status"] = sweep["status"]
    texts = shown(overview(ds))
    assert "b: not run" in texts
    assert "a: non-finite or not run" in texts
    phase_diagram(ds, value="delay").savefig(io.BytesIO(), format="pdf")


def test_representatives_agree_then_lie_deep_then_central():
    phase = xr.DataArray([[2, 2, 2, 0], [2, 2, 2, 0], [2, 2, 2, 0]], dims=("y", "x"))
    share = xr.ones_like(phase, float)
    assert representatives(xr.Dataset({"phase": phase, "share": share}), range(4)) == {2: (1, 0), 0: (1, 3)}
    share[1, 0] = 0.75
    assert representatives(xr.Dataset({"phase": phase, "share": share}), range(4))[2] == (0, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ds: phase_diagram(ds, "train_fraktion", "weight_decay"), "x='train_fraktion'.*mean 'train_fraction'"),
        (lambda ds: phase_diagram(ds, "train_fraction"), "y=None: name two of the swept axes.*weight_decay"),
        (lambda ds: phase_diagram(ds.isel(weight_decay=0)), "name two of the swept axes"),
        (lambda ds: phase_diagram(ds, "seed", "seed"), "two different axes"),
        (lambda ds: phase_diagram(ds, value="step_tets"), "value='step_tets'.*mean 'step_test'"),
        (lambda ds: phase_diagram(ds, value="weight_norm_per_tensor"), r"axis 'tensor'; select one first"),
        (lambda ds: phase_diagram(ds, reduce="sum"), "reduce='sum'.*mean, median, min, max"),
        (lambda ds: phase_diagram(ds, value="phase", threshold=90), "threshold=90"),
        (lambda ds: phase_diagram(ds.assign(note=ds.seed.astype(str)), value="note"), "value='note'.*not numbers"),
        (lambda ds: overview(ds, "train_fraction", "seed"), "besides train_fraction, seed.*weight_decay"),
        (lambda ds: phase_diagram(ds.seed), "ds: expected an xarray.Dataset, got DataArray"),
    ],
)
def test_mistakes_are_named(sweep, call, message):
    with pytest.raises(ValueError, match=message):
        call(sweep)
