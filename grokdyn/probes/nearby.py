"""What probes of the space of inputs share: points of it, and the range of their entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Shapes
from grokdyn.probes.subset import places_of, rows_there, usual_rows
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Count, Names, Optional
from grokdyn.tasks.signature import DIVIDED, Tokens

# Points whose activations are alive together.
TOGETHER = 512
# Rows of each part that are looked at where no number is given and there are so many.
USUAL = 100


class NearbyProbe(Probe):
    """Base: probes around rows of some ``parts``, by default train and test, as points of a space.

    Which rows of a part these are is told in ``SubsetProbe``; of ``train`` and ``test`` they come first in the run's
    own order.
    """

    # A number from ``settled`` on, hence in all that a probe is asked.
    rows: int = field(
        Optional(Count(1, 100_000)), default=None, doc="how many of each part; none: 100, or all where there are fewer"
    )
    parts: tuple[str, ...] = field(
        Names(), default=DIVIDED, doc="train, test, table, or parts that the task names", kw_only=True
    )

    def settled(self, shapes: Shapes) -> Any:
        return self if self.rows is not None else self.replace(rows=usual_rows(shapes, self.parts, USUAL, 1))

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
