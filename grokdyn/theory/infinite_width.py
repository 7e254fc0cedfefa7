"""Kernels of fully connected networks of infinite width, in closed form (Cho & Saul 2009, Jacot et al. 2018).

With pre-activations z_{l+1} = m_l W_l phi(z_l) + b_l, entries of W_l of variance v_l, n_l those that a layer reads, the
outputs of step 0 are independent Gaussian processes of covariance K (Neal 1996) and the tangent kernel is Theta, the
same for every output:

    K_{l+1} = s_w^2 E[phi phi'] + s_b^2,   Theta_{l+1} = g_w E[phi phi'] + g_b + s_w^2 E[dphi dphi'] Theta_l,

s_w^2 = m^2 v n and s_b^2 what a layer adds to the variance, g_w = m^2 n and g_b what its own weights and biases add to
the tangent kernel; expectations over (z, z') ~ N(0, K_l), and of the inputs x . x' / n in place of E[phi phi']. At a
finite width n both are off by O(n^-1/2). Exact to 1e-8, which is the rounding where two inputs are nearly parallel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Layer(NamedTuple):
    """What a layer gives: s_w^2, s_b^2, g_w, g_b."""

    weight: float
    bias: float = 0.0
    weight_moves: float = 0.0
    bias_moves: float = 0.0


class Kernels(NamedTuple):
    """Between two sets of inputs [n, m]: the covariance of outputs at step 0, and the tangent kernel."""

    covariance: Any
    tangent: Any


class Expectations(NamedTuple):
    """E[phi(z) phi(z')] and E[phi'(z) phi'(z')]."""

    value: Any
    slope: Any


def ntk_layers(depth: int, weight_std: float = 1.0, bias_std: float = 0.0) -> tuple[Layer, ...]:
    """Return the layers of z = (weight_std / sqrt(n)) W h + bias_std b with W, b ~ N(0, 1) (Jacot et al. 2018).

    Args:
        depth: layers with weights, one more than hidden ones.
        weight_std: theirs; bias_std: that of the biases, 0 for none.
    """
    w, b = weight_std**2, bias_std**2
    return (Layer(w, b, w, b),) * depth


def standard_layers(fan_ins: Sequence[int], weight_std: float = 1.0, bias_std: float = 0.0) -> tuple[Layer, ...]:
    """Return the layers of z = W h + b with W ~ N(0, weight_std^2 / n) and b ~ N(0, bias_std^2), biases moving.

    The tangent kernel grows with the widths, as rates must fall.

    Args:
        fan_ins: n of every layer, first that of the inputs.
    """
    return tuple(Layer(weight_std**2, bias_std**2, n, 1.0) for n in fan_ins)


def kernels(x: Any, y: Any, layers: Sequence[Layer], activation: str = "relu") -> Kernels:
    """Return both kernels between rows x [n, D] and y [m, D], arrays of NumPy or JAX.

    Args:
        layers: of the network, in order.
        activation: phi: relu, erf, square or identity.

    Raises:
        ValueError: for an activation without a closed form, naming those that have one.
    """
    if activation not in CLOSED:
        raise ValueError(f"activation: got {activation!r}; allowed: {', '.join(CLOSED)}, which have closed forms")
    D = x.shape[1]
    read = Expectations(x @ y.T / D, 0.0)
    own = [Expectations((rows * rows).sum(1) / D, 0.0) for rows in (x, y)]
    tangent: Any = 0.0 * read.value
    for place, layer in enumerate(layers):
        covariance = layer.weight * read.value + layer.bias
        tangent = layer.weight_moves * read.value + layer.bias_moves + layer.weight * read.slope * tangent
        if place + 1 == len(layers):
            return Kernels(covariance, tangent)
        left, right = (layer.weight * one.value + layer.bias for one in own)
        read = CLOSED[activation](left[:, None], covariance, right[None, :])
        own = [CLOSED[activation](k, k, k) for k in (left, right)]
    raise ValueError("layers: got none; allowed: at least one")


def variances(x: Any, layers: Sequence[Layer], activation: str = "relu") -> Any:
    """Return the variance of outputs at step 0 for every row of x [n, D]: the diagonal of the covariance [n].

    Raises ValueError as ``kernels`` does.
    """
    if activation not in CLOSED:
        kernels(x, x, layers, activation)
    k = (x * x).sum(1) / x.shape[1]
    for place, layer in enumerate(layers):
        k = layer.weight * k + layer.bias
        k = CLOSED[activation](k, k, k).value if place + 1 < len(layers) else k
    return k


def relu(one: Any, cross: Any, other: Any) -> Expectations:
    """E[phi phi'] = sqrt(k k') (sqrt(1 - u^2) + u (pi - acos u)) / 2 pi, E[dphi dphi'] = (pi - acos u) / 2 pi.

    u = cross / sqrt(k k') (Cho & Saul 2009). Returns 0 and 1/4 where an input has no length; raises nothing.
    """
    xp = cross.__array_namespace__()
    length = xp.sqrt(one * other)
    there = length > 0
    u = xp.where(there, cross / xp.where(there, length, 1.0), 0.0)
    u = xp.clip(u, -1.0, 1.0)
    angle = xp.acos(u)
    value = length * (xp.sqrt(1 - u * u) + u * (math.pi - angle)) / (2 * math.pi)
    return Expectations(value, (math.pi - angle) / (2 * math.pi))


def erf(one: Any, cross: Any, other: Any) -> Expectations:
    """E[phi phi'] = (2/pi) asin(2 c / sqrt((1 + 2 k)(1 + 2 k'))) for phi(z) = erf(z) (Williams 1997).

    E[dphi dphi'] = (4/pi) / sqrt((1 + 2 k)(1 + 2 k') - 4 c^2). Returns both; raises nothing.
    """
    xp = cross.__array_namespace__()
    size = (1 + 2 * one) * (1 + 2 * other)
    value = 2 / math.pi * xp.asin(2 * cross / xp.sqrt(size))
    return Expectations(value, 4 / math.pi / xp.sqrt(size - 4 * cross * cross))


def square(one: Any, cross: Any, other: Any) -> Expectations:
    """E[z^2 z'^2] = k k' + 2 c^2, E[2z 2z'] = 4 c. Returns both; raises nothing."""
    return Expectations(one * other + 2 * cross * cross, 4 * cross)


def identity(one: Any, cross: Any, other: Any) -> Expectations:
    """E[z z'] = c, slopes 1. Returns both; raises nothing."""
    return Expectations(cross, 1.0)


CLOSED = {"relu": relu, "erf": erf, "square": square, "identity": identity}


class Moments(NamedTuple):
    """Mean [t, rows, outputs] and variance [t, rows] of an output over the draws of step 0, at some times."""

    mean: np.ndarray
    variance: np.ndarray


def flow(
    train: Kernels, cross: Kernels, variance: np.ndarray, y: np.ndarray, left: np.ndarray, init: bool = True
) -> Moments:
    """Return the outputs of networks of infinite width in training on squared error, at some rows.

    f_t = f_0 - Theta_* U (1 - d) / l U^T (f_0 - y) with U, l the modes of Theta between the train rows (Jacot et al.
    2018), f_0 a Gaussian process: the mean is A_t y with A_t = Theta_* U (1 - d) / l U^T, the variance
    K_xx - 2 A_t K_x + A_t K A_t^T (Lee et al. 2019). Modes of eigenvalue 0 stay.

    Args:
        train: kernels between train rows [n, n]; cross: between the rows and the train rows [m, n].
        variance: of outputs at step 0, [m].
        y: targets of the train rows [n, outputs].
        left: d, what is left of every mode at every time, [t, n], in rising order of eigenvalues: see ``modes``.
        init: whether f_0 counts; without it networks are centred.

    Returns:
        Moments [t, m, ...]. Raises ValueError where shapes do not fit.
    """
    l, U = modes(train.tangent)
    if left.shape[1:] != l.shape or cross.tangent.shape != (len(variance), len(l)):
        raise ValueError(f"left, cross: got {left.shape} and {cross.tangent.shape}; allowed: [times, n] and [m, n]")
    alive = l > NULL * l[-1]
    weight = np.where(alive, (1 - left) / np.where(alive, l, 1), 0)
    projected = cross.tangent @ U
    mean = np.einsum("mk,tk,ko->tmo", projected, weight, U.T @ y)
    if not init:
        return Moments(mean, np.zeros(mean.shape[:2]))
    K, across = U.T @ train.covariance @ U, cross.covariance @ U
    A = projected * weight[:, None, :]
    spread = variance - 2 * np.sum(A * across, axis=-1) + np.sum((A @ K) * A, axis=-1)
    return Moments(mean, np.maximum(spread, 0))


# Eigenvalues below this part of the largest are rounding of 0.
NULL = 1e-12


def modes(tangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues [n] in rising order and eigenvectors [n, n] of a kernel between train rows; raises nothing."""
    l, U = np.linalg.eigh(tangent)
    return np.maximum(l, 0), U
