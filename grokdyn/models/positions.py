"""Fixed codes of positions."""

from __future__ import annotations

import numpy as np


def sinusoidal(tokens: int, d: int) -> np.ndarray:
    """Return sin(i / 10000^(2j/d)) in column 2j and the cosine of the same in column 2j + 1 (Vaswani et al. 2017).

    float64 [tokens, d], i the position.
    """
    column = np.arange(d)
    angle = np.arange(tokens)[:, None] / 10_000 ** (2 * (column // 2) / d)
    return np.where(column % 2 == 0, np.sin(angle), np.cos(angle))
