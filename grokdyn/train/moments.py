"""What an optimizer remembers, given from outside: names, checks, and its place in the optimizer's state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.output import Params
from grokdyn.spec.arrays import floats, plain_array
from grokdyn.spec.errors import SpecError, Words, nearest

STEP = "step"
# A field of an optimizer's state -> the names under which it can be given; a root also by its square.
NAMES = {
    "mu": ("exp_avg", "mu"),
    "root": ("exp_avg_sq", "nu", "root"),
    "nu": ("exp_avg_sq", "nu"),
    "trace": ("momentum_buffer", "exp_avg", "trace"),
    "mean": ("ema", "mean"),
}
SQUARES = ("exp_avg_sq", "nu")
# States that depend on more than moments of the gradient and the number of updates.
CLOSED = ("SwitchState", "WindowState")
MOST_STEPS = 2**31 - 1


def fields_of(state: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yield ``(state, field, value)`` of every named field of the states within an optimizer's."""
    if hasattr(state, "_fields"):
        for name in state._fields:
            value = getattr(state, name)
            yield state, name, value
            yield from fields_of(value)
    elif isinstance(state, tuple):
        for part in state:
            yield from fields_of(part)


def wanted(state: Any) -> dict[str, dict[str, Any]]:
    """Return the moments of an optimizer's state: field -> tensor -> shape.

    Raises:
        SpecError: for an optimizer whose memory is more than moments.
    """
    found: dict[str, dict[str, Any]] = {}
    for owner, field, value in fields_of(state):
        kind = type(owner).__name__
        if kind in CLOSED:
            allowed = (
                "nothing, for an optimizer that switches or keeps a window: what it remembers is more than moments"
            )
            raise SpecError("start.optimizer", Words("moments"), allowed)
        if field in NAMES and isinstance(value, Mapping):
            found.setdefault(field, {}).update(value)
    return found


def checked_moments(given: Any, state: Any) -> dict[str, Any]:
    """Return given moments as fields of an optimizer's state, ``step`` among them.

    Args:
        given: name -> tensor -> array, and ``step``.
        state: the optimizer's state at step 0, arrays or shapes.

    Raises:
        SpecError: naming the moment and tensor that is missing, unknown or does not fit.
    """
    path = "start.optimizer"
    if not isinstance(given, Mapping):
        raise SpecError(path, given, "a mapping: moment -> tensor -> array, and step (interop.optimizer_from_torch)")
    fields, moments, taken = wanted(state), {}, {STEP}
    known = [*(NAMES[field][0] for field in fields), STEP]
    for field, shapes in fields.items():
        name = next((name for name in NAMES[field] if name in given and name not in taken), None)
        if name is None:
            allowed = "all that this optimizer remembers: " + ", ".join(known)
            raise SpecError(f"{path}.{NAMES[field][0]}", Words("nothing"), allowed)
        taken.add(name)
        moments[field] = of_tensors(given[name], shapes, f"{path}.{name}", root=field == "root" and name in SQUARES)
    for name in given:
        if name not in taken:
            raise SpecError(
                f"{path}.{name}", Words("a moment that it has not"), ", ".join(known), nearest(str(name), known)
            )
    if STEP not in given and "mu" in fields:
        raise SpecError(f"{path}.{STEP}", Words("nothing"), "the number of updates so far: moments are corrected by it")
    return {**moments, STEP: number(given.get(STEP, 0), f"{path}.{STEP}")}


def number(value: Any, path: str) -> np.int32:
    """Return a number of updates; of a table with one for every tensor, the one that they share."""
    allowed = f"a whole number from 0 to {MOST_STEPS}, the same for all tensors"
    values = list(value.values()) if isinstance(value, Mapping) else [value]
    found = [plain_array(one, path, allowed) for one in values] or [np.zeros(0)]
    for one in found:
        fine = one.size == 1 and one.dtype.kind in "iuf" and one.item() == found[0].item()
        if not fine or not 0 <= one.item() <= MOST_STEPS or one.item() != int(one.item()):
            raise SpecError(path, Words(" or ".join(dict.fromkeys(map(str, found))) or "none"), allowed)
    return np.int32(found[0].item())


def of_tensors(given: Any, shapes: Mapping[str, Any], path: str, root: bool) -> dict[str, np.ndarray]:
    """Return a moment of every tensor; of a second moment its ``root``."""
    if not isinstance(given, Mapping):
        raise SpecError(path, given, "a mapping: tensor -> array, of tensors " + ", ".join(shapes))
    if set(given) != set(shapes):
        raise SpecError(path, Words(", ".join(map(str, given)) or "none"), "tensors " + ", ".join(shapes))
    found = {}
    for name, like in shapes.items():
        value = floats(given[name], f"{path}.{name}", whole=True)
        if value.shape != like.shape:
            raise SpecError(f"{path}.{name}", Words(f"shape {value.shape}"), f"shape {like.shape}")
        if root and np.any(value < 0):
            raise SpecError(f"{path}.{name}", Words("negative numbers"), "a mean of squares")
        found[name] = np.sqrt(value.astype(np.float64)) if root else value
    return found


def remembered(moments: Mapping[str, Any], state: Any) -> Any:
    """Return an optimizer's state with given moments and number of updates in place of those of step 0."""
    if hasattr(state, "_fields"):
        fields = {name: replaced(moments, name, getattr(state, name)) for name in state._fields}
        return type(state)(**fields)
    if isinstance(state, tuple):
        return tuple(remembered(moments, part) for part in state)
    return state


def replaced(moments: Mapping[str, Any], field: str, value: Any) -> Any:
    if field in NAMES and isinstance(value, Mapping):
        return {name: jnp.asarray(moments[field][name], like.dtype) for name, like in value.items()}
    if field == "count":
        return jnp.asarray(moments[STEP], value.dtype)
    return remembered(moments, value)


def state_of(optimizer: Any, params: Params) -> Any:
    """Return the shapes of an optimizer's state at step 0."""
    with jax.enable_x64(True):
        return jax.eval_shape(optimizer.init, params)
