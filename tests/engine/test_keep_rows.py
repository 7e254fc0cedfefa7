"""Rows of a second training by the scores of a first: which they are, and that nothing else is different."""

import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.cli import main
from grokdyn.interventions.rows import first_of
from tests import cases

ROWS = 49
SEEDS = {"seeds.split": 0, "seeds.noise": 0}


class Divided(gd.Probe):
    """Records which rows train and which test."""

    def variables(self, shapes):
        axis = {"dims": ("row",), "coordinates": {"row": np.arange(shapes.signature.rows)}}
        return {name: gd.Variable(name, **axis) for name in ("trains", "tests")}

    def measure(self, view):
        return {"trains": view.train.astype(jnp.float64), "tests": view.test.astype(jnp.float64)}


BASE = cases.tiny(
    steps=20,
    record=gd.Every(10),
    snapshots=(0, 10, 20),
    probes=("loss", "accuracy", gd.ExampleScores(rows=ROWS), Divided()),
    **{"task.train_fraction": 0.6, **SEEDS},
)
SWEEP = gd.Sweep(BASE, {"task.label_noise": [0.0, 0.3], "seed": [0, 1, 2]})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("first") / "store"
    gd.run(SWEEP, out=path, progress=False)
    return path


def forked(store, **options):
    return gd.fork(store, rewind=options.pop("rewind", 0), progress=False, **options)


def chosen(scores, trains, keep, skip=0.0):
    """Return the rows that stay of one run, row by row."""
    order = sorted(np.flatnonzero(trains), key=lambda row: (-scores[row], row))
    n = len(order)
    return set(order[round(skip * n) :][: round(keep * n)])


@pytest.mark.parametrize(("by", "over"), [("el2n", ("seed",)), ("grand", ())])
def test_the_rows_that_stay_have_the_largest_scores_as_the_probe_has_them(store, by, over):
    first = gd.open(store).sel(step=10)
    scores = first[by].mean("seed").expand_dims(seed=3, axis=1) if over else first[by]
    second = forked(store, step=10, apply=gd.KeepRows(keep=0.4, by=by, over=over, skip=0.1))
    for i in range(2):
        for j in range(3):
            mine = second.isel(label_noise=i, seed=j, step=0)
            trains = first.trains.isel(label_noise=i, seed=j).values > 0
            expected = chosen(scores.isel(label_noise=i, seed=j).values, trains, 0.4, 0.1)
            assert set(np.flatnonzero(mine.trains)) == expected
            np.testing.assert_array_equal(mine.tests, first.tests.isel(label_noise=i, seed=j))
    if over:
        assert (second.trains.isel(step=0) == second.trains.isel(step=0, seed=0)).all()


def test_it_is_the_training_of_a_smaller_train_set_to_which_nothing_else_was_done(store):
    second = forked(store, run=[0, 1, 2], apply=gd.KeepRows(keep=0.5, which="lowest", over=("seed",)))
    rows = np.flatnonzero(second.trains.isel(run=0, step=0))
    alone = BASE.replace(probes=("loss",))
    given = gd.run(gd.Sweep(alone, {"seed": [0, 1, 2]}), start=gd.Start(train_rows=rows), progress=False)
    np.testing.assert_allclose(second.train_loss, given.train_loss, rtol=1e-5)
    # There the rows that are left out test; here the test rows are those of before.
    whole = gd.run(gd.Sweep(alone, {"seed": [0, 1, 2]}), progress=False)
    np.testing.assert_allclose(second.test_loss.isel(step=0), whole.test_loss.isel(step=0), rtol=1e-6)
    assert len(rows) == round(0.5 * int(0.6 * ROWS))


def test_what_is_left_out_stays_out_and_corrupted_rows_are_those_that_train(store, tmp_path):
    one = forked(store, apply=gd.KeepRows(keep=0.6), out=tmp_path / "one")
    two = forked(tmp_path / "one", apply=gd.KeepRows(keep=0.5, by="random"), out=tmp_path / "two")
    on = gd.fork(tmp_path / "two", step=10, progress=False)
    counts = [found.trains.isel(step=0).sum("row").values for found in (one, two, on)]
    n = int(0.6 * ROWS)
    assert set(counts[0].ravel()) == {round(0.6 * n)}
    assert set(counts[1].ravel()) == set(counts[2].ravel()) == {round(0.5 * round(0.6 * n))}
    assert not (two.trains.astype(bool) & ~one.trains.astype(bool)).any()
    np.testing.assert_array_equal(on.train_loss, two.train_loss.sel(step=[10, 20]))
    clean, noisy = (two.isel(step=-1).sel(label_noise=noise) for noise in (0.0, 0.3))
    share = noisy.train_accuracy * counts[1][1]
    parts = [noisy.clean_rows_accuracy, noisy.corrupted_rows_accuracy]
    assert np.all(
        (np.minimum(*parts) - 1e-6 <= share / counts[1][1]) & (share / counts[1][1] <= np.maximum(*parts) + 1e-6)
    )
    np.testing.assert_allclose(clean.clean_rows_accuracy, clean.train_accuracy)


def test_a_round_in_a_file_varies_how_rows_are_chosen(tmp_path):
    (tmp_path / "first.toml").write_text(gd.Sweep(BASE.replace(probes=("loss",)), {"seed": [0, 1]}).to_toml())
    (tmp_path / "second.toml").write_text(
        "steps = 20\n[round]\nof = 'first'\nrewind = 0\nstep = 20\n"
        "apply = [{kind = 'keep_rows', over = ['seed']}, {kind = 'reinitialise'}]\n"
        "[sweep]\n'round.keep_rows.keep' = [0.25, 1.0]\n'round.keep_rows.by' = ['el2n', 'random']\n"
    )
    ds = gd.run_round(gd.load(tmp_path / "second.toml"), tmp_path / "out" / "second", progress=False)
    assert dict(ds.sizes) == {"seed": 2, "keep": 2, "by": 2, "step": 3}
    whole = ds.sel(keep=1.0)
    np.testing.assert_array_equal(whole.train_loss.sel(by="el2n"), whole.train_loss.sel(by="random"))
    assert (ds.train_loss.sel(keep=0.25) != whole.train_loss).all()
    again = gd.run_round(gd.load(tmp_path / "second.toml"), tmp_path / "out" / "second", progress=False)
    np.testing.assert_array_equal(again.train_loss, ds.train_loss)


@pytest.mark.slow
def test_the_command_line_has_its_fields(store, tmp_path):
    shown = ["fork", str(store), "--rewind", "0", "--apply", "keep_rows", "--keep", "0.4", "--which", "lowest"]
    assert main([*shown, "--over", "label_noise,seed", "--skip", "0.1", "--out", str(tmp_path / "out")]) == 0
    apply = gd.KeepRows(keep=0.4, which="lowest", over=("label_noise", "seed"), skip=0.1)
    np.testing.assert_array_equal(gd.open(tmp_path / "out").trains, forked(store, apply=apply).trains)
    assert main([*shown, "--over", "sed", "--out", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_pass_through_mini_batches_goes_on_without_the_rows_that_are_left_out(tmp_path):
    """From the middle of a pass: no row that is left out is descended on, and the next batches are of the pass."""
    base = BASE.replace(batch_size=7, probes=(Divided(),), steps=12, snapshots=(0, 9))
    gd.run(base.replace(record=gd.At((0, 9, 12))), out=tmp_path / "s", progress=False)
    found = gd.fork(tmp_path / "s", step=9, apply=gd.KeepRows(keep=0.5), out=tmp_path / "t", progress=False)
    n = int(found.trains.isel(step=0).sum())
    assert n == round(0.5 * int(0.6 * ROWS))
    with np.load(tmp_path / "t/origin.npz") as file:
        order = file["0.states.order"][0]
    assert sorted(order[:n]) == list(range(n))
    assert sorted(order) == list(range(len(order)))
    with pytest.raises(gd.SpecError, match="batch_size: got 7; allowed: at most the number of train rows, 6"):
        gd.fork(tmp_path / "s", step=9, apply=gd.KeepRows(keep=0.2), progress=False)


def test_the_first_rows_are_taken_by_brute_force():
    rng = np.random.default_rng(0)
    scores, trains = rng.integers(0, 5, (6, 30)).astype(float), rng.random((6, 30)) < 0.7
    for keep, skip in ((0.3, 0.0), (0.5, 0.2), (1.0, 0.0), (0.4, 0.6)):
        found = first_of(scores, trains, keep, skip)
        for one, s, t in zip(found, scores, trains, strict=True):
            assert set(np.flatnonzero(one)) == chosen(s, t, keep, skip)


@pytest.mark.parametrize(
    ("apply", "change", "told"),
    [
        (
            gd.KeepRows(over=("sed",)),
            {},
            r"apply\[0\].over: got 'sed'; allowed: axes of the runs before: label_noise, seed",
        ),
        (gd.KeepRows(keep=0.7, skip=0.4), {}, r"apply\[0\].skip: got 0.4; allowed: at most 0.3"),
        (gd.KeepRows(keep=0.01), {}, "keep: got 0.01 of 29 train rows; allowed: a share of at least one row"),
        (gd.KeepRows(), {"seeds.split": 1}, "change: got another split than that whose rows were left out"),
    ],
)
def test_mistakes_are_told(store, apply, change, told):
    with pytest.raises(gd.SpecError, match=told):
        forked(store, apply=apply, change=change)


@pytest.mark.parametrize(
    ("task", "apply", "told"),
    [
        (
            gd.LongTail(),
            gd.KeepRows(over=("seed",)),
            ("over", "none, for a task whose rows every run draws for itself"),
        ),
        (gd.LongTail(), gd.KeepRows(by="grand"), None),
        (gd.Modes(), gd.KeepRows(), ("by", "grand or random, for real targets")),
        (gd.Modes(), gd.KeepRows(by="grand"), None),
        (gd.SparseParity(fresh=True), gd.KeepRows(by="random"), ("kind", "a task whose rows are a finite table")),
    ],
)
def test_tasks_that_it_does_not_fit_are_refused(task, apply, told):
    found = list(apply.unfit(gd.Sweep(BASE.replace(task=task, batch_size=4), {"seed": [0, 1]})))
    assert [(name, allowed) for name, _, allowed in found] == ([] if told is None else [told])
