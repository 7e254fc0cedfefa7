"""How much of every singular mode of the targets is learned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.kernel_dynamics import targets
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count

# Entries of the targets of all train rows.
MOST_ENTRIES = 2**20


class TargetModes(Probe):
    """Strengths a_k = p_k . F q_k of the ``top`` singular modes Y = sum_k s_k p_k q_k^T of the train rows' targets Y.

    ``mode_strength`` [mode]: a_k of the outputs F, which is s_k where the mode is fitted (Saxe et al. 2014).
    ``mode_target`` [mode]: s_k, the same at every step.
    """

    top: int = field(Count(1, 1000), default=4, doc="number of modes, those of largest singular value")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        more: dict[str, Any] = {"dims": ("mode",), "coordinates": {"mode": range(self.top)}}
        return {
            "mode_strength": Variable("strength of a mode of the targets", **more),
            "mode_target": Variable("singular value of the targets", **more),
        }

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        most = min(shapes.n_train[0], shapes.signature.outputs)
        if self.top > most:
            yield "top", self.top, f"at most {most}, the smaller of train rows and outputs"
        entries = shapes.n_train[1] * shapes.signature.outputs
        if entries > MOST_ENTRIES:
            yield "kind", "target_modes", f"at most {MOST_ENTRIES} train rows times outputs; here {entries}"

    def measure(self, view: View) -> dict[str, jax.Array]:
        rows = view.rows
        counts = rows.counts[:, None]
        Y = jnp.where(counts, targets(view)[rows.index], 0)
        F = jnp.where(counts, view.logits.astype(jnp.float64)[rows.index], 0)
        P, s, Qt = jnp.linalg.svd(Y, full_matrices=False)
        strengths = jnp.sum((P.T @ F) * Qt, axis=1)
        return {"mode_strength": strengths[: self.top], "mode_target": s[: self.top]}
