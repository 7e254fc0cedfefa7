import numpy as np
import pytest
import xarray as xr

from grokdyn.plot import Panel, beside

STEPS = np.arange(0, 100, 10)


def rows_of_legends(figure):
    return [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]


def curves():
    rising = np.linspace(0, 1, len(STEPS)) * np.ones((2, 3, 1))
    dims = ("precision", "seed", "step")
    data = {"train_accuracy": (dims, rising), "test_accuracy": (dims, rising / 2)}
    return xr.Dataset(data, {"precision": ["float16", "float32"], "seed": range(3), "step": STEPS})


def test_a_papers_values_have_the_colour_of_what_they_belong_to():
    ds = curves()
    paper = {"float32": ([10, 20], [0.1, 0.2])}
    figure = beside([Panel("one", ds, ("test_accuracy",), hue="precision", paper=paper)])
    (circles,) = [line for line in figure.axes[0].lines if line.get_marker() == "o" and len(line.get_xdata())]
    medians = {str(line.get_color()) for line in figure.axes[0].lines if line.get_marker() != "o"}
    assert str(circles.get_color()) in medians
    assert "paper, one seed" in rows_of_legends(figure)[0]
    assert figure.axes[0].get_title() == "one"


def test_panels_that_mean_the_same_share_a_legend():
    ds, variables = curves().isel(precision=0), ("train_accuracy", "test_accuracy")
    alike = beside([Panel("one", ds, variables), Panel("two", ds.isel(seed=[0, 1]), variables)])
    assert len(alike.legends) == 1
    assert [ax.get_title() for ax in alike.axes] == ["one (3 seeds)", "two (2 seeds)"]
    assert all(ax.get_legend() is None for ax in alike.axes)
    apart = beside([Panel("one", ds, variables), Panel("two", ds, ("train_accuracy",))])
    one_row = ["train", "test", "median, 10–90 % of 3 seeds"]
    assert rows_of_legends(apart) == [one_row], "what a single line is says its axis"


def test_panels_that_mean_different_things_have_a_row_each_in_the_legend():
    ds, variables = curves(), ("train_accuracy", "test_accuracy")
    hued = [Panel(name, ds, ("test_accuracy",), hue="precision") for name in ("one", "two", "three")]
    rows = rows_of_legends(beside([*hued, Panel("four", ds.isel(precision=0), variables)]))
    assert rows[0] == [r"$\bf{a–c}$", "precision:", "float16", "float32"]
    assert rows[1] == [r"$\bf{d}$", "train", "test"]
    assert rows[2] == ["median, 10–90 % of 3 seeds"]


def test_a_run_that_a_rule_has_ended_keeps_its_last_value_in_the_median_and_one_that_broke_leaves_it():
    accuracy = np.array(
        [[0.0, 0.4, 1.0, np.nan, np.nan], [0.0, 0.1, np.nan, np.nan, np.nan], [0.0, 0.2, 0.3, 0.4, 0.5]]
    )
    ds = xr.Dataset(
        {"test_accuracy": (("seed", "step"), accuracy), "stopped_at": ("seed", [20, -1, -1])},
        {"seed": [0, 1, 2], "step": [0, 10, 20, 30, 40]},
    )
    (ax,) = beside([Panel("one", ds, ("test_accuracy",))]).axes
    *faint, median = ax.lines
    np.testing.assert_allclose(median.get_ydata(), np.nanmedian([accuracy[1], accuracy[2], [0, 0.4, 1, 1, 1]], axis=0))
    assert np.isnan(faint[0].get_ydata()[3:]).all(), "its own line ends where it ended"


@pytest.mark.parametrize(
    ("variables", "label"),
    [
        (("train_loss", "excluded_loss"), "loss"),
        (("train_accuracy", "test_accuracy"), "accuracy"),
        (("train_accuracy", "test_loss"), "train accuracy"),
    ],
)
def test_an_axis_says_what_all_its_variables_are(variables, label):
    ds = curves().isel(precision=0)
    ds = ds.assign(dict.fromkeys(variables, ds.train_accuracy + 1))
    assert beside([Panel("one", ds, variables)]).axes[0].get_ylabel() == label


def test_mistakes_are_told():
    ds = curves()
    with pytest.raises(ValueError, match="at least one"):
        beside([])
    with pytest.raises(ValueError, match="precision"):
        beside([Panel("one", ds)])
    with pytest.raises(ValueError, match="'float64' is not drawn"):
        beside([Panel("one", ds, ("test_accuracy",), hue="precision", paper={"float64": ([1], [1])})])


@pytest.mark.parametrize("count", [2, 5, 9])
def test_a_legend_fits_its_figure_and_reads_row_by_row(count):
    names = [f"with a name of some length {i}" for i in range(count)]
    rising = np.ones((count, 3, len(STEPS)))
    ds = xr.Dataset({"test_accuracy": (("variant", "seed", "step"), rising)}, {"variant": names, "step": STEPS})
    figure = beside([Panel("one", ds, ("test_accuracy",), hue="variant")])
    figure.canvas.draw()
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
    places = {text.get_text(): text.get_window_extent() for text in legend.get_texts()}
    read = sorted(places, key=lambda name: (-round(places[name].y0), places[name].x0))
    assert [name for name in read if name in names] == names
