"""What every model offers to the training kernel and to the probes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.spec.base import Spec, field
from grokdyn.spec.rules import Number
from grokdyn.tasks.base import Signature

Params = dict[str, jax.Array]


class Output(NamedTuple):
    """What a forward pass gives.

    Attributes:
        logits: [rows, outputs].
        activations: named inner values for probes; computed only where something reads them.
    """

    logits: jax.Array
    activations: dict[str, jax.Array]


class Model(Spec):
    """Base of all models: a subclass writes ``initial`` and ``apply``.

    ``init_scale`` multiplies every parameter at step 0 (Liu et al. 2023, Omnigrok), ``output_scale`` multiplies the
    logits in training and measurement (the lazy/rich alpha of Chizat et al. 2019).
    """

    init_scale: float = field(Number(0), default=1.0, doc="multiplies all parameters at step 0")
    output_scale: float = field(Number(0), default=1.0, doc="multiplies the logits")

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> Params:
        """Draw the parameters, before ``init_scale``."""
        raise NotImplementedError

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        """Compute logits [rows, outputs], before ``output_scale``, for tokens or vectors [rows, width].

        A model that overrides ``stochastic`` takes a third argument, ``key``: None when it is measured.
        """
        raise NotImplementedError

    def stochastic(self) -> Any:
        """Return whether training draws random numbers (dropout), for the numbers of one run or of many at once."""
        return False

    def start(self, key: jax.Array, signature: Signature, dtype: Any) -> Params:
        """Draw the parameters of step 0."""
        scale = jnp.asarray(self.init_scale, jnp.float64)
        return jax.tree.map(lambda w: (w * scale).astype(dtype), self.initial(key, signature, jnp.float64))

    def forward(self, params: Params, inputs: jax.Array, key: jax.Array | None = None) -> Output:
        """Compute the network's output as it is measured, or with a key as it is trained."""
        logits, activations = self.apply(params, inputs, *(() if key is None else (key,)))
        return Output(logits * jnp.asarray(self.output_scale, logits.dtype), activations)

    def from_torch(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Return arrays under PyTorch-style names, matrices as (out, in), as this model's parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no PyTorch counterpart")
