"""How well a hidden number is the polynomial inside of the target."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.models.bottleneck import Bottleneck
from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.view import View, mean
from grokdyn.tasks.hierarchical import HierarchicalPolynomial
from grokdyn.tasks.shapes import Conflicts, Shapes


class InnerPolynomial(Probe):
    """Correlation of the hidden number q of ``bottleneck`` with the p of ``hierarchical`` (Wang et al. 2023).

    ``inner_correlation``: over the test rows, which nothing has trained on; nan while q is the same for all. p is drawn
    again.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        model, task = shapes.experiment.model, shapes.experiment.task
        if not isinstance(model, Bottleneck) or not isinstance(task, HierarchicalPolynomial):
            yield "kind", "inner_polynomial", "another probe, or bottleneck on hierarchical"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {"inner_correlation": Variable("correlation of the hidden number with p")}

    def measure(self, view: View) -> dict[str, jax.Array]:
        task = view.experiment.task
        p = task.inner(task.rule(view.table_key), jnp.asarray(view.inputs))
        q = view.output.activations["number"][:, 0].astype(jnp.float64)
        p, q = (each - mean(each, view.test) for each in (p, q))
        products = [mean(one * other, view.test) for one, other in ((p, q), (p, p), (q, q))]
        return {"inner_correlation": products[0] / jnp.sqrt(products[1] * products[2])}
