"""The map of a strong feature under a large learning rate (the setting of Lu et al. 2023, arXiv 2310.17074).

One row with the features u and v in patches of their own, m filters with ReLU^2, f = (1/m) sum_r [relu(w_r . u)^2 +
relu(w_r . v)^2], loss (f - 1)^2. While v adds little to f, a step of gradient descent multiplies every w_r . u by
1 - 4 c (F - 1) and every w_r . v by 1 + 4 c rho^2 (1 - F), with F = (1/m) sum_r (w_r . u)^2, c = rate |u|^2 / m and
rho = |v| / |u|. So F follows a map of its own,

    F' = F (1 - 4 c (F - 1))^2.

Its fixed point 1 has slope 1 - 8 c: stable up to c = 1/4. Beyond, F oscillates, and since the logarithms of its factors
have a mean of 0 while those of the weak feature's are those of a mean over 1 - F, the concave logarithm makes the mean
of 1 - F positive: the weak feature grows at every turn. Up to c = (3^1.5 / 2 - 1) / 4 = .3995 (the paper has 2/5) no
factor of the strong feature is ever negative, beyond it filters change their sign and ReLU^2 leaves them dead.
"""

from __future__ import annotations

import numpy as np


def window() -> tuple[float, float]:
    """Return the c between which the strong feature oscillates for good and no filter changes its sign.

    The largest F that the map gives is (1 + 4 c)^3 / (27 c), from F = (1 + 4 c) / (12 c); its factor 1 - 4 c (F - 1) is
    0 where (1 + 4 c)^2 = 27 / 4. Raises nothing.
    """
    return 0.25, (3**1.5 / 2 - 1) / 4


def orbit(c: float, steps: int, first: float = 0.5) -> np.ndarray:
    """Return F after 0..steps updates [steps + 1].

    Args:
        c: rate |u|^2 / m.
        first: F at step 0.

    Raises:
        ValueError: for a c or a first F that is not above 0, or steps below 0.
    """
    if not (c > 0 and first > 0 and steps >= 0):
        raise ValueError(f"c, first, steps: got {(c, first, steps)}; allowed: c and first above 0, steps from 0 on")
    found = np.empty(steps + 1)
    found[0] = first
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(steps):
            found[t + 1] = found[t] * (1 - 4 * c * (found[t] - 1)) ** 2
    return found


def mean_shortfall(c: float, steps: int = 100_000, first: float = 0.5, leave: int = 10_000) -> float:
    """Return the mean of 1 - F over the orbit, the first updates left out; 0 below the window.

    Args:
        c, first: as in ``orbit``; steps: updates of the mean; leave: those before it.

    Raises:
        ValueError: as ``orbit`` does.
    """
    return float(np.mean(1 - orbit(c, steps + leave, first)[leave:]))


def weak_growth(c: float, ratio: float, shortfall: float | np.ndarray) -> float | np.ndarray:
    """Return by how much the logarithm of w . v grows in an update, 4 c rho^2 (1 - F), for small rho.

    Args:
        c: rate |u|^2 / m; ratio: rho = |v| / |u|; shortfall: 1 - F at the update, or its mean. Raises nothing.
    """
    return 4 * c * ratio**2 * shortfall
