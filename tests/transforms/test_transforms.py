"""What every transform does to rows, what the weights of rows do to draws, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.train.compiled import TRACES
from grokdyn.train.transformed import by_weight
from grokdyn.transforms.base import Batch
from grokdyn.transforms.mixup import partners
from tests import cases

pytestmark = pytest.mark.usefixtures("x64")
KEY = jax.random.key(3)


def batch(n=60, real=None, **features):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((n, 3)), jnp.float32)
    y = jnp.asarray(rng.integers(0, 4, n), jnp.int32)
    real = jnp.ones(n, bool) if real is None else jnp.arange(n) < real
    named = {name: jnp.asarray(values) for name, values in features.items()}
    return Batch(x, y, real.astype(jnp.float64), real, jnp.arange(n, dtype=jnp.int32), 4, {"label": y, **named})


def at(transform, rows, step=0, key=KEY):
    return transform.apply(rows, key, jnp.int32(step))


@pytest.mark.parametrize("same_class", [False, True])
def test_partners_are_a_permutation_of_the_real_rows(same_class):
    rows = batch(real=41)
    found = np.asarray(partners(rows, KEY, same_class))
    assert sorted(found[:41]) == list(range(41))
    other = np.asarray(partners(rows, jax.random.key(4), same_class))
    assert not np.array_equal(found, other)
    if same_class:
        label = np.asarray(rows.targets)
        assert np.array_equal(label[found[:41]], label[:41])
        assert np.all(found[:41] != np.arange(41)), "classes have more than a row here"


def test_mixup_ends_in_the_very_rows_and_its_shares_are_beta():
    rows, mixup = batch(), gd.Mixup(alpha=0.5, per="row", until=5)
    clean = at(mixup, rows, 5)
    assert np.array_equal(clean.inputs, rows.inputs)
    assert np.array_equal(clean.targets, np.eye(4)[np.asarray(rows.targets)])
    many = batch(5_000)
    l = np.asarray(jax.jit(lambda key: mixup.shares(many, key, jnp.int32(0)))(KEY))
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)); 4 standard errors.
    assert abs(l.mean() - 0.5) < 4 * np.sqrt(0.125 / 5_000)
    assert abs(l.var() - 0.125) < 4 * np.sqrt(0.02 / 5_000)


def test_inputs_and_targets_are_mixed_by_shares_of_their_own():
    rows, until = batch(), 5
    given = gd.Mixup(share=0.7, label_share=0.6, until=until)
    found, clean, drawn = at(given, rows, 4), at(given, rows, until), at(gd.Mixup(label_share=0.6), rows, 4)
    partner = np.asarray(partners(rows, jax.random.split(KEY)[1], False))
    x, y = np.asarray(rows.inputs, np.float64), np.eye(4)[np.asarray(rows.targets)]
    np.testing.assert_allclose(found.inputs, 0.7 * x + 0.3 * x[partner], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.targets, 0.6 * y + 0.4 * y[partner])
    np.testing.assert_array_equal(clean.inputs, rows.inputs)
    np.testing.assert_array_equal(clean.targets, y)
    np.testing.assert_array_equal(drawn.targets, found.targets)
    np.testing.assert_array_equal(drawn.inputs, at(gd.Mixup(), rows, 4).inputs)


def test_noise_has_its_size_and_its_end():
    rows = batch(5000)
    moved = at(gd.InputNoise(std=0.3, until=7), rows, 6).inputs - rows.inputs
    assert abs(np.std(moved) - 0.3) < 4 * 0.3 / np.sqrt(2 * moved.size)
    assert np.array_equal(at(gd.InputNoise(std=0.3, until=7), rows, 7).inputs, rows.inputs)
    redrawn = at(gd.RedrawnLabels(probability=0.4), rows).targets
    # A fourth of the labels that are drawn anew are what they were.
    assert abs(np.mean(redrawn != rows.targets) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 5000)


def test_images_are_moved_and_mirrored():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((20, 4, 4, 1)) + 10, jnp.float32)
    rows = batch(20)._replace(inputs=x)
    moved = np.asarray(at(gd.Shifts(pixels=1), rows).inputs)
    padded = np.pad(np.asarray(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
    for image, wide in zip(moved, padded, strict=True):
        assert any(np.array_equal(image, wide[i : i + 4, j : j + 4]) for i in range(3) for j in range(3))
    flipped = np.asarray(at(gd.Flips(probability=1.0), rows).inputs)
    assert np.array_equal(flipped, np.asarray(x)[:, :, ::-1])


def test_choosing_transforms_weigh_the_rows_they_name():
    rows = batch(12, ones=np.arange(12) % 4)
    easy = gd.Curriculum(feature="ones", first=0, by=2, every=10)
    for step, most in ((0, 0), (9, 0), (10, 2), (20, 4)):
        assert np.array_equal(at(easy, rows, step).weights > 0, np.arange(12) % 4 <= most)
    size = gd.TrainSize(points=5, since=3, until=6)
    assert [int(at(size, rows, step).weights.sum()) for step in (2, 3, 5, 6)] == [12, 5, 5, 12]
    heavy = gd.RowWeights(feature="ones", low=3, high=3, factor=4.0, since=2)
    assert np.array_equal(at(heavy, rows, 2).weights, np.where(np.arange(12) % 4 == 3, 4, 1))
    assert np.array_equal(at(heavy, rows, 1).weights, np.ones(12))


def test_parts_come_one_after_another_with_a_share_of_replay():
    of = np.repeat([0, 1, 2], [3, 4, 5])
    rows = batch(12, a=of == 0, b=of == 1, c=of == 2)
    parts = gd.PartSequence(parts=("a", "b", "c"), every=10, replay=0.5)
    for step, shares in ((0, (1, 0, 0)), (10, (0.5, 0.5, 0)), (25, (0.25, 0.25, 0.5)), (99, (0.25, 0.25, 0.5))):
        weights = np.asarray(at(parts, rows, step).weights)
        np.testing.assert_allclose([weights[of == k].sum() for k in range(3)], shares, rtol=1e-12)
        assert all(len(np.unique(weights[of == k])) == 1 for k in range(3))


def test_a_memory_keeps_the_first_rows_of_parts_that_are_over():
    of = np.arange(12) % 3
    parts = gd.PartSequence(parts=("a", "b", "c"), every=10, replay=0.5, memory=2)
    rows = batch(12, a=of == 0, b=of == 1, c=of == 2)
    assert np.array_equal(np.flatnonzero(at(parts, rows, 9).weights), np.flatnonzero(of == 0))
    weights = np.asarray(at(parts, rows, 25).weights)
    assert np.flatnonzero(weights).tolist() == [0, 1, 2, 3, 4, 5, 8, 11]
    np.testing.assert_allclose(weights[[0, 1, 3, 4]], 0.125)
    whole = at(parts.replace(memory=4), rows, 25).weights
    assert np.array_equal(whole, at(parts.replace(memory=None), rows, 25).weights)


def test_hard_rows_weigh_a_power_of_their_loss():
    losses = jnp.asarray([0.1, 0.4, 1e-30, 2.0])
    rows = batch(4)._replace(losses=losses)
    found = np.asarray(at(gd.HardRows(power=2.0), rows).weights)
    np.testing.assert_allclose(found / found[0], (np.asarray(losses) / 0.1) ** 2, rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(found.sum(), 4)
    assert np.array_equal(at(gd.HardRows(power=2.0, since=5), rows, 4).weights, np.ones(4))


def test_rows_are_drawn_in_proportion_to_their_weights():
    weights = jnp.asarray([0.0, 1.0, 3.0, 0.0, 4.0, 0.0])
    drawn = np.asarray(by_weight(KEY, weights, 10_000))
    share = np.bincount(drawn, minlength=6) / 10_000
    assert np.all(np.abs(share - np.asarray(weights) / 8) <= 4 * np.sqrt(0.25 / 10_000))
    assert np.all(share[[0, 3, 5]] == 0)


def online(**changes):
    return cases.tiny(
        task=gd.SparseParity(bits=2, noise_bits=4, strings=40),
        steps=12,
        record=gd.Every(6),
        probes=("loss", "train_set"),
    ).replace(**changes)


def test_a_set_that_shrinks_is_the_smaller_set_and_its_numbers_are_one_program():
    """Full batches: before the change the bits of all rows, after it those of a run on the first rows alone."""
    shrunk = online(transforms=(gd.TrainSize(points=8, since=0),))
    sweep = gd.Sweep(shrunk, {"transforms[0].points": [8, 20], "transforms[0].since": [0, 6]})
    traced = TRACES["advance"]
    found = gd.run(sweep, progress=False)
    assert TRACES["advance"] == traced + 1
    small = gd.run(online(**{"task.train_points": 8}), progress=False)
    kept = found.sel(points=8, since=0)
    np.testing.assert_allclose(kept.present_loss, small.train_loss, rtol=1e-5)
    assert np.all(kept.present_rows == 8)
    late = found.sel(points=8, since=6)
    assert np.array_equal(late.present_rows, [20, 8, 8])
    np.testing.assert_allclose(late.train_loss[:2], found.sel(points=20, since=0).train_loss[:2], rtol=1e-6)


def test_a_mini_batch_is_drawn_from_what_is_chosen():
    """Rows that never train keep what they had: a run on few rows, its others at random."""
    chosen = online(
        transforms=(gd.TrainSize(points=4),), batch_size=4, batch_replacement=True, steps=300, record=gd.Every(300)
    ).replace(**{"optimizer.learning_rate": 0.05})
    found = gd.run(chosen, progress=False).isel(step=-1)
    assert found.present_loss < 0.05 < found.absent_loss


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"task": gd.ModularArithmetic(p=7), "transforms": (gd.Mixup(),)},
            r"transforms\[0\].kind: got mixup of tokens",
        ),
        ({"transforms": (gd.Curriculum(feature="onez"),)}, r"transforms\[0\].feature: got 'onez'.* label, ones"),
        ({"transforms": (gd.PartSequence(parts=("a",)),)}, r"transforms\[0\].parts: got 'a'; allowed: parts"),
        ({"transforms": (gd.TrainSize(points=1000),)}, r"transforms\[0\].points: got 1000; allowed: at most .*, 20"),
        (
            {"transforms": (gd.TrainSize(points=3),), "batch_size": 4},
            r"batch_replacement: got False; allowed: true, as",
        ),
        ({"transforms": (gd.Flips(),)}, r"transforms\[0\].kind: got vectors; allowed: a task of images"),
        (
            {"transforms": (gd.Mixup(),), "loss": gd.ForcedCollapse(inner=gd.CrossEntropy(), at=2)},
            r"transforms\[0\].kind: got mixup; allowed: a loss that takes shares",
        ),
        ({"transforms": (gd.Mixup(),), "probes": ("loss",), "task.fresh": True}, r"batch_size: got nothing"),
        ({"probes": ("descended",)}, r"probes\[0\].kind: got no transforms"),
        (
            {"task.fresh": True, "batch_size": 3, "transforms": (gd.Curriculum(feature="ones"),)},
            r"transforms\[0\].kind: got .*; allowed: transforms that choose no rows",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(changes, told):
    with pytest.raises(gd.SpecError, match=told):
        gd.run(online(**changes), progress=False)


@pytest.mark.parametrize("path", ["transforms[3].points", "transforms[0]", "transforms.points", "seed[0].points"])
def test_a_path_into_a_list_that_is_not_there_is_told(path):
    with pytest.raises(gd.SpecError, match=r"transforms|seed"):
        gd.Sweep(online(transforms=(gd.TrainSize(points=8),)), {path: [1, 2]})
