"""Single weights."""

from __future__ import annotations

import jax
import numpy as np

from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Name
from grokdyn.tasks.shapes import Conflicts


class Weights(Probe):
    """The first entries of a tensor, ``weight`` [entry], row by row."""

    tensor: str = field(Name(), default="W_0", doc="which tensor")
    entries: int = field(Count(1, 100_000), default=1, doc="how many of its entries")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        known = shapes.params
        if self.tensor not in known:
            yield "tensor", self.tensor, "a tensor of this model: " + ", ".join(known)
        elif self.entries > known[self.tensor].size:
            yield "entries", self.entries, f"at most {known[self.tensor].size}, all of {self.tensor}"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axis = {"entry": np.arange(self.entries)}
        return {"weight": Variable(f"weight of {self.tensor}", dims=("entry",), coordinates=axis)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        return {"weight": view.params[self.tensor].ravel()[: self.entries]}
