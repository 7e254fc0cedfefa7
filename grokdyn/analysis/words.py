"""Values of axes as words."""

from typing import Any

import numpy as np


def written(value: Any) -> str:
    """Return a value of an axis as it is written: six digits where they are the number, else all that it has."""
    if isinstance(value, float | np.floating):
        short = f"{value:g}"
        return short if type(value)(short) == value or value != value else str(value)
    return str(value)
