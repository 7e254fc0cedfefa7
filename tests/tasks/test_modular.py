"""Tables of modular arithmetic against a double loop in Python's whole numbers."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec import base
from grokdyn.tasks.modular import OPERATIONS
from tests.contract import arrays
from tests.tasks.draws import drawn

TRUTH = {
    "add": lambda a, b, p: (a + b) % p,
    "sub": lambda a, b, p: (a - b) % p,
    "mul": lambda a, b, p: (a * b) % p,
    "div": lambda a, b, p: next(c for c in range(p) if c * b % p == a % p),
    "x2+y2": lambda a, b, p: (a * a + b * b) % p,
    "x2+xy+y2": lambda a, b, p: (a * a + a * b + b * b) % p,
    "x2+xy+y2+x": lambda a, b, p: (a * a + a * b + b * b + a) % p,
    "x2+y": lambda a, b, p: (a * a + b) % p,
    "x3+y": lambda a, b, p: (a * a * a + b) % p,
    "x3+xy": lambda a, b, p: (a * a * a + a * b) % p,
    "x3+xy2+y": lambda a, b, p: (a * a * a + a * b * b + b) % p,
    "div|sub": lambda a, b, p: next(c for c in range(p) if c * b % p == a % p) if b % 2 else (a - b) % p,
    "add|mul": lambda a, b, p: (a * b) % p if a % 2 else (a + b) % p,
    "add|sub": lambda a, b, p: (a - b) % p if a % 2 else (a + b) % p,
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
    assert task.signature() == gd.Signature(p, 2, p, len(pairs), 0, False, 1, (None, None))


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


@pytest.mark.parametrize(
    ("sequence", "write", "symbols"),
    [
        ("a b =", lambda a, b: [a, b, 5], 1),
        ("a op b =", lambda a, b: [a, 6, b, 5], 2),
        ("<eos> a op b =", lambda a, b: [7, a, 6, b, 5], 3),
    ],
)
def test_a_sequence_is_written_with_symbols_after_the_residues(sequence, write, symbols):
    task = gd.ModularArithmetic(op="div", p=5, sequence=sequence)
    inputs, labels = task.table()
    pairs = rows_of("div", 5)
    assert inputs.tolist() == [write(a, b) for a, b in pairs]
    assert inputs.dtype == np.int32
    assert np.array_equal(labels, task.replace(sequence="a b").table().labels)
    signature = task.signature()
    assert signature.inputs[:2] == (5 + symbols, len(sequence.split()))
    assert signature.targets == gd.Classes(5 + symbols, symbols=symbols)
    assert signature.rows == len(pairs)
    assert signature.classes == 5


def test_a_sequence_with_its_result_has_two_answers():
    task = gd.ModularArithmetic(op="div", p=5, sequence="<eos> a op b = c")
    inputs, labels = task.table()
    assert inputs.tolist() == [[7, a, 6, b, 5, TRUTH["div"](a, b, 5)] for a, b in rows_of("div", 5)]
    assert labels.tolist() == [[TRUTH["div"](a, b, 5), 7] for a, b in rows_of("div", 5)]
    assert (inputs.dtype, labels.dtype) == (np.int32, np.int32)
    assert task.signature() == gd.Signature(8, 6, 8, 20, 3, False, 2, (7, None, 6, None, 5, None))


@pytest.mark.parametrize("sequence", ["<eos> a op b =", "<eos> a op b = c"])
def test_no_corrupted_label_is_a_symbol(sequence):
    task = gd.ModularArithmetic(p=5, sequence=sequence, train_fraction=1.0, label_noise=1.0)
    with jax.enable_x64(True):
        labels = np.asarray(jax.jit(drawn)(arrays(task)).labels)
    assert set(labels.reshape(25, -1)[:, 0].tolist()) == set(range(5))
    assert labels.ndim == 1 or set(labels[:, 1].tolist()) == {7}, "the <eos> that follows is not corrupted"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sequence": "a b =", "encoding": "binary"}, r"sequence: got 'a b ='; allowed: 'a b'"),
        ({"op": "div|sub", "p": 9}, r"p: got 9; allowed: a prime modulus for op = 'div\|sub'"),
    ],
)
def test_mistakes_are_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        base.check(gd.ModularArithmetic(p=5).replace(**changes))
