"""Sparse parity: strings that are exactly distinct, uniform, and labelled by their first bits; binary codes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.parity import distinct, repeated

pytestmark = pytest.mark.usefixtures("x64")
SIZES = [(1, 0, 2), (3, 0, 8), (2, 8, 1024), (2, 8, 1000), (3, 12, 2000), (3, 40, 2000), (30, 30, 500)]


@pytest.mark.parametrize(("bits", "noise", "strings"), SIZES)
def test_strings_are_distinct_and_labelled_by_their_parity_bits(bits, noise, strings):
    task = gd.SparseParity(bits=bits, noise_bits=noise, strings=strings)
    assert not list(task.problems())
    tables = jax.jit(jax.vmap(task.draw))(jax.random.split(jax.random.key(0), 3))
    inputs, labels = np.asarray(tables.inputs), np.asarray(tables.labels)
    assert inputs.shape == (3, strings, bits + noise)
    assert set(np.unique(inputs)) <= {0.0, 1.0}
    assert np.array_equal(labels, inputs[:, :, :bits].sum(-1) % 2)
    for lane in inputs:
        assert len(np.unique(lane, axis=0)) == strings
    assert strings == 2 ** (bits + noise) or not np.array_equal(inputs[0], inputs[1]), "every run draws its own"


def test_every_set_of_strings_is_equally_likely():
    """Both ways of drawing, 2 of 4 numbers listed and 2 of 64 by repair: counts within five standard deviations."""
    keys = jax.random.split(jax.random.key(1), 30_000)
    for bits in (2, 6):
        drawn = np.asarray(jax.jit(jax.vmap(lambda key, bits=bits: distinct(key, 2, bits)))(keys)).astype(int)
        assert np.all(drawn[:, 0] != drawn[:, 1])
        ordered = 2**bits * (2**bits - 1)
        counts = np.zeros((2**bits, 2**bits), int)
        np.add.at(counts, tuple(drawn.T), 1)
        counts = counts[~np.eye(2**bits, dtype=bool)]
        expected = len(keys) / ordered
        chi_squared = np.sum((counts - expected) ** 2 / expected)
        assert abs(chi_squared - (ordered - 1)) < 5 * np.sqrt(2 * (ordered - 1))


def test_repair_finds_what_repeats():
    found = jax.jit(repeated)(jnp.asarray([5, 3, 5, 5, 7, 3], jnp.uint64))
    assert found.tolist() == [False, False, True, True, False, True]


@pytest.mark.parametrize(
    ("changes", "path", "allowed"),
    [
        ({"strings": 9, "bits": 3, "noise_bits": 0}, "task.strings", "at most 8"),
        ({"bits": 30, "noise_bits": 31}, "task.noise_bits", "at most 30"),
        ({"bits": 0}, "task.bits", "from 1 to 60"),
    ],
)
def test_mistakes_are_told(changes, path, allowed):
    experiment = gd.Experiment(task=gd.SparseParity(**changes), model="mlp", loss="mse", optimizer="sgd", steps=1)
    with pytest.raises(gd.SpecError, match=allowed) as told:
        gd.run(experiment)
    assert told.value.path == path


def test_the_fraction_of_the_strings_trains():
    experiment = gd.Experiment(
        task=gd.SparseParity(noise_bits=4, strings=100, train_fraction=0.25),
        model=gd.MLP(hidden=(32,), bias=True),
        loss=gd.CrossEntropy(),
        optimizer=gd.AdamW(learning_rate=0.03),
        steps=200,
        record=gd.At((0, 200)),
    )
    found = gd.run(gd.Sweep(experiment, {"seed": [0, 1]}))
    assert np.all(found.train_accuracy.sel(step=200) > 0.9)
    assert found.train_loss.sel(step=0)[0] != found.train_loss.sel(step=0)[1]


@pytest.mark.parametrize("op", ["add", "div"])
def test_binary_codes_are_those_of_the_residues(op):
    task = gd.ModularArithmetic(op=op, p=113, encoding="binary")
    assert task.signature().inputs == gd.Vectors(14)
    table, tokens = task.table(), gd.ModularArithmetic(op=op, p=113).table()
    for row in (0, 1, 5000, len(table.labels) - 1):
        a, b = tokens.inputs[row]
        assert "".join(str(int(x)) for x in table.inputs[row]) == f"{a:07b}{b:07b}"
    assert np.array_equal(table.labels, tokens.labels)
    assert table.inputs.dtype == "float32"


@pytest.mark.parametrize("first_residue", [0, 1])
def test_permuted_codes_are_a_relabelling_of_each_run(first_residue):
    task = gd.ModularArithmetic(p=11, encoding="binary", permuted=True, first_residue=first_residue)
    assert task.drawn
    tokens = gd.ModularArithmetic(p=11, first_residue=first_residue).table()
    tables = jax.jit(jax.vmap(task.draw))(jax.random.split(jax.random.key(0), 2))
    codes = []
    for inputs, labels in zip(np.asarray(tables.inputs), np.asarray(tables.labels), strict=True):
        assert np.array_equal(labels, tokens.labels)
        numbers = inputs.reshape(-1, 2, 4) @ [8, 4, 2, 1]
        code = dict(zip(tokens.inputs.ravel().tolist(), numbers.ravel().tolist(), strict=True))
        assert np.array_equal(numbers, [[code[a], code[b]] for a, b in tokens.inputs.tolist()])
        assert len(set(code.values())) == len(code)
        assert set(code.values()) <= set(range(11))
        codes.append(code)
    assert codes[0] != codes[1]


def test_only_binary_codes_are_permuted():
    experiment = gd.Experiment(
        task=gd.ModularArithmetic(permuted=True), model="mlp", loss="mse", optimizer="sgd", steps=1
    )
    with pytest.raises(gd.SpecError, match="unless encoding = 'binary'"):
        gd.run(experiment)
