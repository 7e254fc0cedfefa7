"""What tasks of atomic facts and of facts that follow from them share: their parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.tasks.base import Table, Task

TESTS = ("test", "inferred_ood")


class FactsTask(Task):
    """Base of tasks whose rows are atomic facts, which all train, and facts that follow from two of them.

    Parts: ``atomic_id``, ``atomic_ood`` and ``inferred`` train; ``test``, what else follows from two facts in
    distribution, and ``inferred_ood``, what follows from two out of distribution, test.
    """

    drawn = True

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        always = ("train_fraction", "train_points")
        yield from ((name, "parts always train or only test") for name in always)
        yield from (pair for pair in super().ignored(steps) if pair[0] not in always)

    def counts(self) -> tuple[int, int, int, int, int]:
        """Return the rows of the five parts, in order."""
        raise NotImplementedError

    def sizes(self) -> dict[str, int]:
        """Return the rows of every part that has any."""
        names = ("atomic_id", "atomic_ood", "inferred", *TESTS)
        return {name: rows for name, rows in zip(names, self.counts(), strict=True) if rows}

    @property
    def phi(self) -> float:
        """Inferred facts that train for every atomic fact in distribution."""
        return self.counts()[2] / self.counts()[0]

    def parts(self) -> dict[str, str]:
        """Return the roles of the parts."""
        return {name: "test" if name in TESTS else "train" for name in self.sizes()}

    def membership(self) -> np.ndarray:
        sizes = self.sizes()
        return np.repeat(list(sizes), list(sizes.values()))


def joined(*parts: tuple[Any, Any]) -> Table:
    """Return the inputs and labels of parts as one table; shorter rows begin with padding, -1."""
    width = max(inputs.shape[1] for inputs, _ in parts)
    inputs = [jnp.pad(x, ((0, 0), (width - x.shape[1], 0)), constant_values=-1) for x, _ in parts]
    return Table(jnp.concatenate(inputs), jnp.concatenate([labels for _, labels in parts]))


def chosen(key: jax.Array, count: int, of: int) -> jax.Array:
    """Draw so many different numbers below ``of``, in random order."""
    return jax.random.permutation(key, jnp.arange(of, dtype=jnp.int32))[:count]
