"""A three-layer network through a single hidden number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.base import Model
from grokdyn.models.draws import normal, together
from grokdyn.models.mlp import flat
from grokdyn.models.output import Output, Params
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Choice, Count, Integer, Number
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Signature, Tokens


class Bottleneck(Model):
    """Three layers with one hidden number q: f = q + psi(q a + b) . c / sqrt(M), q = phi(x V + s) . u / sqrt(N).

    The network of Wang, Nichani and Lee (2023), whose layers are trained one after another: u first, while c = 0, then
    c (``groups`` and rounds hold the other). u [N, 1] and c [M, 1] are the parameters, 0 at step 0. V_ij ~
    N(0, gain^2/D), D the entries of an input, s_j ~ N(0, shift^2), a_j = +-1 in turn and b_j ~ N(0, outer_shift^2) are
    constants of the run, drawn from ``draw`` alone, whatever the run's seed, as those of ``random_features``. Under
    squared error and weight decay each stage goes to ridge regression on its features. Activations: ``pre_0``,
    ``hidden_0``, ``number`` (q [rows, 1]), ``pre_1``, ``hidden_1``.
    """

    width: int = field(Count(1, 1_000_000), default=1024, doc="N, inner features")
    outer_width: int = field(Count(1, 1_000_000), default=64, doc="M, outer features")
    activation: str = field(Choice(tuple(ACTIVATIONS)), default="relu", doc="phi")
    outer_activation: str = field(Choice(tuple(ACTIVATIONS)), default="relu", doc="psi")
    gain: float = field(Number(0), default=1.0, doc="standard deviation of x V for entries of size 1")
    shift: float = field(Number(0), default=0.5, doc="standard deviation of s")
    outer_shift: float = field(Number(0), default=1.0, doc="standard deviation of b")
    draw: int = field(Integer(), default=0, doc="seed of the features")

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        yield from super().ignored(steps)
        yield "init_scale", "u and c start at 0"

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        if shapes.signature.outputs != 1:
            yield "kind", Words(f"{shapes.signature.outputs} outputs"), "a task of one real target"
        if isinstance(shapes.signature.inputs, Tokens):
            yield "kind", Words("inputs that are tokens"), "real vectors or images; or another model, such as mlp"

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        return {"u": jnp.zeros((self.width, 1), dtype), "c": jnp.zeros((self.outer_width, 1), dtype)}

    def constants(self, entries: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return V [D, N], s [N] and b [M], float64."""
        keys = jax.random.split(jax.random.key(self.draw), 3)
        shapes = ((entries, self.width), (self.width,), (self.outer_width,))
        V, s, b = together([normal(k, n, jnp.float64) for k, n in zip(keys, shapes, strict=True)])
        return V * (self.gain / entries**0.5), s * self.shift, b * self.outer_shift

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        u, c = params["u"], params["c"]
        x = flat(inputs).astype(u.dtype)
        V, s, b = (w.astype(u.dtype) for w in self.constants(x.shape[1]))
        a = jnp.where(jnp.arange(self.outer_width) % 2 == 0, 1, -1).astype(u.dtype)
        pre = x @ V + s
        hidden = ACTIVATIONS[self.activation](pre)
        q = hidden @ u * jnp.asarray(self.width**-0.5, u.dtype)
        outer = q * a + b
        top = ACTIVATIONS[self.outer_activation](outer)
        logits = q + top @ c * jnp.asarray(self.outer_width**-0.5, u.dtype)
        return Output(logits, {"pre_0": pre, "hidden_0": hidden, "number": q, "pre_1": outer, "hidden_1": top})
