"""Probes of the gradients that single rows give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.kernel.gradients import (
    block_cosines,
    coherence,
    cosines,
    gradient_gram,
    noise_scale,
    of_rows,
    tensor_coherence,
    unbiased,
)
from grokdyn.kernel.ntk import costs
from grokdyn.kernel.readout import Readout
from grokdyn.losses.base import one_hot
from grokdyn.models.function import Function
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.norms import tensor_names
from grokdyn.probes.subset import SubsetProbe, input_shape, too_large
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Flag
from grokdyn.tasks.shapes import Conflicts, needs_classes, needs_rows_alone


class GradientProbe(SubsetProbe):
    """Base: probes of G [rows, rows], the products of the gradients of single rows' losses, labels as trained.

    A penalty that a model adds is of all rows and not among them.
    """

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        # G is made as the kernel of one function is: by layers where the model has them, else from all gradients.
        one = Readout("difference")
        x = input_shape(shapes.signature, self.rows)
        if shapes.experiment.model.rows_interact:
            yield from needs_rows_alone(shapes)
            return
        with jax.enable_x64(True):
            known = costs(Function(shapes.experiment.model), shapes.params, x, None, shapes.signature.outputs, one)
        yield from too_large(self.rows, known.get("layers", known["jacobian"]).memory, "their gradients take")

    def slopes(self, view: View) -> jax.Array:
        """Return the gradient of every row's loss in its logits [rows, outputs]."""
        labels, logits = view.labels[self.index(view)], view.function(view.params, self.inputs(view))
        return jax.grad(lambda logits: jnp.sum(view.loss.rows(logits, labels)))(logits)

    def gram(self, view: View) -> jax.Array:
        """Return G."""
        f, key = view.function, ("gradients", self.rows, self.part)
        return view.once(key, lambda: gradient_gram(f, f.tangent(view.params), self.inputs(view), self.slopes(view)))


class GradientCoherence(GradientProbe):
    """How much the gradients of single rows agree, see ``kernel.gradients``.

    ``m_coherence``: how many rows each gradient helps, 1 where all are orthogonal and ``rows`` where all are equal
    (Chatterjee & Zielinski 2022). ``noise_scale``: the simple gradient noise scale (McCandlish et al. 2018).
    ``gradient_cosine``: mean cosine of pairs. With ``per_tensor`` also ``m_coherence_per_tensor``, of the gradients in
    one tensor, which needs all of them at once.
    """

    per_tensor: bool = field(Flag(), default=False, doc="m-coherence of every tensor by itself too")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        if self.per_tensor:
            entries = sum(leaf.size for leaf in jax.tree.leaves(shapes.params))
            yield from too_large(self.rows, 8.0 * self.rows * entries, "their gradients, tensor by tensor, take")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {
            "m_coherence": Variable("m-coherence of gradients", "rows"),
            "noise_scale": Variable("gradient noise scale", "rows"),
            "gradient_cosine": Variable("mean cosine of two rows' gradients"),
        }
        if self.per_tensor:
            names = {"tensor": tensor_names(shapes.params)}
            long_name = "m-coherence of gradients per tensor"
            found["m_coherence_per_tensor"] = Variable(long_name, "rows", ("tensor",), names)
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        G = self.gram(view)
        pairs = cosines(G)
        found = {
            "m_coherence": coherence(G),
            "noise_scale": noise_scale(G),
            "gradient_cosine": (jnp.sum(pairs) - jnp.trace(pairs)) / (self.rows * (self.rows - 1)),
        }
        if self.per_tensor:
            f = view.function
            rows = of_rows(f, f.tangent(view.params), self.inputs(view), self.slopes(view))
            found["m_coherence_per_tensor"] = tensor_coherence(rows)
        return found


class GradientCovariance(GradientProbe):
    """Trace of the covariance of single rows' gradients, and the squared length of their mean, both unbiased.

    With q the mean of |g_i|^2 over m rows and s = |mean g_i|^2: ``gradient_covariance`` = m (q - s) / (m - 1), Tr C,
    and ``squared_gradient`` = (m s - q) / (m - 1), |E g|^2, below 0 where it is lost in the noise (McCandlish et al.
    2018, whose noise scale is their ratio). ``theory.sgd_gap`` has what rate Tr C / N says of the gap between test and
    train loss (Roberts 2021).
    """

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "gradient_covariance": Variable("trace of the gradients' covariance"),
            "squared_gradient": Variable("squared length of the mean gradient"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        trace, squared = unbiased(self.gram(view))
        return {"gradient_covariance": trace, "squared_gradient": squared}


class GradientBlocks(GradientProbe):
    """Mean cosine of the gradients of two rows by their classes, ``gradient_cosine_by_class`` [label, other_label].

    Opposing signals are negative blocks (Rosenfeld & Risteski 2023). A pair of classes without rows is nan.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_classes(shapes, "a probe that needs no classes")
        yield from super().conflicts(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        labels = np.arange(shapes.signature.classes)
        both = {"label": labels, "other_label": labels}
        long_name = "mean cosine of gradients by class"
        return {"gradient_cosine_by_class": Variable(long_name, dims=("label", "other_label"), coordinates=both)}

    def measure(self, view: View) -> dict[str, jax.Array]:
        codes = one_hot(view.labels[self.index(view)], view.experiment.task.signature().classes)
        return {"gradient_cosine_by_class": block_cosines(self.gram(view), codes)}


class ExampleScores(GradientProbe):
    """Scores of single rows (Paul et al. 2021), on an axis ``row`` from 0 to ``rows`` - 1.

    ``grand``: norm of the gradient of the row's loss. ``el2n``: |softmax(f) - y|, y the one-hot label as trained.
    ``row_correct``: whether the largest logit is the label's; ``analysis.forgetting`` counts its falls. Rows are the
    same at every step; those of ``part = "table"`` are also the same in every run.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_classes(shapes, "a probe that needs no classes")
        yield from super().conflicts(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axis = {"dims": ("row",), "coordinates": {"row": np.arange(self.rows)}}
        return {
            "grand": Variable("norm of a row's gradient", **axis),
            "el2n": Variable("norm of a row's error", **axis),
            "row_correct": Variable("whether a row is right", **axis),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        places = self.index(view)
        labels = view.labels[places]
        return {
            "grand": jnp.sqrt(jnp.diag(self.gram(view)).astype(jnp.float64)),
            "el2n": error_norms(view.logits[places], labels),
            "row_correct": (view.predictions[places] == labels).astype(jnp.float32),
        }


def error_norms(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return |softmax(f) - y| of rows, y one-hot, float64 [rows]."""
    wide = logits.astype(jnp.float64)
    error = jax.nn.softmax(wide, axis=-1) - one_hot(labels, wide.shape[-1])
    return jnp.sqrt(jnp.sum(jnp.square(error), axis=-1))
