"""Likeness of features between layers, and with those of step 0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.kernel.measures import linear_cka
from grokdyn.models.base import Params
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.subset import SubsetProbe, input_shape
from grokdyn.probes.view import View


class FeatureCKA(SubsetProbe):
    """Linear CKA of a model's named activations over some rows (Kornblith et al. 2019), see ``kernel.measures``.

    ``feature_cka`` [layer, other_layer]: between layers. ``feature_cka_initial`` [layer]: with the same at step 0.
    Activations of a row are taken as one vector; a layer without variance is nan.
    """

    needs_initial_params = True

    def names(self, shapes: Shapes) -> list[str]:
        """Return the names of the model's activations."""
        x = input_shape(shapes.signature, self.rows)
        with jax.enable_x64(True):
            found = jax.eval_shape(lambda p, x: shapes.experiment.model.forward(p, x).activations, shapes.params, x)
        return list(found)

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        if not self.names(shapes):
            yield "kind", "feature_cka", "another probe: this model names no activations"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        names = self.names(shapes)
        both = {"layer": names, "other_layer": names}
        return {
            "feature_cka": Variable("CKA between layers", dims=("layer", "other_layer"), coordinates=both),
            "feature_cka_initial": Variable("CKA with initialisation", dims=("layer",), coordinates={"layer": names}),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        assert view.initial_params is not None
        inputs = self.inputs(view)

        def features(params: Params) -> list[jax.Array]:
            return list(view.experiment.model.forward(params, inputs).activations.values())

        now, first = features(view.params), features(view.initial_params)
        return {
            "feature_cka": jnp.stack([jnp.stack([linear_cka(a, b) for b in now]) for a in now]),
            "feature_cka_initial": jnp.stack([linear_cka(a, b) for a, b in zip(now, first, strict=True)]),
        }
