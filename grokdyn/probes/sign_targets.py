"""Real targets of two signs: what is classified rightly, and how the residual oscillates."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.fit import told
from grokdyn.probes.view import View, mean
from grokdyn.spec.errors import Words
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Reals


class SignAccuracy(Probe):
    """``<part>_sign_accuracy``: share of the rows of every part whose output has the sign of its target.

    For tasks of one real target, such as 1 and -1, that of train rows as trained. An output or target of 0 has no sign
    and counts as wrong.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        return needs_one_real(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        title = "share of {} rows with the right sign"
        return {f"{part}_sign_accuracy": Variable(title.format(told(part)), part=part) for part in shapes.parts}

    def measure(self, view: View) -> dict[str, jax.Array]:
        right = (view.logits[:, 0] * jnp.sign(view.labels[:, 0]) > 0).astype("float32")
        return {f"{part}_sign_accuracy": mean(right, rows) for part, rows in view.parts.items()}


class Residual(Probe):
    """``residual`` [target_sign]: mean of s (f - y) over the train rows with s = sign(y) = -1 or 1; nan without any.

    For y = 1 and -1 it is y f - 1: below 0 where the output has not come to its target, above where it is beyond.
    Recorded at every step it tells by how many updates the residual changed its sign, see ``analysis.sign_flips``.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        return needs_one_real(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axis = {"dims": ("target_sign",), "coordinates": {"target_sign": np.array([-1, 1])}}
        return {"residual": Variable("output beyond its target", **axis)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        y = view.rows.labels[:, 0].astype(jnp.float64)
        f = view.function(view.params, view.rows.inputs)[:, 0].astype(jnp.float64)
        marked = [view.rows.counts & (jnp.sign(y) == s) for s in (-1, 1)]
        return {"residual": jnp.stack([mean(jnp.sign(y) * (f - y), rows) for rows in marked])}


def needs_one_real(shapes: Shapes) -> Conflicts:
    """Yield a conflict where a row has no single real target."""
    targets = shapes.signature.targets
    if not isinstance(targets, Reals) or targets.count != 1:
        yield "kind", Words("no single real target"), "a task of one real target, or the probe accuracy for classes"
