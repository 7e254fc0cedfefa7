"""Facts that are told in several forms, and asked for in one that was never told: are they stored, and read out?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count
from grokdyn.tasks.base import MOST_ROWS, Signature, Table, Task
from grokdyn.tasks.facts import chosen
from grokdyn.tasks.signature import Classes, Tokens


class KeyValueFacts(Task):
    """Facts (s, r, a), each told in K of F forms, and the question about them (after Xu & Chen 2025).

    Each of S = ``subjects`` has one of A = ``answers`` for each of R = ``relations``, drawn uniformly. A fact is told
    in K = ``multiplicity`` of F = ``forms``, drawn for that fact without repetition; one of K is among those of K + 1.
    A question has a form of its own that nothing is told in. Of ``asked`` subjects, drawn by the run, questions train.

    ``words = "own"``: every relation has F words and one to ask with, and a row is "word s end": that two words mean
    the same relation has to be learnt. ``"shared"``: forms are tokens that all relations share, "form r s end".

    Tokens: the subjects; the words of relation 0, the one to ask with last, and those of the others, or the relations,
    the forms and the question; the end. Answers of relation r are the classes r A to r A + A - 1; logits are over
    them, so that who knows the relation alone, and answers with what is of the right kind, is right in 1/A of the rows.

    Parts: ``told``, S R K rows, and ``asked`` train, ``held_out``, the questions about other subjects, tests.
    ``PartSequence(parts=("told", "asked"), every=...)`` trains on the one, then on the other.
    """

    subjects: int = field(Count(2, 1_000_000), default=64, doc="S, number of subjects")
    relations: int = field(Count(1, 100_000), default=4, doc="R, number of relations")
    answers: int = field(Count(2, 100_000), default=8, doc="A, number of answers of a relation")
    forms: int = field(Count(1, 10_000), default=8, doc="F, number of forms that something can be told in")
    multiplicity: int = field(Count(1, 10_000), default=4, doc="K, those of them that a fact is told in")
    asked: int = field(Count(1, 1_000_000), default=32, doc="subjects whose questions train; others' test")
    words: str = field(Choice(("own", "shared")), default="own", doc="whether every relation has forms of its own")

    drawn = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.multiplicity > self.forms:
            yield "multiplicity", self.multiplicity, f"at most the number of forms, {self.forms}"
        if self.asked >= self.subjects:
            yield "asked", self.asked, f"below the number of subjects, {self.subjects}: others' questions test"
        rows = sum(self.sizes().values())
        if rows > MOST_ROWS:
            yield "subjects", self.subjects, f"fewer: {rows} rows, of at most {MOST_ROWS}"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        always = ("train_fraction", "train_points")
        yield from ((name, "parts always train or only test") for name in always)
        yield from (pair for pair in super().ignored(steps) if pair[0] not in always)

    @property
    def end(self) -> int:
        """The token that every row ends with."""
        return self.subjects + (
            self.relations * (self.forms + 1) if self.words == "own" else self.relations + self.forms + 1
        )

    def sizes(self) -> dict[str, int]:
        """Return the rows of every part."""
        facts = self.subjects * self.relations
        asked = self.asked * self.relations
        return {"told": facts * self.multiplicity, "asked": asked, "held_out": facts - asked}

    def signature(self) -> Signature:
        width = 3 if self.words == "own" else 4
        inputs = Tokens(self.end + 1, width, (None,) * (width - 1) + (self.end,))
        roles = {"told": "train", "asked": "train", "held_out": "test"}
        return Signature(inputs, Classes(self.relations * self.answers), sum(self.sizes().values()), roles)

    def membership(self) -> np.ndarray:
        return np.repeat(list(self.sizes()), list(self.sizes().values()))

    def draw(self, key: jax.Array) -> Table:
        value_key, form_key, order_key = jax.random.split(key, 3)
        facts = (self.subjects, self.relations)
        value = jax.random.randint(value_key, facts, 0, self.answers, jnp.int32)
        order = jnp.argsort(jax.random.uniform(form_key, (*facts, self.forms), jnp.float32), axis=-1)
        forms = order[..., : self.multiplicity].astype(jnp.int32)
        s, r = (jnp.broadcast_to(x[..., None], forms.shape).ravel() for x in jnp.indices(facts, jnp.int32))
        told = self.written(s, r, forms.ravel())
        who = chosen(order_key, self.subjects, self.subjects)
        asked, of = (
            jnp.repeat(who, self.relations),
            jnp.tile(jnp.arange(self.relations, dtype=jnp.int32), self.subjects),
        )
        questions = self.written(asked, of, jnp.full_like(of, self.forms))
        s, r = jnp.concatenate([s, asked]), jnp.concatenate([r, of])
        return Table(jnp.concatenate([told, questions]), r * self.answers + value[s, r])

    def written(self, s: jax.Array, r: jax.Array, form: jax.Array) -> jax.Array:
        """Return rows of tokens; the form after the last one is that of questions."""
        end = jnp.full_like(s, self.end)
        if self.words == "own":
            return jnp.stack([self.subjects + r * (self.forms + 1) + form, s, end], axis=1)
        return jnp.stack([self.subjects + self.relations + form, self.subjects + r, s, end], axis=1)
