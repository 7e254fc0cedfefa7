"""Functions on {-1, +1}^d: Fourier-Walsh coefficients, influences, and the minimum-degree interpolator.

f(x) = sum_T f^(T) chi_T(x), chi_T(x) = prod_{i in T} x_i, f^(T) = E_x[f(x) chi_T(x)] for x uniform on the cube.

Abbe et al. 2023 (generalization on the unseen, arXiv 2301.13105): of all functions that agree with the target on the
seen points, the minimum-degree interpolator has the least degree profile (W_d, ..., W_0), compared from the highest
degree down; W_k = sum_{|T| = k} f^(T)^2. Abbe et al. 2022 (learning to reason, arXiv 2205.13647): train with x_k = 1,
and the error on the whole cube is given by the influence of k, Inf_k = sum_{T contains k} f^(T)^2.

Everything is a table: row r of the cube has x_i = -1 where bit i of r is set, x_0 the lowest, so that row 0 is all +1;
entry T of the coefficients belongs to the set of the bits of T. Tables may have axes in front of the last one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from grokdyn.tasks.signs import UNSEEN as UNSEEN
from grokdyn.tasks.signs import alternating as alternating
from grokdyn.tasks.signs import cube as cube
from grokdyn.tasks.signs import cyclic3 as cyclic3
from grokdyn.tasks.signs import frozen as frozen
from grokdyn.tasks.signs import light as light
from grokdyn.tasks.signs import majority as majority
from grokdyn.tasks.signs import parity as parity
from grokdyn.tasks.signs import pointer_value as pointer_value
from grokdyn.tasks.signs import staircase as staircase
from grokdyn.tasks.signs import threesym as threesym
from grokdyn.tasks.signs import two_parity as two_parity
from grokdyn.tasks.signs import weighted_pairs as weighted_pairs

# Seen points that are not monotone may depend on this many coordinates: matrices of 2^12 rows take minutes.
DEPENDENT = 12
# Singular values of matrices with norm at most 1 below this are zeros.
ZERO = 1e-9


def dimension(table: Any) -> int:
    """Return d of a table [..., 2^d].

    Raises:
        ValueError: if the last axis is no power of 2.
    """
    rows = table.shape[-1] if table.ndim else 0
    if rows < 1 or rows & (rows - 1):
        raise ValueError(f"table: got shape {tuple(table.shape)!r}; allowed: 2^d entries along the last axis")
    return rows.bit_length() - 1


def coefficients(values: Any) -> Any:
    """Return f^(T) [..., 2^d] of values [..., 2^d] of NumPy or JAX, by the fast Walsh-Hadamard transform.

    d additions of the whole table. Integers become float64 (JAX: its default float), exact up to 2^(53 - d).
    """
    sums = _butterflies(values)
    return sums / sums.shape[-1]


def values(coefficients: Any) -> Any:
    """Return the table of values of a function [..., 2^d] from its coefficients; the inverse of ``coefficients``."""
    return _butterflies(coefficients)


def degrees(d: int) -> np.ndarray:
    """Return |T| for each of the 2^d sets."""
    return np.bitwise_count(np.arange(2**d)).astype(int)


def degree_profile(coefficients: np.ndarray) -> np.ndarray:
    """Return W_k for k = 0..d, [..., d + 1]; they sum to E f^2."""
    d = dimension(coefficients)
    return np.square(coefficients) @ (degrees(d)[:, None] == np.arange(d + 1))


def stability(coefficients: np.ndarray, rho: float) -> np.ndarray:
    """Return Stab_rho = sum_T rho^|T| f^(T)^2 = E f(x) f(y), where y_i is x_i with probability (1 + rho) / 2."""
    return degree_profile(coefficients) @ float(rho) ** np.arange(dimension(coefficients) + 1)


def influences(coefficients: np.ndarray) -> np.ndarray:
    """Return Inf_k = E (f(x) - f(x with x_k = 1))^2 / 2 = sum_{T contains k} f^(T)^2, [..., d].

    Trained with x_k = 1, the interpolator that does not depend on x_k has mean squared error 2 Inf_k on the cube and
    4 Inf_k on the held-out half; where f is +-1, it is wrong on Inf_k / 2 of the cube, Inf_k of the held-out half.
    """
    d = dimension(coefficients)
    return np.square(coefficients) @ ((np.arange(2**d)[:, None] >> np.arange(d)) & 1)


def minimum_degree(table: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the values [..., 2^d] of the minimum-degree interpolator of the seen entries of a table [..., 2^d].

    It is a linear map of the seen values and unique. Where the seen points are monotone (turning an x_i to its better
    side keeps a seen point seen: frozen coordinates, "at least one of these is 1", at most r coordinates of -1), it is
    the polynomial in the bits b_i = (1 - x_i) / 2 whose monomials are the seen points: adding any other monomial of
    degree k adds to W_k and leaves all above it. Elsewhere, with S the coordinates on which `seen` depends, it acts
    on x_S alone, since the terms of each subset of the other coordinates have profiles of their own, which add up.

    Args:
        seen: bool [2^d].

    Raises:
        ValueError: if no point is seen, shapes differ, or `seen` is not monotone and depends on over 12 coordinates.
    """
    table, seen, d = np.asarray(table, np.float64), np.asarray(seen, bool), dimension(np.asarray(table))
    if seen.shape != table.shape[-1:] or not seen.any():
        raise ValueError(f"seen: got {seen.sum()} true of shape {seen.shape!r}; allowed: at least one of {2**d}")
    worse = _worse_sides(seen)
    if worse is not None:
        return np.where(seen, table, _monomials(table, seen, worse))
    on = dependent(seen)
    if len(on) > DEPENDENT:
        raise ValueError(f"seen: depends on {len(on)} coordinates; allowed: at most {DEPENDENT} unless monotone")
    # Axes of the table taken apart run from the highest coordinate to x_0.
    taken = table.reshape(-1, *(2,) * d)
    axes = [d - i for i in reversed(on)]
    front = np.moveaxis(taken, axes, range(len(on)))
    columns = front.reshape(2 ** len(on), -1)
    kept = np.moveaxis(seen.reshape((2,) * d), [axis - 1 for axis in axes], range(len(on)))
    kept = kept.reshape(2 ** len(on), -1)[:, 0]
    found = _interpolation(kept) @ columns[kept]
    found = np.moveaxis(found.reshape(front.shape), range(len(on)), axes).reshape(table.shape)
    return np.where(seen, table, found)


def dependent(table: np.ndarray) -> list[int]:
    """Return the coordinates on which a table [2^d] depends, in rising order."""
    pairs = [table.reshape(-1, 2, 2**i) for i in range(dimension(table))]
    return [i for i, pair in enumerate(pairs) if np.any(pair[:, 0] != pair[:, 1])]


class HeldOut(NamedTuple):
    """Mean squared errors of the minimum-degree interpolator over the unseen points and over the whole cube."""

    unseen: np.ndarray
    cube: np.ndarray


def held_out(table: np.ndarray, seen: np.ndarray) -> HeldOut:
    """Return the errors of ``minimum_degree``; for seen x_k = 1 they are 4 Inf_k and 2 Inf_k; nan where all is seen."""
    square = np.square(minimum_degree(table, seen) - table)
    unseen = ~np.asarray(seen, bool)
    missed = square[..., unseen].sum(-1) / unseen.sum() if unseen.any() else np.nan * square[..., 0]
    return HeldOut(missed, square.mean(-1))


def _butterflies(table: Any) -> Any:
    table = table if hasattr(table, "__array_namespace__") else np.asarray(table)
    # Sums of small integers would wrap around.
    table = table.astype(float) if table.dtype.kind in "biu" else table
    d = dimension(table)
    xp, shape = table.__array_namespace__(), table.shape
    for i in range(d):
        pairs = table.reshape(*shape[:-1], -1, 2, 2**i)
        one, other = pairs[..., 0, :], pairs[..., 1, :]
        table = xp.stack([one + other, one - other], axis=-2)
    return table.reshape(shape)


def _worse_sides(seen: np.ndarray) -> int | None:
    """Return the row whose coordinates are all on their worse side for being seen; none if one has no worse side."""
    worse = 0
    for i in range(dimension(seen)):
        plus, minus = np.moveaxis(seen.reshape(-1, 2, 2**i), 1, 0)
        if np.all(plus >= minus):
            worse |= 2**i
        elif not np.all(minus >= plus):
            return None
    return worse


def _monomials(table: np.ndarray, seen: np.ndarray, worse: int) -> np.ndarray:
    """Interpolate seen points that are monotone by their own monomials: differences over subsets, then sums."""
    rows = np.arange(seen.size) ^ (seen.size - 1 - worse)
    out, kept = np.ascontiguousarray(np.where(seen, table, 0.0)[..., rows]), seen[rows]
    for sign in (-1, 1):
        for i in range(dimension(seen)):
            pairs = out.reshape(*out.shape[:-1], -1, 2, 2**i)
            pairs[..., 1, :] += sign * pairs[..., 0, :]
        out *= np.where(kept, 1.0, float(sign > 0))
    return out[..., rows]


def _interpolation(seen: np.ndarray) -> np.ndarray:
    """Return the map from seen values to the whole table, [2^s, seen points].

    Degree by degree from the highest: among the tables that are left, those whose coefficients of this degree are
    least, which fixes these coefficients and leaves the null space of what moves them.
    """
    identity = np.eye(seen.size)
    fixed = coefficients(identity[seen]).T
    # Orthonormal columns: a function that is 1 at one unseen point has coefficients of norm 2^(-s/2).
    free = coefficients(identity[~seen]).T * np.sqrt(seen.size)
    degree = degrees(dimension(seen))
    for k in range(dimension(seen), -1, -1):
        if not free.shape[1]:
            break
        U, sizes, Vt = np.linalg.svd(free[degree == k])
        rank = int(np.sum(sizes > ZERO))
        least = (U[:, :rank] / sizes[:rank]).T @ fixed[degree == k]
        fixed = fixed - free @ (Vt[:rank].T @ least)
        free = free @ Vt[rank:].T
    return values(fixed.T).T
