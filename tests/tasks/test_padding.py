"""Tables of padded rows and of several answers: what is refused before anything is compiled, whose labels are noisy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.fit import checked_signature, enumerated
from grokdyn.tasks.split import draw_split, with_noise

pytestmark = pytest.mark.usefixtures("x64")
INPUTS = [[-1, 2, 3], [1, 2, 3], [-1, -1, 0], [4, 4, 4]]
LABELS = [[-1, 1], [0, 1], [-1, 2], [3, -1]]


class Padded:
    """Four rows of one to three of five tokens, each with one or two of four answers; what a task is asked for here."""

    label_noise, noise = np.float64(1.0), "wrong"

    def __init__(self, inputs=INPUTS, labels=LABELS, answers=2, **flags):
        self.rows, self.answers, self.flags = (np.array(inputs), np.array(labels)), answers, flags

    def signature(self):
        flags = {"padded": True, "partial": True} | self.flags
        inputs, targets = gd.Tokens(5, 3, padded=flags["padded"]), gd.Classes(5, 1, self.answers, flags["partial"])
        return gd.Signature(inputs, targets, 4)

    def table(self):
        return gd.Table(*self.rows)

    def train_count(self, rows):
        return np.int32(rows)


def changed(rows, row, value):
    return [value if i == row else old for i, old in enumerate(rows)]


def test_a_table_of_padded_rows_is_read():
    task = Padded()
    table = enumerated(task, checked_signature(task), "float32")
    assert table.inputs.tolist() == INPUTS
    assert table.labels.tolist() == LABELS


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Padded(padded=False), r"Padded\.table: inputs from -1 to 4; allowed: whole numbers from 0 to 4"),
        (Padded(changed(INPUTS, 1, [1, 2, 5])), r"inputs from -1 to 5; allowed: whole numbers from -1 to 4, as its"),
        (Padded(changed(INPUTS, 1, [-2, 2, 3])), r"inputs from -2 to 4; allowed: whole numbers from -1"),
        (Padded(changed(INPUTS, 1, [1, -1, 3])), r"padding behind a token in row 1; allowed: padding \(-1\) before"),
        (
            Padded(changed(INPUTS, 2, [-1, -1, -1])),
            r"no token at the end of row 2; allowed: rows that end with a token",
        ),
        (Padded(partial=False), r"labels from -1 to 3; allowed: whole numbers from 0 to 3"),
        (Padded(labels=changed(LABELS, 3, [-1, -1])), r"no label in row 3; allowed: at least one answer"),
        (Padded(labels=[0, 1, 2, 3], answers=1), r"partial of one answer; allowed: several answers"),
        (Padded(padded=3), r"Tokens\.padded = 3; allowed: True or False"),
    ],
)
def test_mistakes_are_told(task, message):
    with pytest.raises(gd.SpecError, match=message):
        enumerated(task, checked_signature(task), "float32")


def test_of_several_answers_the_first_that_a_row_asks_for_is_corrupted():
    task = Padded()
    labels = jnp.asarray(LABELS, jnp.int32)
    found = with_noise(task, draw_split(task, labels, jax.random.key(0)), 4, jax.random.key(1)).labels
    first = np.argmax(np.array(LABELS) >= 0, axis=1)
    assert np.array_equal(np.asarray(found) != LABELS, np.eye(2, dtype=bool)[first])
    assert np.asarray(found).max() < 4
