"""Likeness of features between layers, and with those of step 0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.kernel.measures import linear_cka, unit_gram
from grokdyn.models.function import first_function
from grokdyn.models.output import Params
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.subset import SubsetProbe, input_shape, too_large
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Flag
from grokdyn.tasks.shapes import needs_rows_alone


class FeatureCKA(SubsetProbe):
    """Linear CKA of a model's named activations over some rows (Kornblith et al. 2019), see ``kernel.measures``.

    ``feature_cka`` [activation, other_activation]: between activations. ``feature_cka_initial`` [activation]: with the
    same at step 0. Activations of a row are taken as one vector; one without variance is nan. ``grams`` records
    ``feature_gram`` [activation, feature_row, other_feature_row] too, from which ``analysis.cka_over_time`` has the CKA
    between any two records.
    """

    grams: bool = field(Flag(), default=False, doc="record the products of features too")

    needs_initial_params = True

    def names(self, shapes: Shapes) -> list[str]:
        """Return the names of the model's activations, in the order in which it computes them."""
        x, names = input_shape(shapes.signature, self.rows), []

        def traced(params: Params, x: jax.Array) -> None:  # what a traced function returns comes back sorted by name
            names.extend(first_function(shapes).network(params, x).activations)

        with jax.enable_x64(True):
            jax.eval_shape(traced, shapes.params, x)
        return names

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        yield from needs_rows_alone(shapes)
        if not self.names(shapes):
            yield "kind", "feature_cka", "another probe: this model names no activations"
        yield from too_large(self.rows, 0, "their products take")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        names = self.names(shapes)
        both = {"activation": names, "other_activation": names}
        one = {"activation": names}
        found = {
            "feature_cka": Variable("CKA between activations", dims=tuple(both), coordinates=both),
            "feature_cka_initial": Variable("CKA with initialisation", dims=("activation",), coordinates=one),
        }
        if self.grams:
            axes = {**one, **dict.fromkeys(("feature_row", "other_feature_row"), np.arange(self.rows))}
            found["feature_gram"] = Variable("products of centred features", dims=tuple(axes), coordinates=axes)
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        assert view.initial_params is not None
        inputs = self.inputs(view)

        def features(params: Params) -> list[jax.Array]:
            return list(view.function.network(params, inputs).activations.values())

        now, first = features(view.params), features(view.initial_params)
        found = {
            "feature_cka": jnp.stack([jnp.stack([linear_cka(a, b) for b in now]) for a in now]),
            "feature_cka_initial": jnp.stack([linear_cka(a, b) for a, b in zip(now, first, strict=True)]),
        }
        if self.grams:
            found["feature_gram"] = jnp.stack([unit_gram(a) for a in now])
        return found
