"""Tables of modular arithmetic against a double loop in Python's whole numbers."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.modular import OPERATIONS

TRUTH = {
    "add": lambda a, b, p: (a + b) % p,
    "sub": lambda a, b, p: (a - b) % p,
    "mul": lambda a, b, p: (a * b) % p,
    "div": lambda a, b, p: next(c for c in range(p) if c * b % p == a % p),
    "x2+y2": lambda a, b, p: (a * a + b * b) % p,
    "x2+xy+y2": lambda a, b, p: (a * a + a * b + b * b) % p,
    "x2+xy+y2+x": lambda a, b, p: (a * a + a * b + b * b + a) % p,
    "x3+xy": lambda a, b, p: (a * a * a + a * b) % p,
    "x3+xy2+y": lambda a, b, p: (a * a * a + a * b * b + b) % p,
}


def rows_of(op, p, first=0, symmetric=False):
    pairs = ((a, b) for a in range(first, p) for b in range(first, p))
    return [(a, b) for a, b in pairs if not (op == "div" and b == 0) and not (symmetric and a > b)]


def test_every_operation_is_tested():
    assert TRUTH.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("p", [2, 5, 13])
@pytest.mark.parametrize("op", TRUTH)
def test_a_table_is_the_double_loop(op, p, first, symmetric):
    task = gd.ModularArithmetic(op=op, p=p, first_residue=first, pairs="symmetric" if symmetric else "ordered")
    inputs, labels = task.table()
    pairs = rows_of(op, p, first, symmetric)
    assert inputs.tolist() == [list(pair) for pair in pairs]
    assert labels.tolist() == [TRUTH[op](a, b, p) for a, b in pairs]
    assert (inputs.dtype, labels.dtype) == (np.int32, np.int32)
    assert task.signature() == (p, 2, p, len(pairs))


@pytest.mark.parametrize("op", ["add", "x3+xy2+y"])
def test_a_large_modulus_does_not_overflow(op):
    p = 1999
    inputs, labels = gd.ModularArithmetic(op=op, p=p).table()
    for row in np.random.default_rng(0).integers(p * p, size=200).tolist():
        a, b = row // p, row % p
        assert inputs[row].tolist() == [a, b]
        assert labels[row] == TRUTH[op](a, b, p)


def test_rows_are_numbered_as_documented():
    inputs = gd.ModularArithmetic(p=7).table().inputs
    assert all(inputs[a * 7 + b].tolist() == [a, b] for a in range(7) for b in range(7))
    inputs = gd.ModularArithmetic(p=7, first_residue=1).table().inputs
    assert all(inputs[(a - 1) * 6 + b - 1].tolist() == [a, b] for a in range(1, 7) for b in range(1, 7))


def test_division_is_by_the_modular_inverse():
    p = 97
    inputs, labels = gd.ModularArithmetic(op="div", p=p).table()
    assert len(labels) == p * (p - 1)
    assert np.all(labels * inputs[:, 1] % p == inputs[:, 0])


def test_a_users_operation_is_taken_modulo_p():
    labels = gd.ModularArithmetic(op=lambda a, b: a - 3 * b, p=5).table().labels
    assert labels.tolist() == [(a - 3 * b) % 5 for a in range(5) for b in range(5)]
