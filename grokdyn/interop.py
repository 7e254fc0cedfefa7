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
    arrays = {name: value.detach().cpu().numpy() if hasattr(value, "detach") else value for name, value in kept.items()}
    return model.from_torch(arrays)
