"""Deep linear networks on white inputs, mode by mode (Saxe et al. 2014, arXiv 1312.6120; 2019, PNAS 116).

For sum_i x_i x_i^T = 1 on the span of the inputs and gradient flow on half the sum of squared errors, the singular
modes of the targets' map separate where weights are balanced and aligned: the strength a of a mode of value s follows

    da/dt = L a^(2 - 2/L) (s - a),

L layers of weights. With two layers a(t) = s / (1 + (s / a_0 - 1) exp(-2 s t)); with one a relaxes as exp(-t).

From small random weights of standard deviation sigma, two layers of width H are aligned by the linear phase of
learning: with c_k the mean of what mode k has in the first layer and in the second, products of modes grow as
c_k . c_l exp((s_k + s_l) t), so that a_0 = |c_k|^2, which is sigma^2 / 2 times a chi-square of H degrees, and stronger
modes take their own directions away from weaker ones: H - k degrees for the k-th, from 0 on. Exact for sigma to 0 and
singular values that are far apart.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import roots_genlaguerre

# Nodes of the quadrature over a_0.
NODES = 40


def strength(times: np.ndarray, s: float, first: float, layers: int = 2) -> np.ndarray:
    """Return a(t) of a mode of singular value s that starts at a_0.

    Args:
        times: in rising order, from 0 on.
        first: a_0, above 0 for two layers and more.
        layers: L, of weights.

    Raises:
        ValueError: for a start at 0 that never leaves it, or fewer than one layer.
    """
    t = np.asarray(times, np.float64)
    if layers < 1 or (layers > 1 and not first > 0):
        raise ValueError(f"first, layers: got {first!r}, {layers!r}; allowed: a layer or more, a start above 0")
    if layers == 1:
        return s + (first - s) * np.exp(-t)
    if layers == 2:
        # With the growing exponential below, in a form that does not overflow.
        left = np.exp(-2 * s * t)
        return first * s / (first * (1 - left) + s * left)

    def rate(_: float, a: np.ndarray) -> np.ndarray:
        return layers * np.abs(a) ** (2 - 2 / layers) * (s - a)

    end = max(float(np.max(t, initial=0)), np.finfo(float).tiny)
    return solve_ivp(rate, (0, end), [first], "LSODA", np.atleast_1d(t), rtol=1e-9, atol=1e-12).y[0]


def time_to(share: float, s: float, first: float) -> float:
    """Return when a mode of two layers has come to a share of its singular value.

    t = log(share (s - a_0) / (a_0 (1 - share))) / (2 s): about 1/s, and the logarithm of the start.

    Raises:
        ValueError: for a share outside (0, 1) or a start that is not above 0 and below s.
    """
    if not (0 < share < 1 and 0 < first < s):
        raise ValueError(f"share, first: got {share!r}, {first!r}; allowed: a share between 0 and 1, a start below s")
    return float(np.log(share * (s - first) / (first * (1 - share))) / (2 * s))


def starts(std: float, degrees: int, nodes: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of a_0 = std^2 / 2 times a chi-square of some degrees, for sums of smooth functions.

    Raises:
        ValueError: for fewer than one degree.
    """
    if degrees < 1:
        raise ValueError(f"degrees: got {degrees!r}; allowed: at least 1")
    x, w = roots_genlaguerre(nodes, degrees / 2 - 1)
    kept = w > 0
    return std**2 * x[kept], w[kept] / w[kept].sum()


def descent(steps: np.ndarray, rate: float, s: float, first: np.ndarray) -> np.ndarray:
    """Return a of two aligned layers after these numbers of steps of descent, [steps, starts].

    a = w^2 with w <- w + rate w (s - w^2), the flow for small rates.

    Args:
        rate: step size in the time of the flow.
        first: a_0 [starts].

    Raises:
        ValueError: for steps below 0.
    """
    steps = np.asarray(steps)
    if steps.size and steps.min() < 0:
        raise ValueError(f"steps: got {steps.min()}; allowed: from 0 on")
    w, found, wanted = np.sqrt(first), np.empty((len(steps), len(first))), set(steps.tolist())
    for step in range(int(steps.max(initial=0)) + 1):
        if step in wanted:
            found[steps == step] = w**2
        w = w + rate * w * (s - w**2)
    return found


def mean_modes(
    times: np.ndarray, values: np.ndarray, std: float, width: int, rate: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return E a_k and E (s_k - a_k)^2 of two layers from small random weights, each [t, modes].

    Args:
        times: of the flow.
        rate: step size in t; then descent instead of its flow.
        values: singular values in falling order [modes], fewer than ``width``.
        std: sigma of all weights; width: H.

    Raises:
        ValueError: where there are more modes than hidden units, or singular values rise.
    """
    values = np.asarray(values, np.float64)
    if len(values) > width or np.any(np.diff(values) > 0):
        raise ValueError(f"values: got {len(values)} for width {width}; allowed: at most as many, in falling order")
    means, errors = [], []
    for k, s in enumerate(values):
        first, weight = starts(std, width - k)
        if rate is None:
            a = np.stack([strength(times, s, one) for one in first], axis=-1)
        else:
            a = descent(np.rint(np.asarray(times) / rate).astype(int), rate, s, first)
        means.append(a @ weight)
        errors.append(np.square(s - a) @ weight)
    return np.stack(means, axis=-1), np.stack(errors, axis=-1)
