"""How far a network is from the one of infinite width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.kernel.dynamics import modes, moved
from grokdyn.kernel.measures import norm
from grokdyn.kernel.ntk import tangent_kernel
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.kernel_dynamics import descends, rate_of_modes, targets
from grokdyn.probes.view import View, mean
from grokdyn.spec.errors import Words
from grokdyn.tasks.signature import Tokens
from grokdyn.theory.infinite_width import kernels
from grokdyn.theory.lines.wide_network import WideNetwork, layers_of

# Kernels between all rows and the train rows, in float64.
MOST_ENTRIES = 2**24


class InfiniteWidth(Probe):
    """The network at this step beside the limit of infinite width, in float64.

    ``limit_kernel_error``: |K - Theta| / |Theta| between all rows and the train rows, K the tangent kernel at this
    step, Theta that of ``theory.infinite_width`` (Jacot et al. 2018), mean over outputs. ``limit_function_error``:
    root of the mean of (f - f_Theta)^2 over test rows, f_Theta what f_0, this network's function at step 0, becomes
    under Theta, f_0 - Theta_* Theta^-1 (1 - (1 - rate Theta)^t) (f_0 - y). ``limit_train_loss``, ``limit_test_loss``:
    the losses of f_Theta, whose means over weights are ``theory.of`` for one hidden layer.
    """

    needs_initial_params = True

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "limit_kernel_error": Variable("distance of the tangent kernel from its limit"),
            "limit_function_error": Variable("distance of the function from its limit"),
            "limit_train_loss": Variable("train loss at infinite width"),
            "limit_test_loss": Variable("test loss at infinite width"),
        }

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        for path, came, allowed in WideNetwork().failures(shapes.experiment):
            yield "kind", Words(f"{path} = {came!r}"), f"for the limit of infinite width: {allowed}"
            return
        if not descends(shapes.runs.optimizer):
            yield (
                "kind",
                "infinite_width",
                "plain gradient descent at a constant rate, without momentum or decay, in all runs",
            )
        entries = shapes.signature.rows * shapes.n_train[1]
        if entries > MOST_ENTRIES:
            yield "kind", "infinite_width", f"at most {MOST_ENTRIES} rows times train rows; here {entries}"

    def measure(self, view: View) -> dict[str, jax.Array]:
        model, rows, signature = view.experiment.model, view.rows, view.experiment.task.signature()
        x = read(jnp.asarray(view.inputs), signature.inputs)
        layers = layers_of(model, signature)
        limit = jnp.where(rows.counts, kernels(x, x[rows.index], layers, model.activation).tangent, 0)
        found = modes(jnp.where(rows.counts[:, None], limit[rows.index], 0))
        first = jax.tree.map(lambda w: w.astype(jnp.float64), view.initial_params)
        f0, y = view.function.at(first)(first, jnp.asarray(view.inputs)), targets(view)
        residual = jnp.where(rows.counts[:, None], (f0 - y)[rows.index], 0)
        rate = rate_of_modes(view)

        def change(one: jax.Array) -> jax.Array:
            return moved(found, limit, one, lambda l: jnp.power(1 - rate * l, view.step))

        f = f0 + jax.vmap(change, 1, 1)(residual)
        losses = view.loss.rows(f, view.labels)
        squares = jnp.mean(jnp.square(view.logits.astype(jnp.float64) - f), axis=1)
        return {
            "limit_kernel_error": norm(jnp.where(rows.counts, self.kernel(view) - limit, 0)) / norm(limit),
            "limit_function_error": jnp.sqrt(mean(squares, view.test)),
            "limit_train_loss": mean(losses, view.train),
            "limit_test_loss": mean(losses, view.test),
        }

    def kernel(self, view: View) -> jax.Array:
        """Return the tangent kernel between all rows and the train rows, mean over outputs."""
        f, inputs = view.function, jnp.asarray(view.inputs)
        params = jax.tree.map(lambda w: w.astype(jnp.float64), f.tangent(view.params))
        return tangent_kernel(f, params, inputs, inputs[view.rows.index])


def read(x: jax.Array, inputs: Any) -> jax.Array:
    """Return what a first linear layer reads [rows, entries], in float64: tokens as one-hot codes."""
    if isinstance(inputs, Tokens):
        x = jax.nn.one_hot(x, inputs.vocabulary, dtype=jnp.float64)
    return x.reshape(x.shape[0], -1).astype(jnp.float64)
