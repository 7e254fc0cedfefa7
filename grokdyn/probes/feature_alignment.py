"""How the filters of a network on patches lie to the features and to the noise."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.patches import Patches
from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.view import View, mean
from grokdyn.spec.errors import Words
from grokdyn.tasks.feature_data import FEATURES, FeatureData
from grokdyn.tasks.shapes import Conflicts, Shapes


class FeatureAlignment(Probe):
    """Largest product of a filter with a feature, and with a train row's noise (Zou et al. 2023; Lu et al. 2023).

    ``feature_alignment`` [row_class, feature]: max_j w_j . f over the filters that vote for a class and the feature f
    of that class, its length included, so that it is what the filter gives on the patch. ``noise_alignment``: the mean
    over train rows of max_jp w_j . x_p over the filters that vote for the row's class and its patches of noise, 0
    without any. Products count by size where phi is even.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        model, task = shapes.experiment.model, shapes.experiment.task
        if not isinstance(model, Patches) or not isinstance(task, FeatureData) or model.size != 1:
            yield "kind", Words("feature_alignment"), "another probe, or patches of size 1 on feature_data"
        elif shapes.signature.outputs == 1 and not model.opposed:
            yield (
                "kind",
                Words("no filter that votes for class 0"),
                "opposed = true, for targets of a sign",
            )

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axes = {"row_class": np.arange(2), "feature": FEATURES}
        told = "largest product of a filter with a feature"
        return {
            "feature_alignment": Variable(told, dims=tuple(axes), coordinates=axes),
            "noise_alignment": Variable("largest product of a filter with a row's noise"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        task, model, rows = view.experiment.task, view.experiment.model, view.rows
        W = view.params["W"].astype(jnp.float64)
        votes = np.asarray(model.votes(view.logits.shape[-1]))
        signed = model.rectified or model.power % 2 == 1

        def largest(products: jax.Array, mine: jax.Array | np.ndarray) -> jax.Array:
            sizes = products if signed else jnp.abs(products)
            return jnp.max(jnp.where(mine, sizes, -jnp.inf), axis=-1)

        found = [[largest(task.vector(name, k) @ W, votes == k) for name in FEATURES] for k in range(2)]
        noise = rows.inputs[:, 0, task.first_noise :].astype(jnp.float64)
        labels = rows.labels if rows.labels.ndim == 1 else (rows.labels[:, 0] > 0).astype(jnp.int32)
        each = largest(noise @ W, votes == labels[:, None, None])
        held = jnp.max(each, axis=1) if task.noise_patches else jnp.zeros(len(each), jnp.float64)
        return {
            "feature_alignment": jnp.stack([jnp.stack(one) for one in found]),
            "noise_alignment": mean(held, rows.counts),
        }
