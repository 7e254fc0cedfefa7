"""Named functions of signs, and which points of the cube are seen, as in the papers of Abbe et al. (2022, 2023)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def cube(d: int) -> np.ndarray:
    """Return all points of {-1, +1}^d, int64 [2^d, d]."""
    return 1 - 2 * ((np.arange(2**d)[:, None] >> np.arange(d)) & 1)


# Functions of points x [..., d].


def threesym(x: np.ndarray) -> np.ndarray:
    """x_0 x_1 - 1.25 x_1 x_2 + 1.5 x_2 x_0; seen where x_0 x_1 x_2 = 1."""
    return x[..., 0] * x[..., 1] - 1.25 * x[..., 1] * x[..., 2] + 1.5 * x[..., 2] * x[..., 0]


def two_parity(x: np.ndarray) -> np.ndarray:
    """x_0 x_1; seen unless both are -1."""
    return x[..., 0] * x[..., 1]


def cyclic3(x: np.ndarray) -> np.ndarray:
    """sum_i x_i x_{i+1} x_{i+2}, indices mod d; seen unless x_0, x_1 and x_2 are -1."""
    return np.sum(x * np.roll(x, -1, -1) * np.roll(x, -2, -1), axis=-1)


def parity(x: np.ndarray) -> np.ndarray:
    """prod_i x_i."""
    return np.prod(x, axis=-1)


def majority(x: np.ndarray) -> np.ndarray:
    """The sign of sum_i x_i; +1 at a tie."""
    return np.where(np.sum(x, axis=-1) >= 0, 1, -1)


def staircase(x: np.ndarray) -> np.ndarray:
    """x_0 + x_0 x_1 + ... + x_0 ... x_{d-1}."""
    return np.sum(np.cumprod(x, axis=-1), axis=-1)


def weighted_pairs(x: np.ndarray) -> np.ndarray:
    """sum_{i=1}^{d-1} i x_{i-1} x_i."""
    return np.sum(np.arange(1, x.shape[-1]) * x[..., :-1] * x[..., 1:], axis=-1)


def alternating(x: np.ndarray) -> np.ndarray:
    """The linear function 1 + 2 x_0 - 3 x_1 + 4 x_2 - ... +- (d + 1) x_{d-1}."""
    i = np.arange(x.shape[-1])
    return 1 + x @ ((i + 2) * (-1) ** i)


def pointer_value(
    x: np.ndarray,
    pointer: int = 3,
    window: int = 3,
    aggregate: Callable[[np.ndarray], np.ndarray] = parity,
    cyclic: bool = False,
) -> np.ndarray:
    """Pointer value retrieval: the aggregate of the window that starts at the value to which the first bits point.

    The pointer is read with the highest bit first, -1 as 0. Values beyond the last are left out, or, if cyclic, taken
    from the beginning.

    Raises:
        ValueError: unless 2^pointer values follow the pointer.
    """
    held = x[..., pointer:]
    if held.shape[-1] != 2**pointer:
        raise ValueError(f"pointer: got {pointer} for {x.shape[-1]} coordinates; allowed: pointer + 2^pointer of them")
    start = ((x[..., :pointer] + 1) // 2) @ (2 ** np.arange(pointer)[::-1])
    out = np.empty(x.shape[:-1])
    for s in range(2**pointer):
        places = np.arange(s, s + window)
        places = places % 2**pointer if cyclic else places[places < 2**pointer]
        out = np.where(start == s, aggregate(held[..., places]), out)
    return out


def frozen(x: np.ndarray, k: int, value: int = 1) -> np.ndarray:
    """Return which points have x_k = value: the canonical holdout keeps the others back."""
    return x[..., k] == value


def light(x: np.ndarray, weight: int) -> np.ndarray:
    """Return which points have at most `weight` coordinates of -1: those seen in length generalisation."""
    return np.sum(x < 0, axis=-1) <= weight


# name -> function and seen points, as in the code of Abbe et al. 2023.
UNSEEN: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "threesym": (threesym, lambda x: np.prod(x[..., :3], axis=-1) == 1),
    "2parity": (two_parity, lambda x: np.any(x[..., :2] == 1, axis=-1)),
    "cyclic3": (cyclic3, lambda x: np.any(x[..., :3] == 1, axis=-1)),
}
