"""What probes of the space of inputs share: points of it, and the range of their entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Shapes
from grokdyn.probes.subset import places_of, rows_there
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Count, Names
from grokdyn.tasks.signature import DIVIDED, Tokens

# Points whose activations are alive together.
TOGETHER = 512


class NearbyProbe(Probe):
    """Base: probes around rows of some ``parts``, by default train and test, as points of a space.

    Which rows of a part these are is told in ``SubsetProbe``; of ``train`` and ``test`` they come first in the run's
    own order.
    """

    rows: int = field(Count(1, 100_000), default=100, doc="number of rows of each part")
    parts: tuple[str, ...] = field(
        Names(), default=DIVIDED, doc="train, test, table, or parts that the task names", kw_only=True
    )

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        if isinstance(shapes.signature.inputs, Tokens):
            yield "kind", Words("inputs that are tokens"), "a task of vectors or images, or another probe"
        counts = rows_there(shapes)
        unknown = [part for part in self.parts if part not in counts]
        if unknown or not self.parts:
            yield "parts", list(self.parts), "some of " + ", ".join(counts)
            return
        there = min((counts[part], part) for part in self.parts)
        if self.rows > there[0]:
            yield "rows", self.rows, f"at most {there[0]}, the {there[1]} rows of every run"

    def points(self, view: View, part: str) -> tuple[jax.Array, jax.Array]:
        """Return the inputs of a part's rows in the run's dtype, and their labels as trained."""
        places = places_of(view, part, self.rows)
        return jnp.asarray(view.inputs, view.experiment.dtype)[places], view.labels[places]


def ends(view: View) -> tuple[jax.Array, jax.Array]:
    """Return the smallest and the largest entry of the table's inputs."""
    x = jnp.asarray(view.inputs, view.experiment.dtype)
    return view.once("least and most input", lambda: (jnp.min(x), jnp.max(x)))
