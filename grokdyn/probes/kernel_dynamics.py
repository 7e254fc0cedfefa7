"""Training with the kernel of step 0, in closed form, beside the training that is run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.kernel.dynamics import modes, moved, regression
from grokdyn.kernel.ntk import MOST_BYTES, costs, tangent_kernel
from grokdyn.kernel.readout import Readout
from grokdyn.losses.mse import MSE
from grokdyn.models.function import Function
from grokdyn.models.output import Params
from grokdyn.optim.schedules import Constant
from grokdyn.optim.sgd import SGD
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.subset import input_shape
from grokdyn.probes.view import View, mean
from grokdyn.tasks.shapes import needs_rows_alone

# Train points times outputs: one eigendecomposition of so many takes a minute.
MOST_MODES = 4096
FULL = Readout("full")
FITS = "mse under sgd without momentum, decay, clipping, schedule, mini-batches, dropout and penalties"


class KernelDynamics(Probe):
    """Baselines with the tangent kernel K_0 of step 0, at the step of the record, in float64.

    ``kernel_dynamics_train_loss``, ``kernel_dynamics_test_loss``: of the linearised network under the run's own
    gradient descent, f_t = f_0 - K_* K^-1 (1 - (1 - rate K)^t) (f_0 - y); for small rates the power is exp(-rate K t)
    (Jacot et al. 2018). ``kernel_regression_test_loss``: of K_* K^+ y, kernel regression without ridge, the same at
    every step (Kumar et al. 2024). All is computed at every record, some 20 (train points * outputs)^3 operations.
    """

    needs_initial_params = True

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "kernel_dynamics_train_loss": Variable("train loss with the first kernel"),
            "kernel_dynamics_test_loss": Variable("test loss with the first kernel"),
            "kernel_regression_test_loss": Variable("test loss of regression with the first kernel"),
        }

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        runs, outputs = shapes.runs, shapes.signature.outputs
        fits = descends(runs.optimizer) and isinstance(runs.loss, MSE) and runs.batch_size is None
        if not fits or np.any(runs.model.stochastic()) or runs.model.penalised:
            yield "kind", "kernel_dynamics", FITS
        if runs.model.rows_interact:
            yield from needs_rows_alone(shapes)
            return
        points = shapes.n_train[1] * outputs
        if points > MOST_MODES:
            yield "kind", "kernel_dynamics", f"at most {MOST_MODES} train points times outputs; here {points}"
            return
        needed = bytes_of_kernel(shapes)
        # Train rows are padded, to less than twice their number.
        if 2 * needed > MOST_BYTES:
            least = f"{needed / 2**30:.3g} GiB for the kernel of all rows with the train rows"
            yield "kind", "kernel_dynamics", f"fewer rows: {least}, at most {MOST_BYTES / 2**31:g}"

    def measure(self, view: View) -> dict[str, jax.Array]:
        rows = view.rows
        assert view.initial_params is not None
        first = jax.tree.map(lambda w: w.astype(jnp.float64), view.initial_params)
        cross = kernel_with_train_rows(view, first)
        n, outputs = rows.counts.shape[0], view.logits.shape[-1]
        K = cross.reshape(-1, outputs, n * outputs)[rows.index].reshape(n * outputs, -1)
        real = jnp.repeat(rows.counts, outputs)
        found = modes(jnp.where(real[:, None], K, 0))
        y = targets(view)
        f0 = view.function.at(first)(first, jnp.asarray(view.inputs))
        rate = rate_of_modes(view)
        residual = jnp.where(real, (f0 - y)[rows.index].ravel(), 0)
        f = f0 + moved(found, cross, residual, lambda l: jnp.power(1 - rate * l, view.step)).reshape(f0.shape)
        regressed = regression(found, cross, jnp.where(real, y[rows.index].ravel(), 0)).reshape(f0.shape)
        losses = view.loss.rows(f, view.labels)
        return {
            "kernel_dynamics_train_loss": mean(losses, view.train),
            "kernel_dynamics_test_loss": mean(losses, view.test),
            "kernel_regression_test_loss": mean(view.loss.rows(regressed, view.labels), view.test),
        }


def descends(optimizer: Any) -> bool:
    """Return whether the optimizer of all runs is plain gradient descent at a constant rate."""
    if not isinstance(optimizer, SGD) or optimizer.clip_norm is not None:
        return False
    plain = not np.any(optimizer.momentum) and not np.any(optimizer.weight_decay)
    return plain and isinstance(optimizer.schedule, Constant)


def bytes_of_kernel(shapes: Shapes) -> float:
    """Return the bytes alive at once while the kernel between all rows and the train rows is computed, in float64."""
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, np.float64), shapes.params)
    x = input_shape(shapes.signature, shapes.signature.rows)
    with jax.enable_x64(True):
        known = costs(Function(shapes.experiment.model), params, x, shapes.n_train[1], shapes.signature.outputs, FULL)
    return min(cost.memory for cost in known.values())


def kernel_with_train_rows(view: View, params: Params) -> jax.Array:
    """Return K_0 between all rows and the train rows [rows * outputs, train rows * outputs], 0 where padded."""
    inputs = jnp.asarray(view.inputs)
    K = tangent_kernel(view.function, params, inputs, inputs[view.rows.index], FULL)
    K = jnp.where(view.rows.counts[:, None, None], K, 0)
    rows, n, outputs, _ = K.shape
    return jnp.transpose(K, (0, 2, 1, 3)).reshape(rows * outputs, n * outputs)


def targets(view: View) -> jax.Array:
    """Return the targets of all rows as trained [rows, outputs], in float64."""
    if view.labels.ndim > 1:
        return view.labels.astype(jnp.float64)
    return jax.nn.one_hot(view.labels, view.logits.shape[-1], dtype=jnp.float64)


def rate_of_modes(view: View) -> jax.Array:
    """Return c with r <- (1 - c K) r in one step: learning rate times the second derivative of the loss in f."""
    experiment = view.experiment
    loss = experiment.loss
    terms = view.logits.shape[-1] if loss.reduction == "mean" else 1
    rate = 2 * experiment.optimizer.learning_rate / (loss.divisor(view.split.n_train) * terms)
    return rate / view.function.rescaling
