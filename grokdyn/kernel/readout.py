"""Which products of output gradients a kernel holds."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

KINDS = ("trace", "full", "difference")


class Readout(NamedTuple):
    """What is kept of Theta_ij,ab = <d f_a(x_i)/dw, d f_b(x_j)/dw>.

    ``full``: all of it [n, m, outputs, outputs]. ``trace``: (1/outputs) sum_a Theta_ij,aa [n, m]. ``difference``: the
    kernel [n, m] of the single function f_first - f_second.
    """

    kind: str = "trace"
    first: int = 0
    second: int = 1

    def check(self, outputs: int) -> None:
        """Refuse a kind that is not there, and functions beyond the outputs, which JAX would leave out in silence.

        Raises:
            ValueError: naming what came and what is allowed.
        """
        if self.kind not in KINDS:
            raise ValueError(f"readout.kind: got {self.kind!r}; allowed: one of {', '.join(KINDS)}")
        for name, value in (("first", self.first), ("second", self.second)):
            if self.kind == "difference" and not 0 <= value < outputs:
                raise ValueError(f"readout.{name}: got {value}; allowed: an output from 0 to {outputs - 1}")

    def combinations(self, outputs: int, dtype: Any) -> jax.Array:
        """Return the functions whose gradients are taken, as combinations of the logits [r, outputs]."""
        if self.kind != "difference":
            return jnp.eye(outputs, dtype=dtype)
        return jnp.zeros((1, outputs), dtype).at[0, self.first].set(1).at[0, self.second].add(-1)

    def count(self, outputs: int) -> int:
        """Return r, the number of those functions."""
        return 1 if self.kind == "difference" else outputs

    def entries(self, outputs: int) -> int:
        """Return the numbers kept for a pair of rows."""
        return outputs**2 if self.kind == "full" else 1
