"""Where floating point ends learning: softmax collapse, losses and gradients that are exactly zero."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.losses import precision as exact
from grokdyn.losses.base import pick
from grokdyn.probes.base import Probe, Shapes, Variable, fits_one_class
from grokdyn.probes.view import View, mean
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Optional


class SoftmaxCollapse(Probe):
    """Share of train rows whose sum_k exp(z_k - max z) is exactly 1 (Prieto et al. 2025).

    The sum is taken in the precision, and at the temperature, of the loss in force; for a loss without a softmax in
    the logits' dtype. As in the released code the largest logit need not be the label's. See
    ``losses.precision.shifted_exponentials`` for how the sum is rounded.
    """

    precision: str | None = field(
        Optional(Choice(exact.PRECISIONS)), default=None, doc="of the sum, at temperature 1; none: the loss's own"
    )

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {"softmax_collapse": Variable("share of train rows with softmax collapse")}

    def measure(self, view: View) -> dict[str, jax.Array]:
        if self.precision is None:
            total = view.loss.sum_of_exponentials(view.train_logits)
        else:
            z = exact.rounded(view.train_logits, self.precision)
            total = exact.shifted_exponentials(z, self.precision)[2][:, 0]
        return {"softmax_collapse": mean((total == 1).astype(jnp.float32), view.rows.counts)}


class ZeroTerms(Probe):
    """Share of train rows that no longer teach their label.

    ``zero_loss``: the row's loss is exactly 0. ``zero_label_gradient``: the gradient that training takes in the row's
    correct logit is exactly 0. Both as the loss in force computes them.
    """

    conflicts = fits_one_class

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "zero_loss": Variable("share of train rows with a loss of exactly 0"),
            "zero_label_gradient": Variable("share of train rows whose correct logit has a gradient of exactly 0"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        labels, counts = view.rows.labels, view.rows.counts

        def trained(logits: jax.Array) -> jax.Array:
            losses = view.loss.rows(logits, labels)
            terms = losses / jnp.asarray(view.loss.divisor(view.split.n_train), losses.dtype)
            return jnp.sum(view.function.objective(terms))

        gradient = pick(jax.grad(trained)(view.train_logits), labels)
        values = {"zero_loss": view.row_losses[view.rows.index], "zero_label_gradient": gradient}
        return {name: mean((value == 0).astype(jnp.float32), counts) for name, value in values.items()}
