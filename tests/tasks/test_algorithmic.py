"""Algorithms on sequences against their transcription token by token, lengths, padding, what is refused."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.algorithmic import ALGORITHMS
from tests.tasks.draws import HASHED

pytestmark = pytest.mark.usefixtures("x64")
SYMBOLS = 7


def task_of(algorithm, kind=gd.Algorithmic, **changes):
    return kind(algorithm=algorithm, **{"lengths": (1, 3), "longer": (5,), "symbols": SYMBOLS, "rows": 30} | changes)


def right(algorithm, n, question, names):
    """Return the answers to a question, the tokens between "start" and the first answer, symbol by symbol."""
    plus, equals = names["+"], names["="]
    if algorithm in ("recall", "chain"):
        assert question[-2] == equals
        facts, entity = dict(zip(question[:-2:2], question[1:-2:2], strict=True)), question[-1]
        assert len(facts) == n
        for _ in range(n if algorithm == "chain" else 1):
            entity = facts[entity]
        assert algorithm == "recall" or entity not in facts
        return [entity]
    assert question[-1] == equals
    x = question[:-1]
    if algorithm.startswith("add"):
        a, b = x[: x.index(plus)], x[x.index(plus) + 1 :]
        if algorithm == "add_hints":
            hints, a, b = a[::2], a[1::2], b[1::2]
            assert hints == x[x.index(plus) + 1 :: 2]
            assert hints == list(range(hints[0], hints[0] + n))
        step = 1 if algorithm == "add" else -1
        assert len(a) == len(b) == n
        total = sum(int("".join(map(str, number[::step])), SYMBOLS) for number in (a, b))
        digits = [total // SYMBOLS**place % SYMBOLS for place in range(n + 1)][::-step]
        if algorithm == "add_hints":
            digits = [token for place, digit in enumerate(digits) for token in (hints[0] + place, digit)]
        return [*digits, names["end"]]
    if algorithm == "count":
        return [*range(x[0], x[1] + 1), names["end"]]
    assert len(x) == n
    if algorithm in ("copy_unique", "sort"):
        assert len(set(x)) == n
    written = {"copy": x, "copy_unique": x, "reverse": x[::-1], "sort": sorted(x)}
    if algorithm in written:
        return [*written[algorithm], names["end"]]
    if algorithm == "mode":
        (best, most), *others = Counter(x).most_common()
        assert all(count < most for _, count in others)
        return [best]
    return [x[0] if algorithm == "first" else sum(x) % SYMBOLS]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_row_is_a_question_of_its_length_with_its_answers(algorithm):
    task = task_of(algorithm)
    signature = task.signature()
    base = signature.inputs.vocabulary - 4
    names = {name: base + i for i, name in enumerate(("start", "=", "+", "end"))}
    both = jax.jit(lambda key: (task.draw(key), task.sample(None, key, 120)))(jax.random.key(3, impl=HASHED))
    for (inputs, labels), known in zip(jax.device_get(both), (task.row_lengths(), None), strict=True):
        lengths = []
        for i, (row, label) in enumerate(zip(inputs.tolist(), labels.reshape(len(labels), -1).tolist(), strict=True)):
            tokens, asked = [x for x in row if x >= 0], [y for y in label if y >= 0]
            assert row == [-1] * (len(row) - len(tokens)) + tokens
            assert label == [-1] * (len(label) - len(asked)) + asked
            assert tokens[0] == names["start"]
            kept = len(tokens) - len(asked) + 1
            assert tokens[kept:] == asked[:-1], "the right answers stand in the row"
            question = tokens[1:kept]
            n = next(n for n in range(1, 6) if ALGORITHMS[algorithm].before(n) == kept or algorithm == "count")
            n = len(asked) - 1 if algorithm == "count" else n
            lengths.append(n)
            assert known is None or known[i] == n
            assert asked == right(algorithm, n, question, names)
            assert len(asked) == ALGORITHMS[algorithm].answers(n)
        assert set(lengths) == ({1, 2, 3, 5} if known is not None else {1, 2, 3})
        assert known is not None or min(Counter(lengths).values()) > 20
    assert both[0].inputs.shape == (signature.rows, signature.inputs.width)
    assert both[1].inputs.shape[1] == max(task.width(3), signature.targets.answers)


def test_symbols_and_answers_are_drawn_evenly():
    """Five standard errors of a share among 4000 rows."""
    for algorithm in ("mode", "recall"):
        task = task_of(algorithm, rows=1000)
        labels = np.asarray(jax.jit(task.draw)(jax.random.key(0)).labels)
        counts = np.bincount(labels, minlength=SYMBOLS)
        assert np.all(np.abs(counts / 4000 - 1 / SYMBOLS) < 5 * np.sqrt(1 / SYMBOLS / 4000)), algorithm


BASE = gd.Experiment(
    task=task_of("copy"),
    model=gd.Transformer(layers=2, d_model=4, heads=1, d_mlp=4, answers=6, padded=True),
    loss=gd.CrossEntropy(),
    optimizer=gd.SGD(learning_rate=0.1),
    steps=2,
    record=gd.Every(1),
    batch_size=8,
)


class Own(gd.Algorithmic):
    """A user's task, whose rows are checked before anything is compiled."""


class Wide(gd.Algorithmic):
    """Rows of updates as wide as the table's."""

    def sample(self, rule, key, rows):
        found = super().sample(rule, key, rows)
        more = self.signature().inputs.width - found.inputs.shape[1]
        return found._replace(inputs=jnp.pad(found.inputs, ((0, 0), (more, 0)), constant_values=-1))


class TooWide(Wide):
    """Wider ones."""

    def sample(self, rule, key, rows):
        found = super().sample(rule, key, rows)
        return found._replace(inputs=jnp.pad(found.inputs, ((0, 0), (1, 0)), constant_values=-1))


@pytest.mark.slow
def test_narrower_rows_of_an_update_are_seen_as_if_they_were_as_wide_as_the_table():
    """The train loss of a record is that of the rows of the update, with and without the padding."""
    narrow, wide = (gd.run(BASE.replace(task=task_of("copy", kind=kind)), progress=False) for kind in (Own, Wide))
    for name in ("train_loss", "test_loss", "length_5_loss", "weight_norm"):
        np.testing.assert_allclose(narrow[name], wide[name], rtol=2e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task.lengths": (3, 2)}, r"task\.lengths: got \[3, 2\]; allowed: two numbers, the shortest"),
        ({"task.lengths": (4,)}, r"task\.lengths: got \[4\]; allowed: two numbers"),
        ({"task.longer": (3, 5)}, r"task\.longer: got \[3, 5\]; allowed: rising numbers above 3"),
        ({"task.longer": (6, 5)}, r"task\.longer: got \[6, 5\]; allowed: rising numbers above 3"),
        (
            {"task": task_of("copy"), "task.rows": 900_000},
            r"task\.rows: got 3600000 rows of 4 lengths; allowed: at most",
        ),
        (
            {"task.algorithm": "sort", "task.symbols": 4},
            r"task\.symbols: got 4; allowed: at least 5 for sort of length 5",
        ),
        (
            {"task.algorithm": "chain", "task.symbols": 5},
            r"task\.symbols: got 5; allowed: at least 6 for chain of length 5",
        ),
        ({"task.algorithm": "reverse", "model.answers": 4}, r"model\.answers: got 4; allowed: 6"),
        (
            {"task": task_of("copy"), "model.causal": False},
            r"model\.causal: got False; allowed: true: the right answers stand in the row",
        ),
        ({"task": task_of("copy", kind=TooWide)}, r"TooWide\.sample: inputs of shape \[8, 13\]; allowed: \[8, 12\]"),
        ({"model.padded": False}, r"model\.padded: got False; allowed: true"),
        ({"model": gd.MLP(hidden=(4,)), "task.algorithm": "mode"}, r"model\.kind: got rows with padding"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(changes, message):
    with pytest.raises(gd.SpecError, match=message) as caught:
        gd.run(BASE.replace(**changes), progress=False)
    assert "\n" not in str(caught.value)
