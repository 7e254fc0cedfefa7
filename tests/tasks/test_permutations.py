"""The symmetric group against composition of permutations in plain Python."""

import itertools

import numpy as np
import pytest

import grokdyn as gd


def then(x, y):
    """Do x, then y."""
    return tuple(y[i] for i in x)


def undo(x):
    return tuple(x.index(i) for i in range(len(x)))


TRUTH = {
    "x*y": then,
    "x*y*x^-1": lambda x, y: then(then(x, y), undo(x)),
    "x*y*x": lambda x, y: then(then(x, y), x),
}


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("op", TRUTH)
def test_a_table_is_the_composition(op, n):
    elements = list(itertools.permutations(range(n)))
    inputs, labels = gd.SymmetricGroup(n=n, op=op).table()
    pairs = list(itertools.product(range(len(elements)), repeat=2))
    assert inputs.tolist() == [list(pair) for pair in pairs]
    assert labels.tolist() == [elements.index(TRUTH[op](elements[x], elements[y])) for x, y in pairs]


def test_five_things_make_a_group():
    task = gd.SymmetricGroup(sequence="a b =")
    inputs, labels = task.table()
    assert task.signature() == gd.Signature(121, 3, 121, 14400, 1, False, 1, (None, None, 120))
    assert set(inputs[:, 2].tolist()) == {120}
    table = labels.reshape(120, 120)
    everyone = np.arange(120)
    assert np.array_equal(table[0], everyone)
    assert np.array_equal(table[:, 0], everyone)
    assert np.array_equal(np.sort(table, axis=0), np.tile(everyone[:, None], 120))
    a, b, c = np.random.default_rng(0).integers(0, 120, (3, 500))
    assert np.array_equal(table[table[a, b], c], table[a, table[b, c]])
    assert not np.array_equal(table, table.T)
    asked = task.replace(sequence="<eos> a op b = c").table()
    assert np.array_equal(asked.inputs[:, 5], labels)
    assert np.array_equal(asked.labels, np.stack([labels, np.full(14400, 122)], axis=1))
