"""Losses as functions of logits and labels, for plain JAX and optax code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.losses.base import one_hot
from grokdyn.losses.cross_entropy import log_loss, smoothed_log_loss
from grokdyn.losses.stablemax import stablemax_rows
from grokdyn.spec.errors import SpecError, Words

LABELS = "integers [...], one for every row of logits"


def cross_entropy(logits: Any, labels: Any, label_smoothing: float = 0.0) -> jax.Array:
    """Compute softmax cross-entropy per example, with a gradient that is right near softmax collapse.

    -sum_k t_k log softmax(z)_k, t_k = (1 - s)[k = y] + s / classes, s being ``label_smoothing``. Minimise its mean:
    ``cross_entropy(logits, labels).mean()``. The gradient in z is p - t with the difference formed first; what
    ``jax.nn.log_softmax`` and optax leave to differentiate is wrong by several per cent in the correct logit once
    1 - p_y is a few units of rounding, see ``log_loss``.

    Args:
        logits: floats [..., classes].
        labels: integers [...], from 0 to classes - 1.
        label_smoothing: a number from 0 to 1, known when tracing.

    Returns:
        Losses [...] in the dtype of the logits, as the gradient is; float16 and bfloat16 are computed in float32 and
        rounded once. A label out of range gives nan, in the gradient of its row too: to leave an example out, change
        its label as well as masking its loss.

    Raises:
        SpecError (a ValueError): if logits are no floats, labels no integers, shapes do not fit, or the smoothing is
            no number from 0 to 1.
    """
    s = smoothing(label_smoothing)

    def rows(z: jax.Array, y: jax.Array) -> jax.Array:
        if not s:
            return log_loss(z, y)
        classes = z.shape[-1]
        on, off = (jnp.asarray(share, z.dtype) for share in (1 - s + s / classes, s / classes))
        return smoothed_log_loss(z, jnp.where(one_hot(y, classes), on, off))

    return each(rows, logits, labels, jnp.float32)


def stablemax_cross_entropy(logits: Any, labels: Any) -> jax.Array:
    """Compute StableMax cross-entropy per example.

    -log(s(z_y) / sum_k s(z_k)), s(x) = x + 1 for x >= 0 and 1/(1 - x) below (Prieto et al. 2025). Minimise its mean:
    ``stablemax_cross_entropy(logits, labels).mean()``.

    Args:
        logits: floats [..., classes].
        labels: integers [...], from 0 to classes - 1.

    Returns:
        Losses [...] in the dtype of the logits, as the gradient is. They are computed in float64 where JAX's 64-bit
        mode is on, as in the paper, else in float32, where the loss of an example is exactly 0 once its label's share
        is within 6e-8 of 1 (logits near 4e4). Gradients are finite at every finite logit. A label out of range gives
        nan, in the gradient of its row too: to leave an example out, change its label as well as masking its loss.

    Raises:
        SpecError (a ValueError): if logits are no floats, labels no integers, or shapes do not fit.
    """
    return each(stablemax_rows, logits, labels, jnp.result_type(float))


def each(rows: Callable[[jax.Array, jax.Array], jax.Array], logits: Any, labels: Any, least: Any) -> jax.Array:
    """Return a loss of rows for logits [..., classes] in their dtype, computed in ``least`` or wider."""
    z = jnp.asarray(logits)
    if not jnp.issubdtype(z.dtype, jnp.floating) or z.ndim == 0 or z.shape[-1] == 0:
        raise SpecError("logits", picture(z), "floats [..., classes], such as float32")
    classes = z.shape[-1]
    y = whole_labels(labels, classes)
    if y.shape != z.shape[:-1]:
        raise SpecError("labels", picture(y), f"{LABELS}, here {list(z.shape[:-1])}")
    inside = (y >= 0) & (y < classes)
    wide = z.astype(max(jnp.dtype(least), z.dtype, key=lambda dtype: dtype.itemsize)).reshape(-1, classes)
    # Added, not put in its place: so it reaches the gradient too.
    blank = jnp.where(inside, jnp.zeros((), wide.dtype), jnp.full((), jnp.nan, wide.dtype)).reshape(-1, 1)
    found = rows(wide + blank, jnp.where(inside, y, jnp.zeros((), y.dtype)).reshape(-1))
    return found.reshape(y.shape).astype(z.dtype)


def whole_labels(labels: Any, classes: int) -> jax.Array:
    """Return labels in a type that holds all classes; what lies outside stays outside."""
    y = labels if isinstance(labels, jax.Array) else np.asarray(labels)
    if not jnp.issubdtype(y.dtype, jnp.integer):
        raise SpecError("labels", picture(y), LABELS)
    if isinstance(y, np.ndarray):  # JAX would cut 64 bits to 32 without a word
        inside = (y >= 0) & (y < classes)
        return jnp.asarray(np.where(inside, np.where(inside, y, 0).astype(np.int32), np.int32(-1)))
    return y.astype(jnp.int32) if y.dtype.itemsize < 4 else y


def smoothing(given: Any) -> float:
    """Return a share of label smoothing, checked."""
    try:
        s = float(given)
    except (TypeError, ValueError, jax.errors.ConcretizationTypeError):
        s = float("nan")
    if not 0 <= s <= 1:
        raise SpecError("label_smoothing", given, "a number from 0 to 1, known when tracing")
    return s


def picture(array: Any) -> Words:
    """Return the type and shape of an array for a message."""
    return Words(f"{array.dtype} {list(array.shape)}")
