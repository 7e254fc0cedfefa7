"""Size and margin of the logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.losses.base import one_hot, pick
from grokdyn.probes.base import Probe, Shapes, Variable, fits_one_class
from grokdyn.probes.fit import told
from grokdyn.probes.over_rows import OverRows
from grokdyn.probes.view import View, mean


class Logits(Probe):
    """Mean over the rows of every part, train and test first, of the logit norm and of the margin.

    Norm: L2 norm of a row's logits. Margin: z_y - max_{k != y} z_k, y the label as trained, k any output, tokens that
    are no class included.
    """

    conflicts = fits_one_class

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            f"{part}_{what}": Variable(f"{told(part)} {told(what)}", part=part)
            for part in shapes.parts
            for what in ("logit_norm", "margin")
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        size = jnp.sqrt(jnp.sum(jnp.square(view.logits.astype(jnp.float64)), axis=-1))
        others = jnp.where(one_hot(view.labels, view.logits.shape[-1]), -jnp.inf, view.logits)
        margin = pick(view.logits, view.labels) - jnp.max(others, axis=-1)
        values = {"logit_norm": size, "margin": margin}
        return {
            f"{part}_{what}": mean(value, rows) for part, rows in view.parts.items() for what, value in values.items()
        }


class LogitScale(OverRows):
    """Mean and largest absolute logit over the train rows and all classes, and how far a row's logits spread.

    ``logit_spread``: the root mean square over train rows and classes of z_ik - mean_k z_ik.
    """

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "logit_mean_abs": Variable("mean |logit|"),
            "logit_max_abs": Variable("largest |logit|"),
            "logit_spread": Variable("root mean square of centred logits"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        size = jnp.abs(view.train_logits)
        largest = jnp.max(jnp.where(view.rows.counts[:, None], size, jnp.zeros((), size.dtype)))
        variance = jnp.var(view.train_logits.astype(jnp.float64), axis=-1)
        return {
            "logit_mean_abs": mean(jnp.mean(size, axis=-1), view.rows.counts),
            "logit_max_abs": largest,
            "logit_spread": jnp.sqrt(mean(variance, view.rows.counts)),
        }
