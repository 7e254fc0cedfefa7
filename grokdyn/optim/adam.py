"""Adam that stays right where squares of gradients leave the float range."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from grokdyn.optim.base import Optimizer
from grokdyn.spec.base import field
from grokdyn.spec.rules import Number

BETA = Number(0, 1, open_high=True)


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015): step along m_hat / (sqrt(v_hat) + eps), as ``torch.optim.Adam``.

    ``weight_decay`` is the coupled L2 term, added to the gradient before the moments.
    """

    b1: float = field(BETA, default=0.9, doc="decay of the first moment")
    b2: float = field(BETA, default=0.999, doc="decay of the second moment")
    eps: float = field(Number(0), default=1e-8, doc="added to the root of the second moment")
    weight_decay: float = field(Number(0), default=0.0, doc="coefficient of w; see the class")

    def direction(self) -> optax.GradientTransformation:
        return scale_by_adam(self.b1, self.b2, self.eps)

    def coupled(self) -> Any:
        return self.weight_decay

    def largest_curvature(self, step: Any) -> Any:
        """Return the bound (2 + 2 b1) / ((1 - b1) r) on l, r the rate at the step (Cohen et al. 2022).

        A mode of the quadratic obeys m <- b1 m + (1 - b1) l w, w <- (1 - r d) w - r m, d the decoupled decay and w in
        the scale of the preconditioner. An eigenvalue of that is -1 at l = (1 + b1) (2 - r d) / ((1 - b1) r). What is
        ``coupled`` is part of l itself: that of P^-1/2 (H + c) P^-1/2.
        """
        decay, rate = self.decay(), self.learning_rate * self.schedule.factor(step)
        margin = 2 if decay is None else 2 - rate * decay
        return (1 + self.b1) * margin / ((1 - self.b1) * rate)

    def preconditioner(self, state: Any) -> Any:
        own = next(part for part in state if isinstance(part, AdamState))
        scale = 1 / jnp.sqrt(correction(self.b2, own.count))
        return jax.tree.map(lambda r: r * rounded(scale, r) + rounded(self.eps, r), own.root)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): w <- w - lr (adam + weight_decay w).

    ``weight_decay`` is multiplied by the learning rate, as in ``torch.optim.AdamW`` and ``optax.adamw``.
    """

    def coupled(self) -> Any:
        return None

    def decay(self) -> Any:
        return self.weight_decay


class AdamState(NamedTuple):
    """Number of updates, the first moment m, and the root r = sqrt(v) of the second."""

    count: jax.Array
    mu: Any
    root: Any


def scale_by_adam(b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> optax.GradientTransformation:
    """Return m_hat / (sqrt(v_hat) + eps), m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, hats bias-corrected.

    The textbook form stores v, and the square of a gradient below 1e-19 is below the float32 range (XLA on CPU
    flushes subnormals already): v becomes 0 and the step g / eps, which for the tiny eps of Prieto et al. (2025)
    is an explosion. Here the root is stored, r <- sqrt(b2 r^2 + (1 - b2) g^2), with the larger of r and |g| taken
    out of the square root. That is right for every g and eps in the normal float range, and rounds as often.

    Numbers may be traced. 1 - b and 1 / (1 - b^t) are formed in float64 where that is enabled, then rounded: a
    division by 1 - b^t XLA would turn into one or another product, for one device not as for several.
    """

    def init(params: Any) -> AdamState:
        return AdamState(jnp.zeros((), jnp.int32), *(jax.tree.map(jnp.zeros_like, params) for _ in range(2)))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        count = state.count + jnp.ones((), jnp.int32)
        c1, c2 = 1 / correction(b1, count), 1 / jnp.sqrt(correction(b2, count))

        def step(m: jax.Array, r: jax.Array) -> jax.Array:
            denominator = r * rounded(c2, r) + rounded(eps, r)
            # 0/0 happens only for eps = 0 and a gradient that was always 0: no step.
            return m * rounded(c1, m) / jnp.where(denominator > 0, denominator, 1)

        mu = jax.tree.map(lambda g, m: rounded(b1, g) * m + rounded(1 - wide(b1), g) * g, updates, state.mu)
        root = jax.tree.map(lambda g, r: root_of_mean_square(r, g, b2), updates, state.root)
        return jax.tree.map(step, mu, root), AdamState(count, mu, root)

    return optax.GradientTransformation(init, update)


def root_of_mean_square(r: jax.Array, g: jax.Array, b2: Any) -> jax.Array:
    """Return sqrt(b2 r^2 + (1 - b2) g^2) without squaring anything above 1."""
    old, new = rounded(b2, g), rounded(1 - wide(b2), g)
    g = jnp.abs(g)
    large, small = jnp.maximum(r, g), jnp.minimum(r, g)
    ratio = small / jnp.maximum(large, jnp.finfo(g.dtype).tiny)
    r_leads = r >= g
    return large * jnp.sqrt(jnp.where(r_leads, old, new) + jnp.where(r_leads, new, old) * jnp.square(ratio))


def rounded(x: Any, like: jax.Array) -> jax.Array:
    return jnp.asarray(x, like.dtype)


def wide(x: Any) -> jax.Array:
    """Return a number in the widest float there is: float64 in the engine, what the user has enabled elsewhere."""
    return jnp.asarray(x, jnp.result_type(float))


def correction(b: Any, count: jax.Array) -> jax.Array:
    """Return 1 - b^count without the cancellation for b near 1."""
    return -jnp.expm1(count * jnp.log1p(wide(b) - 1))
