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
from grokdyn.spec.rules import Count
from grokdyn.tasks.signature import DIVIDED, Tokens

# Points whose activations are alive together.
TOGETHER = 512


class NearbyProbe(Probe):
    """Base: probes around train and test rows, those that come first in a run's own order, as points of a space."""

    rows: int = field(Count(1, 100_000), default=100, doc="number of rows of each of train and test")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        if isinstance(shapes.signature.inputs, Tokens):
            yield "kind", Words("inputs that are tokens"), "a task of vectors or images, or another probe"
        there = min((rows_there(shapes)[part], part) for part in DIVIDED)
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
