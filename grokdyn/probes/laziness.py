"""How far a network is from its linearisation at step 0."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.kernel import measures
from grokdyn.models.output import Params
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.norms import norms
from grokdyn.probes.subset import SubsetProbe
from grokdyn.probes.view import View
from grokdyn.tasks.shapes import Conflicts, needs_rows_alone


class Laziness(SubsetProbe):
    """Error of the linearised network, f_lin = f_0 + (df_0/dw) (w - w_0), at the present parameters w.

    ``linearisation_error``: |f - f_lin| / |f - f_0| over the logits of some rows; 0 in the lazy limit, of order 1 where
    features are learned (Chizat et al. 2019). ``parameter_movement``: |w - w_0| / |w_0|. The first is nan at step 0.
    """

    needs_initial_params = True

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        yield from needs_rows_alone(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "linearisation_error": Variable("relative error of the linearised network"),
            "parameter_movement": Variable("relative distance from initialisation"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        assert view.initial_params is not None
        inputs, first = self.inputs(view), view.initial_params
        moved = jax.tree.map(jnp.subtract, view.params, first)

        def logits(params: Params) -> jax.Array:
            return view.function(params, inputs)

        f0, linear = jax.jvp(logits, (first,), (moved,))
        change = measures.wide(logits(view.params)) - measures.wide(f0)
        return {
            "linearisation_error": measures.norm(change - measures.wide(linear)) / measures.norm(change),
            "parameter_movement": jnp.linalg.norm(norms(moved)) / jnp.linalg.norm(norms(first)),
        }
