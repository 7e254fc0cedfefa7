"""To and from other frameworks' arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def from_torch(model: Any, state_dict: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a PyTorch state_dict (tensors or arrays) as the parameters of a grokdyn model.

    Args:
        model: a grokdyn model, e.g. ``experiment.model``.
        state_dict: arrays under PyTorch-style names, matrices as (out, in).
        prefix: keep only names that begin with it, e.g. ``"init."``.

    Raises:
        SpecError: if the arrays are not those of the model.
    """
    kept = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
    return model.from_torch({name: array(value) for name, value in kept.items()})


def array(value: Any) -> Any:
    """Return a tensor as a numpy array; bfloat16, which numpy does not have, as float32."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
