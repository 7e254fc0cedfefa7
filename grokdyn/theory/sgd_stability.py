"""When SGD leaves a minimum, where that is exact (the family of Dexter et al. 2024, arXiv 2401.12332).

Of n rows with losses w . H_i w / 2, ``coherence`` = s share an axis and each other has one of its own: H_i is
(2 n / s) e e^T. So the mean Hessian's largest eigenvalue is 2, along the shared axis, whatever s. A batch of b rows
holds k of those of an axis, and a step multiplies w along it by m = 1 - rate (2 n / s) k / b; steps are independent.
The mean square of w grows where E m^2 > 1 on some axis, a typical run where E log |m| > 0 on some. The two are not the
same: between them few runs, ever fewer and ever larger, make the mean.

Rows of a batch are drawn with replacement (k binomial in b draws), without (k hypergeometric), or each row by itself
with chance b / n (k binomial in the rows of the axis), for which the boundary is the paper's, rate (s + n / b - 1) = s.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import gammaln

Sampling = Literal["replacement", "distinct", "independent"]
SAMPLINGS = ("replacement", "distinct", "independent")


def batch_law(batch: int, of_axis: int, rows: int, sampling: Sampling = "replacement") -> np.ndarray:
    """Return the chances that a batch holds k = 0, 1, ... of the rows of an axis.

    Args:
        batch: b; of_axis: rows of the axis, from 1 to ``rows``; rows: n.
        sampling: ``replacement``, ``distinct`` or ``independent``, see the module.

    Raises:
        ValueError: for numbers out of range or an unknown sampling.
    """
    if not (1 <= of_axis <= rows and batch >= 1 and (batch <= rows or sampling == "replacement")):
        raise ValueError(f"batch, of_axis, rows: got {(batch, of_axis, rows)}; allowed: of_axis and batch of the rows")
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling: got {sampling!r}; allowed: one of {', '.join(SAMPLINGS)}")
    k = np.arange((batch if sampling == "replacement" else min(batch, of_axis, rows)) + 1)
    if sampling == "distinct":
        k = k[k >= batch - (rows - of_axis)]
        chances = np.exp(choices(of_axis, k) + choices(rows - of_axis, batch - k) - choices(rows, batch))
        return np.concatenate([np.zeros(int(k[0])), chances])
    if sampling == "independent":
        return binomial(of_axis, batch / rows)
    return binomial(batch, of_axis / rows)


def binomial(tries: int, chance: float) -> np.ndarray:
    """Return the chances of 0..tries successes."""
    if chance == 1:
        return np.eye(1, tries + 1, tries)[0]
    k = np.arange(tries + 1)
    return np.exp(choices(tries, k) + k * np.log(chance) + (tries - k) * np.log1p(-chance))


def choices(n: int, k: np.ndarray | int) -> np.ndarray:
    """Return log of n over k."""
    return gammaln(n + 1) - gammaln(np.asarray(k) + 1) - gammaln(n - np.asarray(k) + 1)


def axes(coherence: int, rows: int) -> tuple[int, ...]:
    """Return how many rows the kinds of axes have: the shared one, and one of a single row where there is any."""
    return (coherence,) if coherence == rows else tuple(dict.fromkeys((coherence, 1)))


def mean_square_growth(
    rate: float, batch: int, coherence: int, rows: int = 100, sampling: Sampling = "replacement"
) -> float:
    """Return the factor of a step on E w^2, along the axis where it is largest; above 1 SGD leaves the minimum.

    Args:
        rate: learning rate; batch: b; coherence: s, from 1 to ``rows``; rows: n; sampling: see ``batch_law``.

    Raises:
        ValueError: as ``batch_law`` does.
    """
    found = (multipliers(rate, batch, coherence, of_axis, rows, sampling) for of_axis in axes(coherence, rows))
    return max(float(chances @ m**2) for chances, m in found)


def typical_growth(
    rate: float, batch: int, coherence: int, rows: int = 100, sampling: Sampling = "replacement"
) -> float:
    """Return E log |m| along the axis where it is largest; above 0 almost every run leaves the minimum.

    Args and errors as those of ``mean_square_growth``. -inf where some batch takes a run to the minimum in one step.
    """
    found = (multipliers(rate, batch, coherence, of_axis, rows, sampling) for of_axis in axes(coherence, rows))
    with np.errstate(divide="ignore"):
        return max(float(np.sum(chances[chances > 0] * np.log(np.abs(m[chances > 0])))) for chances, m in found)


def multipliers(
    rate: float, batch: int, coherence: int, of_axis: int, rows: int, sampling: Sampling
) -> tuple[np.ndarray, np.ndarray]:
    """Return the chances of k = 0, 1, ... and what a step with it multiplies by."""
    chances = batch_law(batch, of_axis, rows, sampling)
    return chances, 1 - rate * 2 * rows / coherence * np.arange(len(chances)) / batch


def boundary(batch: int, coherence: int, rows: int = 100, sampling: Sampling = "replacement") -> float:
    """Return the learning rate above which E w^2 grows.

    E m^2 = 1 - 2 c E k + c^2 E k^2 with c = 2 rate n / (s b), so that it is s b E k / (n E k^2), on the axis where that
    is least.

    Args and errors as those of ``mean_square_growth``.
    """
    rates = []
    for of_axis in axes(coherence, rows):
        chances = batch_law(batch, of_axis, rows, sampling)
        k = np.arange(len(chances))
        rates.append(coherence * batch / rows * (chances @ k) / (chances @ k**2))
    return float(min(rates))
