"""Algorithms learned on short sequences and tested on longer ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Choice, Count, Counts, Flag
from grokdyn.tasks.algorithms import ONE_ANSWER, SPECIAL, Algorithm, Alphabet, packed
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Classes, Tokens
from grokdyn.tasks.written_out import WRITTEN_OUT

ALGORITHMS = ONE_ANSWER | WRITTEN_OUT
MOST_LENGTH, MOST_ROWS = 10_000, 1_000_000
TRAINED = "trained"


class Algorithmic(Task):
    """Answer a question on n symbols, and on more of them than ever in training (Zhou et al. 2023, Kazemnejad et al.
    2023).

    ``algorithm`` has one answer, for n symbols that are drawn uniformly:

    * ``first``: which was the first; ``mode``: which is there most often, one symbol of each row alone;
    * ``parity``: their sum modulo ``symbols``;
    * ``recall``: n pairs "a b" with different a, then one of the a: which b stood behind it;
    * ``chain``: n facts "a b" in any order, each beginning where one other ends, then the first a: where the way ends;

    or it has several, which end with "end" and are read with the right ones before them:

    * ``copy``: n symbols again; ``copy_unique``: n different ones; ``reverse``: from the last to the first;
    * ``sort``: n different symbols by their number; ``count``: from two symbols a and b, all n from a to b;
    * ``add``: the sum of two numbers of n digits in base ``symbols``, n + 1 digits; ``add_reversed``: all three with
      the last digit first; ``add_hints``: such with a hint before each digit, the same for the same place of all
      three, numbered on from one that is drawn.

    A row is "start", the symbols, "=", the answers but the last; ``recall`` and ``chain`` end with the a asked for. All
    rows of the table have one width, that of the longest length: the others begin with padding. Tokens are numbered:
    symbols, hints, "start", "=", "+", "end".

    n is from ``lengths`` in training, one as likely as another. With ``fresh`` every update draws ``batch_size`` rows
    of its own; the part ``trained`` of the table, ``rows`` of each of these lengths, then only tests, else it is the
    pool. Every one of ``longer`` is a part ``length_<n>`` of so many rows that only test.
    """

    algorithm: str = field(Choice(tuple(ALGORITHMS)), default="mode", doc="what is asked of a sequence")
    lengths: tuple[int, ...] = field(Counts(1, MOST_LENGTH), default=(1, 8), doc="shortest and longest that train")
    longer: tuple[int, ...] = field(Counts(1, MOST_LENGTH, empty=True), default=(), doc="lengths that only test")
    symbols: int = field(Count(2, 10_000), default=4, doc="different symbols")
    rows: int = field(Count(1, MOST_ROWS), default=100, doc="rows of every length in the table")
    fresh: bool = field(
        Flag(), default=True, doc="every update draws batch_size new rows; the table only tests", kw_only=True
    )

    drawn = True

    @property
    def endless(self) -> bool:
        """Whether every update draws rows of its own."""
        return self.fresh

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if len(self.lengths) != 2 or self.lengths[0] > self.lengths[1]:
            yield "lengths", list(self.lengths), "two numbers, the shortest and the longest that train"
            return
        trained = self.lengths[1]
        if list(self.longer) != sorted({n for n in self.longer if n > trained}):
            yield "longer", list(self.longer), f"rising numbers above {trained}, the longest that trains"
            return
        fewest = self.known.fewest(self.longest)
        if self.symbols < fewest:
            yield "symbols", self.symbols, f"at least {fewest} for {self.algorithm} of length {self.longest}"
        rows = self.rows * len(self.all_lengths)
        if rows > MOST_ROWS:
            yield "rows", Words(f"{rows} rows of {len(self.all_lengths)} lengths"), f"at most {MOST_ROWS} in all"

    @property
    def known(self) -> Algorithm:
        return ALGORITHMS[self.algorithm]

    @property
    def longest(self) -> int:
        """The longest length of all."""
        return max(self.lengths[-1], *self.longer) if self.longer else self.lengths[-1]

    @property
    def all_lengths(self) -> tuple[int, ...]:
        """Lengths of the table's rows, each once."""
        return (*range(self.lengths[0], self.lengths[1] + 1), *self.longer)

    @property
    def alphabet(self) -> Alphabet:
        return Alphabet(self.symbols, self.known.hints(self.longest))

    @property
    def answers(self) -> int:
        """Answers of the longest row."""
        return self.known.answers(self.longest)

    def width(self, longest: int) -> int:
        """Return the width of rows up to a length: what they hold, and no less than the answers of the table."""
        return max(self.known.before(longest) + self.known.answers(longest) - 1, self.answers)

    def signature(self) -> Signature:
        vocabulary, several = self.alphabet.size, self.answers > 1
        inputs = Tokens(vocabulary, self.width(self.longest), padded=True)
        targets = Classes(vocabulary, len(SPECIAL), self.answers, partial=several)
        parts = {TRAINED: "pool"} | {f"length_{n}": "test" for n in self.longer}
        return Signature(inputs, targets, self.rows * len(self.all_lengths), parts)

    def membership(self) -> np.ndarray:
        trained = self.lengths[1] - self.lengths[0] + 1
        names = [TRAINED] * trained + [f"length_{n}" for n in self.longer]
        return np.repeat(names, self.rows)

    def row_lengths(self) -> np.ndarray:
        """Return the length of every row of the table, int32 [rows]."""
        return np.repeat(np.asarray(self.all_lengths, np.int32), self.rows)

    def features(self, inputs: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        """``tokens``: how many there are in the row; where there is one answer, ``label``."""
        return super().features(inputs, labels) | {"tokens": jnp.sum(inputs >= 0, axis=1)}

    def draw(self, key: jax.Array) -> Table:
        return self.written(key, jnp.asarray(self.row_lengths()), self.longest)

    def sample(self, rule: None, key: jax.Array, rows: int) -> Table:
        length_key, key = jax.random.split(key)
        low, high = self.lengths
        return self.written(key, jax.random.randint(length_key, (rows,), low, high + 1, jnp.int32), high)

    def written(self, key: jax.Array, length: jax.Array, longest: int) -> Table:
        """Return rows of these lengths, as wide as the longest asks for."""
        before, answers = self.known.write(key, length, longest, self.alphabet)
        *followed, last = answers
        inputs = packed([*before, *followed] if self.answers > 1 else before, self.width(longest))
        labels = packed([*followed, last], self.answers)
        return Table(inputs, labels if self.answers > 1 else labels[:, 0])
