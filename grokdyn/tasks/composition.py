"""Facts, and facts that follow from two of them: whether a network composes what it knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Flag, Number
from grokdyn.tasks.base import MOST_ROWS, Signature, Table
from grokdyn.tasks.facts import FactsTask, chosen, joined
from grokdyn.tasks.signature import Classes, Tokens


class Facts(NamedTuple):
    """The atomic facts of a run, those that are also composed in training first.

    Attributes:
        relation: int32 [entities, facts], distinct within an entity; tail: int32 [entities, facts].
    """

    relation: jax.Array
    tail: jax.Array

    def hops(self, h: jax.Array, i: jax.Array, j: jax.Array) -> tuple[jax.Array, ...]:
        """Return r1, r2, b and t of the i-th fact of h followed by the j-th of its tail."""
        b = self.tail[h, i]
        return self.relation[h, i], self.relation[b, j], b, self.tail[b, j]


class Composition(FactsTask):
    """Facts (h, r, t) and what follows from two: (h, r1, b) and (b, r2, t) give (h, r1, r2, t) (Wang et al. 2024).

    Each of E = ``entities`` heads h has k = ``facts`` atomic facts: relations drawn without repetition, tails drawn
    from all entities. ``unseen`` of them, o, are out of distribution: they train, but alone. Of the E (k - o)^2
    compositions of two others, ``inferred`` train and ``tested`` test. The ratio of the paper is phi = ``inferred`` /
    (E (k - o)). Every head has the same number of facts of both kinds, so that all counts are the same in every run;
    the paper draws them together, 5 % of all facts out of distribution.

    Tokens: the entities, then the relations; logits are over both. A row is "h r", answer t, or "h r1 r2", answer t.
    With ``steps`` a composition is answered in two steps, as "h r1 r2 b" with the answers b and t (Yao et al. 2025);
    an atomic fact asks for the second answer alone.

    Of the compositions that train, a share ``wrong_bridges`` has a random entity in place of b, and independently a
    share ``wrong_ends`` one in place of t, which may be the right one. ``wrong`` = ``each``: every row by itself.
    ``loop``: as a program does that draws while it goes through the facts of b and writes what it draws over b: once
    it has hit, all that follow in (h, r1) have that wrong bridge. A share x then makes 1 - sum_j (1 - x)^j / (k - o),
    j = 1..k - o, of the rows wrong: 39, 60, 80 and 92.5 % for .05, .1, .2 and .4 of 20 facts, as in the published code.

    Parts: ``atomic_id``, ``atomic_ood`` and ``inferred`` train; ``test``, other compositions of the same facts, and
    ``inferred_ood``, all E o^2 compositions of two facts out of distribution, test. A network that answers with any of
    the entities is right in 1/E of the rows.
    """

    entities: int = field(Count(2, 100_000), default=60, doc="E, number of entities")
    relations: int = field(Count(1, 100_000), default=8, doc="number of relations")
    facts: int = field(Count(1, 1000), default=6, doc="k, atomic facts of an entity")
    unseen: int = field(Count(0, 999), default=1, doc="o, those of them that are never composed in training")
    inferred: int = field(Count(1, MOST_ROWS), default=600, doc="compositions that train")
    tested: int = field(Count(1, MOST_ROWS), default=300, doc="others of the same facts, that test")
    steps: bool = field(Flag(), default=False, doc="answer with the bridge first, then the end")
    wrong_bridges: float = field(Number(0, 1), default=0.0, doc="share of the compositions that train with a random b")
    wrong_ends: float = field(Number(0, 1), default=0.0, doc="share of the compositions that train with a random t")
    wrong: str = field(Choice(("each", "loop")), default="each", doc="whether wrong bridges are drawn row by row")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.facts > self.relations:
            yield "facts", self.facts, f"at most the number of relations, {self.relations}"
        elif self.unseen >= self.facts:
            yield "unseen", self.unseen, f"below the number of facts, {self.facts}"
        elif self.inferred + self.tested > self.compositions:
            allowed = f"at most {self.compositions} with those that test, {self.tested}: E (k - o)^2"
            yield "inferred", self.inferred, allowed

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        yield from super().ignored(steps)
        if not self.steps:
            yield from ((name, "the bridge is not written") for name in ("wrong_bridges", "wrong"))
        elif self.wrong_bridges == 0:
            yield "wrong", "wrong_bridges is 0"

    @property
    def seen(self) -> int:
        """Facts of an entity that are composed in training, k - o."""
        return self.facts - self.unseen

    @property
    def compositions(self) -> int:
        """Compositions of two such facts."""
        return self.entities * self.seen**2

    def counts(self) -> tuple[int, int, int, int, int]:
        e, o = self.entities, self.unseen
        return e * self.seen, e * o, self.inferred, self.tested, e * o**2

    def signature(self) -> Signature:
        vocabulary, answers = self.entities + self.relations, 2 if self.steps else 1
        inputs, targets = (
            Tokens(vocabulary, 2 + answers, padded=True),
            Classes(vocabulary, self.relations, answers, self.steps),
        )
        return Signature(inputs, targets, sum(self.counts()), self.parts())

    def draw(self, key: jax.Array) -> Table:
        fact_key, which_key, wrong_key = jax.random.split(key, 3)
        facts, seen = self.drawn_facts(fact_key), self.seen
        which = chosen(which_key, self.inferred + self.tested, self.compositions)
        h, i, j = which // seen**2, which // seen % seen, which % seen
        inside = self.spoilt(facts, h, i, j, wrong_key)
        outside = jnp.arange(self.entities * self.unseen**2, dtype=jnp.int32)
        o = max(self.unseen, 1)
        h_out, i_out, j_out = outside // o**2, seen + outside // o % o, seen + outside % o
        followed = (h_out, *facts.hops(h_out, i_out, j_out))
        alone = [self.alone(facts, those) for those in (slice(None, seen), slice(seen, None))]
        return joined(*alone, self.written(*inside), self.written(*followed))

    def features(self, inputs: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        """Return what every task says and, of compositions, ``bridge``, the true b, and ``second``, the token of r2.

        They are -1 in atomic rows. b is looked up among the atomic facts that are given; -1 where it is none of them.
        """
        composed, size = inputs[:, 0] >= 0, self.entities + self.relations
        t = labels if labels.ndim == 1 else labels[:, -1]
        place = jnp.where(composed, size**2, inputs[:, -2] * size + inputs[:, -1])
        known = jnp.full(size**2, -1, t.dtype).at[place].set(t, mode="drop")
        b = known[jnp.where(composed, inputs[:, 0] * size + inputs[:, 1], 0)]
        found = {"bridge": b, "second": inputs[:, 2]}
        return super().features(inputs, labels) | {name: jnp.where(composed, x, -1) for name, x in found.items()}

    def drawn_facts(self, key: jax.Array) -> Facts:
        """Draw the atomic facts of a run."""
        order_key, tail_key = jax.random.split(key)
        order = jnp.argsort(jax.random.uniform(order_key, (self.entities, self.relations), jnp.float32), axis=1)
        tail = jax.random.randint(tail_key, (self.entities, self.facts), 0, self.entities, jnp.int32)
        return Facts(order[:, : self.facts].astype(jnp.int32), tail)

    def spoilt(self, facts: Facts, h: jax.Array, i: jax.Array, j: jax.Array, key: jax.Array) -> tuple[jax.Array, ...]:
        """Return h, r1, r2, b and t of compositions, with the wrong steps of the first ``inferred`` of them."""
        r1, r2, b, t = facts.hops(h, i, j)
        bridge_key, end_key = jax.random.split(key)
        trains = jnp.arange(len(h), dtype=jnp.int32) < self.inferred
        hit, other = self.wrong_bridge(bridge_key)
        end_hit, end = self.hits(end_key, self.wrong_ends)
        b = jnp.where(trains & hit[h, i, j], other[h, i, j], b)
        return h, r1, r2, b, jnp.where(trains & end_hit[h, i, j], end[h, i, j], t)

    def wrong_bridge(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Draw which compositions [entities, k - o, k - o] have a wrong bridge, and the entities that are written."""
        hit, other = self.hits(key, self.wrong_bridges)
        if self.wrong == "each":
            return hit, other
        last = jax.lax.cummax(jnp.where(hit, jnp.arange(self.seen, dtype=jnp.int32), -1), axis=2)
        return last >= 0, jnp.take_along_axis(other, jnp.maximum(last, 0), axis=2)

    def hits(self, key: jax.Array, share: Any) -> tuple[jax.Array, jax.Array]:
        """Draw which compositions [entities, k - o, k - o] a share hits, and the entities that it writes there."""
        which_key, entity_key = jax.random.split(key)
        shape = (self.entities, self.seen, self.seen)
        hit = jax.random.uniform(which_key, shape, jnp.float32) < jnp.asarray(share, jnp.float32)
        return hit, jax.random.randint(entity_key, shape, 0, self.entities, jnp.int32)

    def alone(self, facts: Facts, which: slice) -> tuple[jax.Array, jax.Array]:
        """Return atomic facts as rows and labels."""
        relation, t = facts.relation[:, which], facts.tail[:, which].ravel()
        h = jnp.broadcast_to(jnp.arange(self.entities, dtype=jnp.int32)[:, None], relation.shape).ravel()
        tokens = jnp.stack([h, self.entities + relation.ravel()], axis=1)
        return tokens, jnp.stack([jnp.full_like(t, -1), t], axis=1) if self.steps else t

    def written(self, h: jax.Array, r1: jax.Array, r2: jax.Array, b: jax.Array, t: jax.Array) -> tuple[Any, Any]:
        """Return compositions as rows and labels."""
        tokens = [h, self.entities + r1, self.entities + r2]
        if self.steps:
            return jnp.stack([*tokens, b], axis=1), jnp.stack([b, t], axis=1)
        return jnp.stack(tokens, axis=1), t
