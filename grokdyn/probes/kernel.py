"""Probes of the empirical tangent kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.kernel import measures
from grokdyn.kernel.ntk import METHODS, costs, tangent_kernel
from grokdyn.kernel.readout import Readout
from grokdyn.losses.base import one_hot
from grokdyn.models.function import Function
from grokdyn.models.output import Params
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.subset import SubsetProbe, input_shape, too_large
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count
from grokdyn.tasks.shapes import needs_rows_alone


class KernelProbe(SubsetProbe):
    """Base: probes of the empirical tangent kernel K [rows, rows] of some rows, see ``kernel.ntk``.

    ``outputs``: the mean over outputs of their kernels (``trace``), or the kernel of f_first - f_second
    (``difference``). Targets are the labels as trained: one-hot codes, or real vectors. Probes with the same fields
    share one computation.
    """

    outputs: str = field(Choice(("trace", "difference")), default="trace", doc="the kernel of which function")
    first: int = field(Count(0, 10**6), default=0, doc="class whose logit counts in a difference")
    second: int = field(Count(0, 10**6), default=1, doc="class whose logit is subtracted")
    method: str = field(Choice(("auto", *METHODS)), default="auto", doc="auto: the cheapest")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.outputs == "trace":
            yield from ((name, "outputs is trace") for name in ("first", "second"))

    @property
    def readout(self) -> Readout:
        return Readout(self.outputs, self.first, self.second)

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        outputs = shapes.signature.outputs
        if self.outputs == "difference" and (self.first == self.second or max(self.first, self.second) >= outputs):
            yield "second", f"{self.first} and {self.second}", f"two different classes below {outputs}"
        x = input_shape(shapes.signature, self.rows)
        if shapes.experiment.model.rows_interact:
            yield from needs_rows_alone(shapes)
            return
        with jax.enable_x64(True):
            known = costs(Function(shapes.experiment.model), shapes.params, x, None, outputs, self.readout)
        if self.method != "auto" and self.method not in known:
            yield "method", self.method, f"auto, {', '.join(known)}: this model has layers that are not linear"
            return
        least = min(cost.memory for name, cost in known.items() if self.method in ("auto", name))
        yield from too_large(self.rows, least, "their kernel takes")

    def kernel_at(self, view: View, params: Params) -> jax.Array:
        """Return K at some parameters; that of a linearised function is at those of step 0, always."""
        f = view.function
        return tangent_kernel(f, f.tangent(params), self.inputs(view), readout=self.readout, method=self.method)

    def kernel(self, view: View) -> jax.Array:
        """Return K at the parameters in view."""
        key = ("ntk", self.rows, self.part, self.readout, self.method)
        return view.once(key, lambda: self.kernel_at(view, view.params))

    def targets(self, view: View) -> jax.Array:
        """Return the targets of the function whose kernel K is, [rows, outputs] or [rows, 1]."""
        labels = view.labels[self.index(view)]
        if labels.ndim == 1:
            labels = one_hot(labels, view.experiment.task.signature().outputs).astype(jnp.float32)
        return labels if self.outputs == "trace" else (labels[:, self.first] - labels[:, self.second])[:, None]


class KernelAlignment(KernelProbe):
    """Alignment of the tangent kernel with the targets.

    ``kernel_alignment``: <K, YY^T> / (|K| |YY^T|). ``kernel_cka``: the same after centring both on both sides.
    ``kernel_alignment_one_sided``: as the released code of Kumar et al. (2024) centres, see ``kernel.measures``; with
    ``part = "test"`` it is the curve of their figures.
    """

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "kernel_alignment": Variable("kernel-target alignment"),
            "kernel_cka": Variable("centred kernel-target alignment"),
            "kernel_alignment_one_sided": Variable("kernel-target alignment, centred on one side"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        K, Y = self.kernel(view), self.targets(view)
        return {
            "kernel_alignment": measures.alignment(K, Y),
            "kernel_cka": measures.cka(K, Y),
            "kernel_alignment_one_sided": measures.one_sided(K, Y),
        }


class KernelSpectrum(KernelProbe):
    """Spectrum of the tangent kernel.

    ``kernel_top_eigenvalue``: the largest. ``kernel_effective_rank``: exp of the entropy of the eigenvalues over their
    sum. ``kernel_label_energy``: share of |Y|^2 in the span of the ``top`` eigenvectors of largest eigenvalue.
    """

    top: int = field(Count(), default=10, doc="number of eigenvectors whose share of the labels is measured")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        if self.top > self.rows:
            yield "top", self.top, f"at most the number of rows, {self.rows}"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "kernel_top_eigenvalue": Variable("largest eigenvalue of the tangent kernel"),
            "kernel_effective_rank": Variable("effective rank of the tangent kernel"),
            "kernel_label_energy": Variable("share of labels in the top eigenvectors of the tangent kernel"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        values, share = measures.eigenvalues_and_energy(self.kernel(view), self.targets(view), self.top)
        return {
            "kernel_top_eigenvalue": values[-1],
            "kernel_effective_rank": measures.effective_rank(values),
            "kernel_label_energy": share,
        }


class KernelDrift(KernelProbe):
    """How far the tangent kernel is from that of step 0, K_0.

    ``kernel_distance``: 1 - <K, K_0> / (|K| |K_0|), which a scaling leaves alone. ``kernel_change``: |K - K_0| / |K_0|.
    """

    needs_initial_params = True

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "kernel_distance": Variable("kernel distance from initialisation"),
            "kernel_change": Variable("relative change of the kernel from initialisation"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        assert view.initial_params is not None
        K, first = self.kernel(view), self.kernel_at(view, view.initial_params)
        change = measures.norm(measures.wide(K) - measures.wide(first)) / measures.norm(first)
        return {"kernel_distance": 1 - measures.cosine(K, first), "kernel_change": change}


class KernelVelocity(KernelProbe):
    """Relative speed of the tangent kernel, |dK| / |K| a step.

    dK is the change to first order of the update that the optimizer would make now, so that the value is that of this
    step whatever the distance of records.
    """

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {"kernel_velocity": Variable("relative speed of the tangent kernel", "1/step")}

    def measure(self, view: View) -> dict[str, jax.Array]:
        K, dK = jax.jvp(lambda params: self.kernel_at(view, params), (view.params,), (view.update,))
        return {"kernel_velocity": measures.norm(dK) / measures.norm(K)}
