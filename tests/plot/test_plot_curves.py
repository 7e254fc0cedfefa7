import io
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure

from grokdyn.plot import curves


def one_cell(sweep):
    return sweep.isel(weight_decay=2, train_fraction=2)


def medians(ax):
    """The thick lines; those of single runs are thin."""
    return [line for line in ax.lines if line.get_linewidth() > 1]


def test_a_cell_shows_medians_bands_and_every_seed(sweep, shown):
    figure = curves(one_cell(sweep))
    (ax,) = figure.axes
    assert {"train", "test", "accuracy", "step (log; linear below 50)"} <= set(shown(figure))
    assert len(ax.lines) == 2 * (4 + 1)
    assert sum(isinstance(c, FillBetweenPolyCollection) for c in ax.collections) == 2
    for line, name in zip(medians(ax), ("train_accuracy", "test_accuracy"), strict=True):
        np.testing.assert_allclose(line.get_ydata(), one_cell(sweep)[name].median("seed"))


@pytest.mark.parametrize("first", [0, 1])
def test_a_recorded_step_0_is_visible_on_the_log_axis(sweep, shown, first):
    figure = curves(one_cell(sweep).isel(step=slice(first, None)))
    shown(figure)
    (ax,) = figure.axes
    assert ax.get_xscale() == ("log" if first else "symlog")
    left, right = (ax.transData.transform((step, 0))[0] for step in ax.lines[0].get_xdata()[:2])
    assert left == pytest.approx(ax.bbox.x0, abs=0.5)
    assert right - left > 0.05 * ax.bbox.width


def test_tick_labels_of_long_log_runs_do_not_touch(sweep, shown):
    figure = curves(one_cell(sweep).assign_coords(step=[0, *np.geomspace(1, 10**6, 40)]))
    shown(figure)
    (ax,) = figure.axes
    boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_losses_are_drawn_on_a_log_axis_and_names_are_not_repeated(sweep, shown):
    figure = curves(one_cell(sweep), ("train_loss", "test_loss"), xscale="linear")
    assert figure.axes[0].get_yscale() == "log"
    assert {"train", "test", "loss", "step"} <= set(shown(figure))
    mixed = curves(one_cell(sweep), ("train_loss", "test_accuracy"))
    assert mixed.axes[0].get_yscale() == "linear"
    assert {"train loss", "test accuracy"} <= set(shown(mixed))


def test_attributes_are_the_labels(sweep, shown):
    ds = one_cell(sweep)
    ds["train_loss"].attrs = {"long_name": "cross entropy", "units": "nat"}
    assert "cross entropy (nat)" in shown(curves(ds, "train_loss"))


def test_one_axis_fills_panels_two_make_a_grid(sweep, shown):
    row = curves(sweep.isel(train_fraction=2))
    assert len(row.axes) == 8
    assert {"weight decay = 0", "weight decay = 20"} <= set(shown(row))
    grid = curves(sweep.isel(train_fraction=[0, 3, 6], weight_decay=[0, 2]))
    assert len(grid.axes) == 6
    texts = shown(grid)
    assert texts.count("train fraction = 0.8") == 1
    assert texts.count("weight decay = 0.3") == 1


@pytest.mark.parametrize("n", [2, 5, 7, 8])
def test_the_last_panel_of_every_column_has_its_steps_written(sweep, shown, n):
    figure = curves(sweep.isel(train_fraction=2, weight_decay=slice(n)))
    shown(figure)
    places = [ax.get_subplotspec() for ax in figure.axes]
    assert len(places) == n
    for ax, place in zip(figure.axes, places, strict=True):
        below = [p for p in places if p.colspan == place.colspan and p.rowspan.start > place.rowspan.start]
        assert bool(below) != ax.xaxis.get_tick_params()["labelbottom"]


def test_hue_takes_an_axis_into_colour_and_variables_into_dashes(sweep, shown):
    figure = curves(sweep.isel(train_fraction=2), hue="weight_decay")
    (ax,) = figure.axes
    lines = medians(ax)
    assert len(lines) == 16
    assert len({tuple(mpl.colors.to_rgba(line.get_color())) for line in lines}) == 8
    assert len({line.get_linestyle() for line in lines}) == 2
    assert {"weight decay:", "0.1", "20", "train", "test"} <= set(shown(figure))


def test_a_probe_axis_and_the_seed_can_be_hues(sweep, shown):
    figure = curves(one_cell(sweep), "weight_norm_per_tensor", hue="tensor")
    assert {"hidden/kernel", "weight norm per tensor"} <= set(shown(figure))
    by_seed = curves(one_cell(sweep), "test_accuracy", hue="seed")
    np.testing.assert_allclose(by_seed.axes[0].lines[1].get_ydata(), one_cell(sweep)["test_accuracy"].isel(seed=1))


def test_a_single_run_has_no_band(sweep, shown):
    for ds in (one_cell(sweep).isel(seed=0), one_cell(sweep).isel(seed=[0])):
        figure = curves(ds)
        assert len(figure.axes[0].lines) == 2
        assert not any("median" in text for text in shown(figure))


def test_runs_that_became_non_finite_leave_the_median(sweep):
    ds = one_cell(sweep).copy(deep=True)
    ds["test_accuracy"][0, 10:] = np.nan
    ds["test_accuracy"][:, 30:] = np.nan
    figure = curves(ds, "test_accuracy")
    (line,) = medians(figure.axes[0])
    np.testing.assert_allclose(line.get_ydata()[10:30], ds["test_accuracy"][1:, 10:30].median("seed"))
    assert len(line.get_ydata()) == 30
    figure.savefig(io.BytesIO(), format="pdf")


def test_curves_without_any_record_are_left_out(sweep):
    cell = one_cell(sweep)
    none = cell.assign(test_accuracy=cell.test_accuracy * np.nan)
    (ax,) = curves(none).axes
    train, test = medians(ax)
    np.testing.assert_allclose(train.get_ydata(), none.train_accuracy.median("seed"))
    assert len(test.get_ydata()) == 0


def test_runs_recorded_at_other_steps_are_drawn_through(sweep):
    ds = sweep.isel(train_fraction=2, weight_decay=[1, 2]).copy(deep=True)
    ds["test_accuracy"][1, :, 1::2] = np.nan
    figure = curves(ds, "test_accuracy")
    dense, sparse = (medians(ax)[0].get_xdata() for ax in figure.axes)
    np.testing.assert_array_equal(sparse, dense[::2])


def test_given_axes_take_one_panel(sweep):
    mine = Figure()
    ax = mine.subplots()
    assert curves(one_cell(sweep), ax=ax) is mine
    assert ax.get_legend() is not None
    with pytest.raises(ValueError, match=r"ax: holds one panel.*weight_decay"):
        curves(sweep.isel(train_fraction=0), ax=ax)


def test_one_record_is_enough(sweep, shown):
    shown(curves(one_cell(sweep).isel(step=[0])))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variables": "test_acuracy"}, "variables='test_acuracy'.*mean 'test_accuracy'"),
        ({"variables": "status"}, "no dimension 'step'"),
        ({"xscale": "logit"}, "xscale='logit'.*log, linear"),
        ({"yscale": "sqrt"}, "yscale='sqrt'"),
        ({"hue": "weight_decya"}, "hue='weight_decya'.*mean 'weight_decay'"),
        ({"over": "sede"}, "over='sede'.*mean 'seed'"),
        ({"quantiles": (10, 90)}, "quantiles="),
        ({"variables": ()}, "variables=.*at least one"),
        ({}, "64 panels in 2 directions; at most 36.*ds.isel"),
        ({"variables": "weight_norm_per_tensor"}, "in 3 directions"),
    ],
)
def test_mistakes_are_named(sweep, options, message):
    with pytest.raises(ValueError, match=message):
        curves(sweep, **options)


def test_theory_is_drawn_where_its_values_belong(sweep, shown):
    ds = sweep.isel(train_fraction=[2, 5], weight_decay=2)
    told = (ds[["test_accuracy"]].mean("seed") * 0.5).isel(train_fraction=[1, 0])
    figure = curves(ds, theory=told)
    assert "theory" in set(shown(figure))
    for i, ax in enumerate(figure.axes[:2]):
        dark = [line for line in ax.lines if line.get_linewidth() == 0.9]
        assert len(dark) == 1
        np.testing.assert_allclose(dark[0].get_ydata(), told.test_accuracy.isel(train_fraction=1 - i))


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda t: t.rename(test_accuracy="other"), "none of the variables, only: other"), (lambda t: t, "along seed")],
)
def test_a_theory_that_cannot_be_drawn_is_told(sweep, change, words):
    with pytest.raises(ValueError, match=words):
        curves(one_cell(sweep), theory=change(one_cell(sweep)[["test_accuracy"]]))


def test_events_are_upright_lines_with_their_words(sweep):
    cell = sweep.isel(weight_decay=3, train_fraction=3)
    ax = curves(cell, "test_accuracy", xscale="linear", events={"fewer rows": 600, "all again": 1900}).axes[0]
    upright = [
        line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]
    assert upright == [600, 1900]
    assert [text.get_text() for text in ax.texts] == ["fewer rows", "all again"]
    with pytest.raises(ValueError, match="events: 'late' is at 9000; expected a step from 0 to 2000"):
        curves(cell, "test_accuracy", events={"late": 9000})
