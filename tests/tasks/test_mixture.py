"""A mixture is its operations' tables, one after the other, told apart by a token."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec import base


def test_a_table_is_that_of_every_operation_in_turn():
    task = gd.ModularMixture(ops=("div", "add", "div|sub"), p=5)
    inputs, labels = task.table()
    parts = [gd.ModularArithmetic(op=op, p=5).table() for op in task.ops]
    assert task.signature() == gd.Signature(9, 4, 9, 20 + 25 + 25, 4, False, 1, (None, None, None, 5))
    assert task.signature().classes == 5
    assert np.array_equal(labels, np.concatenate([part.labels for part in parts]))
    rows = [[a, 6 + number, b, 5] for number, part in enumerate(parts) for a, b in part.inputs.tolist()]
    assert inputs.tolist() == rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ops": []}, r"ops: got \[\]; allowed: a list, not empty, of different names among add"),
        ({"ops": ["add", "add"]}, r"ops: got \['add', 'add'\]; allowed: a list, not empty, of different names"),
        ({"ops": ["add", "mult"]}, r"ops\[1\]: got 'mult'.*did you mean 'mul'"),
        ({"ops": "add"}, r"ops: got 'add'; allowed: a list"),
        ({"ops": ["add", "div"], "p": 9}, r"p: got 9; allowed: a prime modulus for op = 'div'"),
    ],
)
def test_mistakes_are_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        base.check(gd.ModularMixture().replace(**changes))
