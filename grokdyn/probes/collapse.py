"""Where floating point ends learning: softmax collapse, losses and gradients that are exactly zero."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.losses import precision as exact
from grokdyn.losses.base import pick
from grokdyn.probes.base import Shapes, Variable, fits_one_class
from grokdyn.probes.over_rows import OverRows
from grokdyn.probes.view import View, mean
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Optional


class SoftmaxCollapse(OverRows):
    """Share of train rows whose sum_k exp(z_k - max z) is exactly 1 (Prieto et al. 2025).

    The sum is taken in the precision, and at the temperature, of the loss in force; for a loss without a softmax in
    the logits' dtype. As in the released code the largest logit need not be the label's. See
    ``losses.precision.sum_of_exponentials`` for how the sum is rounded.
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
            total = exact.sum_of_exponentials(z, self.precision)
        return {"softmax_collapse": mean((total == 1).astype(jnp.float32), view.rows.counts)}


class ZeroTerms(OverRows):
    """Share of train rows that no longer teach their label.

    ``zero_loss``: the row's loss is exactly 0. ``zero_label_gradient``: the gradient that training takes in the row's
    correct logit is exactly 0. Both as the loss in force computes them.
    """

    fits = fits_one_class

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "zero_loss": Variable("share of train rows with a loss of exactly 0"),
            "zero_label_gradient": Variable("share of train rows whose correct logit has a gradient of exactly 0"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        gradient = pick(logit_gradient(view), view.rows.labels)
        values = {"zero_loss": view.row_losses[view.rows.index], "zero_label_gradient": gradient}
        return {name: mean((value == 0).astype(jnp.float32), view.rows.counts) for name, value in values.items()}


class ClassSum(OverRows):
    """The sum over classes of the gradient that training takes in a row's logits, of which softmax has none.

    With g_ik the gradient of the training loss in logit k of train row i: ``logit_gradient_sum`` is max_i |sum_k g_ik|,
    ``logit_gradient_imbalance`` is sum_i |sum_k g_ik| / sum_ik |g_ik|, from 0 (every row balanced) to 1 (wrong classes
    are pushed down and nothing is pulled up; 2605.06152). Cross-entropy's are rounding until rows collapse. Summed in
    float64; nan where every gradient is 0.
    """

    fits = fits_one_class

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "logit_gradient_sum": Variable("largest sum over classes of a row's logit gradient"),
            "logit_gradient_imbalance": Variable("unbalanced share of the logit gradients"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        g = jnp.where(view.rows.counts[:, None], logit_gradient(view).astype(jnp.float64), 0.0)
        sums = jnp.abs(jnp.sum(g, axis=-1))
        return {
            "logit_gradient_sum": jnp.max(sums),
            "logit_gradient_imbalance": jnp.sum(sums) / jnp.sum(jnp.abs(g)),
        }


def logit_gradient(view: View) -> jax.Array:
    """Return the gradient that training takes in the logits of the train rows [rows, outputs]."""

    def trained(logits: jax.Array) -> jax.Array:
        losses = view.loss.rows(logits, view.rows.labels)
        terms = losses / jnp.asarray(view.loss.divisor(view.split.n_train), losses.dtype)
        return jnp.sum(view.function.objective(terms))

    return jax.grad(trained)(view.train_logits)
