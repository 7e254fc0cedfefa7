"""What a kernel of the inputs makes of the rows that a network trains on."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.infinite_width import read
from grokdyn.probes.unexplained import share
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.numbers import Numbers
from grokdyn.spec.rules import Choice, Count
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Reals
from grokdyn.theory.infinite_width import kernels, ntk_layers

# Kernels between all rows and the train rows, in float64.
MOST_ENTRIES = 2**26


class KernelRidge(Probe):
    """Kernel ridge regression on the run's own train rows, a baseline that knows nothing of the network.

    f(x) = m + k(x, X) (K + n ridge I)^-1 (y - m), m the mean of the targets, K the kernel of the n train rows, in
    float64. ``polynomial``: k = (1 + x . x' / D)^degree. ``tangent``: that of ReLU networks of infinite width with
    ``depth`` hidden layers and biases of deviation .1 (``theory.infinite_width``). ``kernel_ridge_unexplained``
    [ridge]: the share of the variance of test targets that is left. It is the same at every step: a large ``every``, or
    a record of step 0 alone, spares the rest.
    """

    kernel: str = field(Choice(("polynomial", "tangent")), default="polynomial", doc="k")
    degree: int = field(Count(1, 20), default=4, doc="of the polynomial")
    depth: int = field(Count(1, 20), default=2, doc="hidden layers of the tangent kernel's network")
    ridges: tuple[float, ...] = field(Numbers(0, open_low=True), default=(1e-5, 1e-3), doc="penalties, by row")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.kernel == "polynomial":
            yield "depth", "the kernel is a polynomial"
        else:
            yield "degree", "the kernel is no polynomial"

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        if not isinstance(shapes.signature.targets, Reals):
            yield "kind", Words("targets that are classes"), "a task of real targets"
        entries = shapes.signature.rows * shapes.n_train[1]
        if entries > MOST_ENTRIES:
            yield "kind", "kernel_ridge", f"at most {MOST_ENTRIES} rows times train rows; here {entries}"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axes = {"ridge": np.asarray(self.ridges)}
        label = "kernel ridge: unexplained share of the test targets' variance"
        return {"kernel_ridge_unexplained": Variable(label, dims=tuple(axes), coordinates=axes)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        rows, signature = view.rows, view.experiment.task.signature()
        x, y = read(jnp.asarray(view.inputs), signature.inputs), view.labels.astype(jnp.float64)
        real, n = rows.counts, jnp.sum(rows.counts)
        K = jnp.where(real, self.between(x, x[rows.index]), 0)
        own = jnp.where(real[:, None], K[rows.index], 0)
        middle = jnp.sum(jnp.where(real[:, None], y[rows.index], 0), axis=0) / n
        rest = jnp.where(real[:, None], y[rows.index] - middle, 0)

        def left(ridge: jax.Array) -> jax.Array:
            # Padding has the eigenvalue of the penalty, and no weight.
            factor = jax.scipy.linalg.cho_factor(own + n * ridge * jnp.eye(len(own), dtype=own.dtype))
            return share(middle + K @ jax.scipy.linalg.cho_solve(factor, rest), y, view.test)

        return {"kernel_ridge_unexplained": jax.lax.map(left, jnp.asarray(self.ridges, jnp.float64))}

    def between(self, x: jax.Array, others: jax.Array) -> jax.Array:
        """Return the kernel between rows [rows, others]."""
        if self.kernel == "polynomial":
            return (1 + x @ others.T / x.shape[1]) ** self.degree
        return kernels(x, others, ntk_layers(self.depth + 1, 2**0.5, 0.1)).tangent
