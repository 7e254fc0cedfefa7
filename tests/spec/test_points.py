"""Single points and paths that move together: as a Sweep, as text, and their mistakes."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec.files import override_all
from tests import cases

TINY = cases.tiny(steps=2, record=gd.Every(1))
POINTS = [{"seed": s, "optimizer.learning_rate": lr} for lr in (0.1, 0.2) for s in (0, 1, 2)]
ALPHA = {"zip": {"model.output_scale": [1.0, 10.0], "optimizer.learning_rate": [0.1, 0.001]}}


def test_points_are_the_runs_of_the_product_they_make():
    grid = gd.Sweep(TINY, {"optimizer.learning_rate": [0.1, 0.2], "seed": [0, 1, 2]})
    found = gd.Points(TINY, POINTS)
    assert list(found.experiments()) == list(grid.experiments())
    assert found.shape == {"run": 6}
    assert {name: (dim, values.tolist()) for name, (dim, values) in found.beside.items()} == {
        "seed": ("run", [0, 1, 2] * 2),
        "learning_rate": ("run", [0.1] * 3 + [0.2] * 3),
    }


def test_paths_that_move_together_are_one_dimension_beside_others():
    found = gd.Sweep(TINY, {"alpha": ALPHA, "seed": [0, 1]})
    assert found.shape == {"alpha": 2, "seed": 2}
    assert found.coordinates["alpha"].tolist() == [0, 1]
    scales = [(e.model.output_scale, e.optimizer.learning_rate, e.seed) for e in found.experiments()]
    assert scales == [(1.0, 0.1, 0), (1.0, 0.1, 1), (10.0, 0.001, 0), (10.0, 0.001, 1)]
    named = gd.Sweep(TINY, {"output_scale": ALPHA})
    assert named.coordinates["output_scale"].tolist() == [1.0, 10.0]
    assert list(named.beside) == ["learning_rate"]


@pytest.mark.parametrize("made", [gd.Points(TINY, POINTS), gd.Sweep(TINY, {"alpha": ALPHA, "seed": [0, 1]})])
def test_the_text_gives_the_sweep_again(made):
    assert gd.Sweep.from_toml(made.to_toml()) == made


def test_tables_in_tables_and_spacings_mean_the_same_in_a_file():
    text = TINY.to_toml() if hasattr(TINY, "to_toml") else gd.Sweep(TINY, {}).to_toml().replace("[sweep]", "")
    text += "[sweep.alpha.zip]\nseed = {range = [0, 2]}\n[sweep.alpha.zip.optimizer]\nlearning_rate = [0.1, 0.2]\n"
    found = gd.Sweep.from_toml(text)
    assert [(e.seed, e.optimizer.learning_rate) for e in found.experiments()] == [(0, 0.1), (1, 0.2)]


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ({"alpha": {"zip": {}}}, r"sweep\.alpha: got .*; allowed: \{zip = "),
        ({"alpha": {"zip": {"seed": [0, 1], "optimizer.learning_rate": [0.1]}}}, r"learning_rate: got 1 values; allow"),
        ({"alpha": {"zip": {"seed": [0, 0]}}}, "got seed = 0 a second time; allowed: each combination"),
        ({"alpha": ALPHA, "optimizer.learning_rate": [1.0]}, "two axes of this path; allowed: each path once"),
        ({"alpha.beta": ALPHA}, "allowed: a word of its own"),
        ({"alpha": {"zip": {"model.no": [1]}}}, "model.no: got a path that does not exist"),
        ({"alpha": {"zip": {"seed": [0, -1]}}}, r"sweep\.alpha\.zip\.seed\[1\]: got -1"),
    ],
)
def test_what_does_not_go_together_is_told(axes, told):
    with pytest.raises(gd.SpecError, match=told):
        gd.Sweep(TINY, axes)


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([], r"points: got \[\]; allowed: a list of points"),
        ({"seed": [0]}, "points: got .*; allowed: a list of points"),
        ([{"seed": 0}, {}], r"points\[1\]: got .*; allowed: a table"),
        ([{"seed": 0}, {"optimizer.learning_rate": 0.1}], r"points\[1\]\.(seed: got nothing|optimizer.*: got 0.1)"),
        ([{"seed": 0}, {"seed": 0}], "a second time"),
    ],
)
def test_points_that_lack_something_are_told(points, told):
    with pytest.raises(gd.SpecError, match=told):
        gd.Points(TINY, points)


def test_a_field_that_moves_with_others_is_not_set_alone():
    raw = {"sweep": {"alpha": ALPHA}}
    with pytest.raises(gd.SpecError, match=r"got 1\.0; allowed: a field that sweep\.alpha does not vary"):
        override_all(raw, {"optimizer.learning_rate": 1.0})


def test_a_path_without_effect_among_others_is_told_and_alike_runs_are_refused(capsys):
    gd.run(gd.Points(TINY, [{"seed": s, "task.noise": n} for s, n in ((0, "wrong"), (1, "uniform"))]), progress=False)
    assert "task.noise has no effect: label_noise is 0" in capsys.readouterr().err
    with pytest.raises(gd.SpecError, match="some of which give the same run"):
        gd.run(gd.Points(TINY, [{"seed": 0, "task.noise": n} for n in ("wrong", "uniform")]), progress=False)


def test_results_of_points_make_the_grid_of_the_product():
    grid = gd.run(gd.Sweep(TINY, {"optimizer.learning_rate": [0.1, 0.2], "seed": [0, 1, 2]}), progress=False)
    found = gd.run(gd.Points(TINY, POINTS), progress=False)
    assert found.train_loss.dims == ("run", "step")
    made = gd.to_grid(found, ["learning_rate", "seed"])
    assert made.attrs["axes"] == grid.attrs["axes"]
    for name, values in grid.data_vars.items():
        np.testing.assert_array_equal(made[name], values)
        assert made[name].dims == values.dims
    part = gd.to_grid(found.isel(run=slice(1, None)))
    assert part.status.sel(learning_rate=0.1, seed=0) == -1
    assert np.isnan(part.train_loss.sel(learning_rate=0.1, seed=0)).all()
    with pytest.raises(ValueError, match="several points are in one cell"):
        gd.to_grid(found, ["seed"])
    with pytest.raises(ValueError, match="'weight_decay'"):
        gd.to_grid(found, ["weight_decay"])
    with pytest.raises(ValueError, match="dimension of single points"):
        gd.to_grid(grid)
