"""Arrays from outside, of whatever library: brought to numpy, or refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np

from grokdyn.spec.errors import SpecError, Words

FLOATS = "an array of real floating-point numbers"


def floats(value: Any, path: str, whole: bool = False) -> np.ndarray:
    """Return an array, a tensor or a nested list as floats; types that numpy lacks, such as bfloat16, as float32.

    Args:
        whole: take whole numbers too.

    Raises:
        SpecError: for numbers that are complex or none, and for what is no array, naming it.
    """
    found = plain_array(value, path, FLOATS)
    if found.dtype.name.startswith(("bfloat", "float8_", "float6_", "float4_")):  # of ml_dtypes, as JAX has them
        found = found.astype(np.float32)
    if found.dtype.kind not in ("fiu" if whole else "f"):
        raise SpecError(path, Words(f"an array of {told(found.dtype)}"), FLOATS)
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def plain_array(value: Any, path: str, allowed: str) -> np.ndarray:
    """Return what any library calls an array as numpy's."""
    try:
        if hasattr(value, "detach"):
            value = of_tensor(value)
        return np.asarray(value)
    except Exception as error:  # whatever the other library says of sparse, lazy or quantised ones
        raise SpecError(path, Words(f"a {type(value).__name__} ({error})"), allowed) from None


def of_tensor(tensor: Any) -> Any:
    """Return a PyTorch tensor, on whatever device and with or without a gradient, as a numpy array."""
    tensor = tensor.detach().cpu()
    if str(tensor.dtype).startswith(("torch.bfloat", "torch.float8", "torch.float4")):
        return tensor.float().numpy()
    return tensor.numpy()


def told(dtype: np.dtype) -> str:
    return {"O": "objects", "U": "text", "S": "text", "b": "truth values"}.get(dtype.kind, dtype.name)
