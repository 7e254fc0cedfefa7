"""What is printed and drawn of results."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from grokdyn import figures, terminal
from grokdyn.engine.store.files import StoreError
from grokdyn.figures import draw
from grokdyn.terminal import show
from grokdyn.usage import UsageError

STEPS = [0, 10, 20]


def results(**sizes):
    """Return made-up results over axes: test accuracy rises to 0.2, train accuracy to 0.4."""
    axes, shape = tuple(sizes), tuple(sizes.values())
    rise = np.broadcast_to([0.0, 0.1, 0.2], (*shape, len(STEPS)))
    ds = xr.Dataset(
        {"train_accuracy": ((*axes, "step"), 2 * rise), "test_accuracy": ((*axes, "step"), rise.copy())},
        {**{axis: np.arange(n) for axis, n in sizes.items()}, "step": STEPS},
        {"axes": list(axes)},
    )
    return ds.assign(status=(axes, np.zeros(shape, int)), stopped_at=(axes, np.full(shape, -1)))


@pytest.mark.parametrize(("axes", "means"), [({"a": 1}, {"0.700", "0.500"}), ({"a": 1, "b": 1}, {"0.50"})])
def test_a_stopped_run_counts_with_its_last_record_and_a_diverged_one_not_at_all(axes, means, capsys):
    ds = results(**axes, seed=3)
    runs = {"train_accuracy": [[0, 1, np.nan], [0, 0.1, 0.4], [0, 0.9, np.nan]]}
    runs["test_accuracy"] = [[0, 0.8, np.nan], [0, 0.1, 0.2], [0, 0.7, np.nan]]
    for name, values in runs.items():
        ds[name][:] = values
    ds["stopped_at"][..., 0], ds["status"][..., 2] = 10, 1
    show(ds)
    told = " ".join(capsys.readouterr().out.split())
    assert "at the end of each run, mean over 3 seeds" in told
    assert means <= set(told.split())
    assert "1 of 3 runs diverged" in told


def test_runs_that_all_stop_at_one_step_are_told_with_it(capsys):
    ds = results(a=2)
    ds["stopped_at"][:] = 10
    for name in ("train_accuracy", "test_accuracy"):
        ds[name][..., 2] = np.nan
    show(ds)
    told = " ".join(capsys.readouterr().out.split())
    assert "after 10 steps" in told
    assert "0.100" in told


@pytest.mark.parametrize(
    ("steps", "ends", "told"),
    [
        ([10, np.nan, 30], [40, 40, 40], "30"),
        ([10, np.nan, np.nan], [40, 20, 20], "> 20"),  # a rule ended two of them
        ([10, np.nan, np.nan], [40, 40, np.nan], "> 25"),  # one is still to come
        ([np.nan, np.nan], [np.nan, np.nan], "-"),
    ],
)
def test_a_median_time_is_above_what_was_seen_of_the_runs(steps, ends, told):
    assert terminal.median_told(np.array(steps, float), np.array(ends, float)) == told


def test_a_threshold_is_refused_where_it_changes_nothing(tmp_path):
    told = r"got --threshold 0.95 {}; allowed: .*step_test, delay, phase"
    with pytest.raises(UsageError, match=told.format("for curves")):
        draw(results(a=2), tmp_path, threshold=0.95)
    with pytest.raises(UsageError, match=told.format("with --value test_accuracy")):
        figures.draw_diagram(results(a=3, b=3), tmp_path, "test_accuracy", "a", "b", "png", threshold=0.95)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("axes", "named", "told"),
    [
        (
            {"a": 3, "b": 3},
            ("test_acuracy", None, None),
            "got --value test_acuracy; allowed: one of .*did you mean 'test_",
        ),
        ({"a": 3, "b": 3}, ("phase", "a", None), "got --value phase --x a; allowed: --x and --y, two of a, b"),
        (
            {"a": 3, "b": 3, "c": 2},
            ("phase", None, None),
            "got --value phase alone; allowed: --x and --y, two of a, b, c",
        ),
        ({"a": 3}, ("phase", None, None), "allowed: a sweep with two axes; grokdyn plot DIR draws curves"),
    ],
)
def test_a_diagram_of_nothing_known_is_refused_in_words_of_the_command_line(axes, named, told, tmp_path):
    with pytest.raises(UsageError, match=told):
        figures.draw_diagram(results(**dict.fromkeys(axes, 3)), tmp_path, *named, "png")
    assert not list(tmp_path.iterdir())


def drawn(ds, folder, **options):
    """Return the names of the figures that are drawn."""
    return [path.stem for path in draw(ds, folder, **options)]


def test_an_overview_is_over_the_last_two_long_axes_unless_others_are_named(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(figures.plots, "overview", lambda ds, x, y: seen.append((x, y)) or Figure())
    ds = results(a=3, b=4, c=2, d=3)
    for named, axes, count in (
        ({}, ("d", "b"), 6),
        ({"x": "a"}, ("a", "d"), 8),
        ({"y": "d"}, ("b", "d"), 6),
        ({"x": "a", "y": "c"}, ("a", "c"), 12),
    ):
        seen.clear()
        assert len(drawn(ds, tmp_path, **named)) == count
        assert set(seen) == {axes}
    assert not capsys.readouterr().err


def test_figures_that_are_left_out_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "MOST_FIGURES", 2)
    assert drawn(results(a=3, b=3, c=3), tmp_path) == ["overview_a_0", "overview_a_1"]
    call = "gd.plot.overview(ds.isel(a=2), x='c', y='b')"
    assert capsys.readouterr().err == f"grokdyn: left out: 1 of 3 figures; to draw them: ds = gd.open(...); {call}\n"


def test_curves_are_drawn_of_as_many_values_as_a_figure_holds(tmp_path, monkeypatch, capsys):
    panels, curves = [], figures.plots.curves
    monkeypatch.setattr(
        figures.plots, "curves", lambda ds, names: panels.append(len(curves(ds, names).axes)) or Figure()
    )
    for sizes, each in (({"a": 5}, [5]), ({"a": 2, "b": 8}, [16]), ({"a": 20, "b": 2}, [20, 20])):
        panels.clear()
        drawn(results(**sizes), tmp_path)
        assert panels == each
    assert not capsys.readouterr().err
    drawn(results(a=40), tmp_path)
    assert panels[-1] == 36
    assert "left out: 4 of 40 values of a; to draw them: " in capsys.readouterr().err


def losses(ds):
    """Return the results of a regression: losses in place of accuracies."""
    return (ds + 0.1).assign_attrs(ds.attrs).rename(train_accuracy="train_loss", test_accuracy="test_loss")


@pytest.mark.parametrize("sizes", [{"a": 2}, {"a": 3, "b": 4}, pytest.param({"a": 3, "b": 14}, marks=pytest.mark.slow)])
def test_losses_are_drawn_where_there_are_no_accuracies(sizes, tmp_path, capsys):
    names = [f"curves_loss_a_{i}" for i in range(3)] if "b" in sizes and sizes["b"] > 12 else ["curves_loss"]
    assert drawn(losses(results(**sizes, seed=2)), tmp_path) == names
    assert not capsys.readouterr().err


def test_axes_that_cannot_be_honoured_are_told(tmp_path):
    one, short, loss = results(a=3, seed=2), results(a=2, b=3), losses(results(a=3, b=3))
    for ds, named, words in (
        (one, {"x": "a"}, "got --x a; allowed: neither, as the sweep has no two axes besides the seed"),
        (short, {"x": "b"}, "got --x b; allowed: --x and --y, two of a, b"),
        (loss, {"x": "a", "y": "b"}, "got --x a --y b for results without accuracies; allowed: with --value"),
    ):
        with pytest.raises(UsageError, match=words):
            draw(ds, tmp_path, **named)
    assert not list(tmp_path.iterdir())


def test_a_figure_that_cannot_be_written_is_told_and_leaves_the_one_before(tmp_path, monkeypatch):
    ds, file = results(a=2), tmp_path / "curves_accuracy.png"
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write to '.*file/curves_accuracy\.png'"):
        draw(ds, tmp_path / "file")
    draw(ds, tmp_path)
    before = file.read_bytes()

    def break_off(self, file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", break_off)
    with pytest.raises(StoreError, match="No space left"):
        draw(ds, tmp_path)
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "file"]
