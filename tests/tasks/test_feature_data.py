"""Rows of patches against their definition, kind by kind, and what transforms may ask of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.parts import parts_of

pytestmark = pytest.mark.usefixtures("x64")
OWN = gd.FeatureData(dimension=40, common=5, rare=3, both=2, test_rows=400, rare_length=2.0, distractor_scale=0.25)
OPPOSITE = OWN.replace(vectors="opposite", places="own", noise_patches=2, targets="sign", common=0)


def kinds_of(task):
    """Return for every row its part, and whether it has the common and the rare feature, row by row."""
    counts = {"common": task.common, "rare": task.rare, "both": task.both}
    train = [name for name, n in counts.items() for _ in range(n)]
    kinds = [*train, *train, *["common"] * task.test_rows, *["rare"] * task.test_rows]
    parts = [*train, *["test"] * len(train), *["only_common"] * task.test_rows, *["only_rare"] * task.test_rows]
    return np.array(parts), np.array([k != "rare" for k in kinds]), np.array([k != "common" for k in kinds])


@pytest.mark.parametrize("task", [OWN, OPPOSITE], ids=["own", "opposite"])
def test_rows_are_features_then_distractors_then_noise(task):
    x, y = map(np.array, jax.jit(task.draw)(jax.random.key(2)))
    parts, common, rare = kinds_of(task)
    np.testing.assert_array_equal(task.membership(), parts)
    shared, signed = task.places == "shared", task.targets == "sign"
    assert x.shape == (len(parts), 1, 3 if shared else 5, 40)
    label = (y[:, 0] > 0).astype(int) if signed else y
    for part in set(parts):
        mine = label[parts == part]
        assert abs(2 * mine.sum() - len(mine)) <= len(set(common[parts == part])) * 3
    if signed:
        assert y.shape == (len(parts), 1)
        assert set(y.ravel()) == {-1, 1}
    for row, (patches, k) in enumerate(zip(x[:, 0], label, strict=True)):
        u, v = np.zeros(40), np.zeros(40)
        u[0 if signed else k] = 2 * k - 1 if signed else 1
        v[1 if signed else 2 + k] = 2 * (2 * k - 1 if signed else 1)
        held = [common[row] * u + rare[row] * v] if shared else [common[row] * u, rare[row] * v]
        np.testing.assert_array_equal(patches[: len(held)], held)
        assert np.abs(patches[len(held)]).sum() == 0.25
        assert not patches[len(held) + 1 :, : task.axes].any()
    turned = x[:, 0, -task.noise_patches - 1, : 1 if signed else 2].astype(float)
    votes = np.sum(turned > 0, axis=0) / len(turned)
    assert np.all(np.abs(votes - 0.5) < 5 * 0.5 / np.sqrt(len(turned)))
    noise = x[:, 0, -task.noise_patches :, task.axes :] / 0.1
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)


def test_features_of_a_row_are_those_that_transforms_may_choose_by():
    def featured(task):
        table = task.draw(jax.random.key(2))
        return table.labels, task.features(*table)

    (y, found), (_, others) = jax.jit(lambda: (featured(OWN), featured(OPPOSITE)))()
    _, common, rare = kinds_of(OWN)
    np.testing.assert_array_equal(found["label"], y)
    np.testing.assert_allclose(found["common_size"], np.where(common, 1, 0.25))
    np.testing.assert_allclose(found["rare_size"], np.where(rare, 2, 0))
    assert set(others) == {"common_size", "rare_size"}


def test_kinds_that_there_are_are_parts_that_train():
    assert parts_of(OWN).roles == {
        "common": "train",
        "rare": "train",
        "both": "train",
        "test": "test",
        "only_common": "test",
        "only_rare": "test",
    }
    assert OPPOSITE.signature().parts[0] == ("rare", "train")


def test_fresh_rows_have_the_kinds_in_proportion_and_fair_classes():
    task = OWN.replace(fresh=True)
    assert task.signature().parts == (("mixture", "pool"), ("only_common", "test"), ("only_rare", "test"))
    x, y = map(np.array, jax.jit(lambda key: task.sample(None, key, 4000))(jax.random.key(1)))
    common, rare = (np.abs(x[:, 0, 0, places]).max(1) > 0 for places in (slice(0, 2), slice(2, 4)))
    np.testing.assert_array_equal(x[:, 0, 0, :4].argmax(1) % 2, y)
    for share, hits in ((0.5, common & ~rare), (0.3, rare & ~common), (0.2, common & rare), (0.5, y == 1)):
        assert abs(hits.mean() - share) < 4 * np.sqrt(share * (1 - share) / 4000)
    assert len(np.unique(x[:, 0, 2], axis=0)) == 4000


class Seen(gd.Probe):
    """How many rows of every part there are, and in how many pairs of parts some row is twice."""

    def variables(self, shapes):
        axis = {"part": ["train", "test", "only_common", "only_rare"]}
        return {"rows": gd.Variable("rows", dims=("part",), coordinates=axis), "shared": gd.Variable("shared")}

    def measure(self, view):
        masks = jnp.stack([*view.parts.values()])
        return {"rows": masks.sum(1), "shared": jnp.sum(masks.sum(0) > 1)}


def test_parts_of_the_table_test_beside_fresh_rows():
    exp = experiment(task=OWN.replace(fresh=True), batch_size=7, steps=2, probes=("loss", "accuracy", Seen()))
    ds = gd.run(exp, progress=False)
    np.testing.assert_array_equal(ds.rows.isel(step=-1), [7, 10, 400, 400])
    assert not ds.shared.any()
    assert set(ds.data_vars) >= {"only_rare_accuracy", "only_common_loss"}


def experiment(**changes):
    return gd.Experiment(
        task=OWN,
        model=gd.Patches(),
        loss=gd.CrossEntropy(),
        optimizer=gd.SGD(learning_rate=0.1),
        steps=1,
    ).replace(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": OWN.replace(dimension=3)}, r"task.dimension: got 3; allowed: at least 4, the axes"),
        ({"task": gd.FeatureData(common=0, rare=0)}, r"task.common: got no row that trains; allowed: common, rare or"),
        (
            {"transforms": (gd.RowWeights(feature="weak"),)},
            r"feature: got 'weak'.*common_size, label, rare_size, common, rare, both",
        ),
        (
            {"task": OWN.replace(fresh=True), "batch_size": 4, "transforms": (gd.RowWeights(feature="rare_size"),)},
            r"transforms\[0\].kind: got .*; allowed: transforms that choose no rows",
        ),
        ({"transforms": (gd.RowWeights(feature="only_rare"),)}, r"feature: got 'only_rare'; allowed: a feature"),
    ],
)
def test_what_does_not_fit_is_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        gd.run(experiment(**changes), progress=False)
