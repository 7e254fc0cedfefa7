"""How many frequencies the neurons of the first hidden layer respond to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.function import first_function
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.fourier import components
from grokdyn.probes.view import View
from grokdyn.spec.errors import Words
from grokdyn.tasks.signature import Tokens

LAYER = "pre_0"


class FourierEntropy(Probe):
    """Entropy -sum_k q_k log q_k, in nats, of what a neuron receives from a residue, mean over neurons.

    q_k = |u_k| / sum_k |u_k| over the frequencies 1 to (p - 1)/2 of u, the discrete Fourier transform of the
    preactivation ``pre_0`` as the first operand goes through the residues, others at rest: what does not depend on it
    has frequency 0. It is 0 for a single frequency, log of their number where all are equal (Minegishi et al. 2023;
    their code has -sum q log softmax(q)). Neurons that receive nothing do not count.
    """

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        p = getattr(shapes.experiment.task, "p", None)
        if not isinstance(p, int) or p < 3 or not isinstance(shapes.signature.inputs, Tokens):
            yield "kind", Words(type(shapes.experiment.task).__name__), "a task of residues as tokens, such as modular"
        elif LAYER not in activations(shapes):
            told = type(shapes.experiment.model).__name__
            yield "kind", Words(told), "a model with a hidden layer pre_0 of whole rows, such as mlp or token_sum"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {"fourier_entropy": Variable("entropy of the neurons' spectra", "nat")}

    def measure(self, view: View) -> dict[str, jax.Array]:
        p, width = view.experiment.task.p, view.inputs.shape[1]
        rows = jnp.zeros((p, width), view.inputs.dtype).at[:, 0].set(jnp.arange(p, dtype=view.inputs.dtype))
        received = view.function.network(view.params, rows).activations[LAYER]
        cosine, sine = (part[1 : (p + 1) // 2] for part in components(received))
        size = jnp.sqrt(jnp.square(cosine) + jnp.square(sine))
        total = jnp.sum(size, axis=0)
        alive = total > 0
        q = size / jnp.where(alive, total, 1)
        each = -jnp.sum(jnp.where(q > 0, q * jnp.log(jnp.where(q > 0, q, 1)), 0), axis=0)
        return {"fourier_entropy": jnp.sum(jnp.where(alive, each, 0)) / jnp.sum(alive)}


def activations(shapes: Shapes) -> dict[str, Any]:
    """Return the activations [rows, units] of a few rows, by shape."""
    rows = jax.ShapeDtypeStruct((3, shapes.signature.inputs.entries), jnp.int32)
    network = first_function(shapes).network
    found = jax.eval_shape(lambda w, x: network(w, x).activations, shapes.params, rows)
    return {name: x for name, x in found.items() if len(x.shape) == 2}
