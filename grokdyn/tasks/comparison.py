"""Facts about entities, and which of two entities has more of an attribute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Count
from grokdyn.tasks.base import MOST_ROWS, Signature, Table
from grokdyn.tasks.facts import FactsTask, chosen, joined
from grokdyn.tasks.signature import Classes, Tokens

ORDERS = 3  # less, equal, more


class Comparison(FactsTask):
    """Facts (e, a, v), and whether e has less, as much or more of a than another entity (Wang et al. 2024).

    Each of E = ``entities`` has a value of each of A = ``attributes``, drawn uniformly among ``values``. Of every
    attribute o = ``unseen`` entities are out of distribution: their facts train, but no comparison with them. Of the
    A (E - o)(E - o - 1)/2 pairs of others, ``pairs`` train, in both orders, and ``tested`` test.

    Tokens: the values, "less", "equal" and "more" of every attribute, the entities, the attributes. A row is "e a",
    answer v, or "a e e'", answer one of the three words of a. Logits are over all tokens.

    Parts: ``atomic_id``, ``atomic_ood`` and ``inferred`` train; ``test``, other pairs in distribution, and
    ``inferred_ood``, all A o (o - 1) ordered pairs of entities out of distribution, test. Always the same word is right
    in at most (1 - 1/values)/2 of the rows, on average.
    """

    entities: int = field(Count(2, 100_000), default=40, doc="E, number of entities")
    attributes: int = field(Count(1, 100_000), default=4, doc="A, number of attributes")
    values: int = field(Count(2, 100_000), default=10, doc="number of values of an attribute")
    unseen: int = field(Count(0, 100_000), default=4, doc="o, entities of an attribute never compared in training")
    pairs: int = field(Count(1, MOST_ROWS), default=600, doc="pairs whose comparisons train, both ways")
    tested: int = field(Count(1, MOST_ROWS), default=150, doc="other pairs, whose comparisons test")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.unseen == 1 or self.unseen > self.entities - 2:
            yield "unseen", self.unseen, f"0, or from 2 to {self.entities - 2}, so that there is a pair of both kinds"
        elif self.pairs + self.tested > self.there:
            allowed = f"at most {self.there} with those that test, {self.tested}: A (E - o)(E - o - 1)/2"
            yield "pairs", self.pairs, allowed

    @property
    def there(self) -> int:
        """Pairs in distribution, of all attributes."""
        seen = self.entities - self.unseen
        return self.attributes * (seen * (seen - 1) // 2)

    def counts(self) -> tuple[int, int, int, int, int]:
        a, o = self.attributes, self.unseen
        return a * (self.entities - o), a * o, 2 * self.pairs, 2 * self.tested, a * o * max(o - 1, 0)

    def signature(self) -> Signature:
        answers, symbols = self.values + ORDERS * self.attributes, self.entities + self.attributes
        inputs = Tokens(answers + symbols, 3, padded=True)
        return Signature(inputs, Classes(answers + symbols, symbols), sum(self.counts()), self.parts())

    def draw(self, key: jax.Array) -> Table:
        value_key, order_key, which_key = jax.random.split(key, 3)
        a, seen = self.attributes, self.entities - self.unseen
        value = jax.random.randint(value_key, (a, self.entities), 0, self.values, jnp.int32)
        scores = jax.random.uniform(order_key, (a, self.entities), jnp.float32)
        who = jnp.argsort(scores, axis=1).astype(jnp.int32)
        pairs = np.stack(np.triu_indices(seen, 1)).astype(np.int32)
        which = chosen(which_key, self.pairs + self.tested, self.there)
        of, pair = which // pairs.shape[1], jnp.asarray(pairs)[:, which % pairs.shape[1]]
        either = self.compared(value, who, jnp.repeat(of, 2), *jnp.stack([pair, pair[::-1]], axis=2).reshape(2, -1))
        i, j = seen + np.stack(np.nonzero(~np.eye(self.unseen, dtype=bool))).astype(np.int32)
        others = jnp.repeat(jnp.arange(a, dtype=jnp.int32), len(i)), jnp.tile(i, a), jnp.tile(j, a)
        alone = [self.told(value, who[:, those]) for those in (slice(None, seen), slice(seen, None))]
        return joined(*alone, either, self.compared(value, who, *others))

    def told(self, value: jax.Array, who: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the facts about entities [attributes, n] as rows and labels."""
        first = self.values + ORDERS * self.attributes
        attribute = jnp.broadcast_to(jnp.arange(len(who), dtype=jnp.int32)[:, None], who.shape)
        tokens = jnp.stack([first + who, first + self.entities + attribute], axis=-1)
        return tokens.reshape(-1, 2), jnp.take_along_axis(value, who, axis=1).ravel()

    def compared(self, value: jax.Array, who: jax.Array, of: jax.Array, i: jax.Array, j: jax.Array) -> tuple[Any, Any]:
        """Return comparisons of the i-th and j-th entity of an attribute's order as rows and labels."""
        e, other = who[of, i], who[of, j]
        order = 1 + jnp.sign(value[of, e] - value[of, other])
        first = self.values + ORDERS * self.attributes
        tokens = jnp.stack([first + self.entities + of, first + e, first + other], axis=1)
        return tokens, self.values + ORDERS * of + order
