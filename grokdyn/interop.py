"""To and from other frameworks' arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grokdyn.spec.arrays import floats
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.paths import path_of

__all__ = ["from_torch", "optimizer_from_torch", "to_torch"]

# What wrappers put in front of all names.
WRAPPERS = ("module.", "_orig_mod.")
# Beside the parameters: a causal mask, what TransformerLens writes where it masks, how many batches a norm has seen.
CONSTANTS = (".attn.mask", ".attn.IGNORE", ".num_batches_tracked")
MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer", "step")
SOURCES = "a state_dict, a torch.nn.Module, or a file .pt, .pth or .npz"


def from_torch(model: Any, state_dict: Any, prefix: str = "") -> dict[str, Any]:
    """Return PyTorch parameters as the parameters of a grokdyn model, for ``gd.Start(params=...)``.

    An ``MLP`` takes linear layers in the order of the state_dict, those of a ``Sequential`` or ``ModuleList`` by their
    numbers: it must be the order in which the network uses them, which shapes alone cannot tell where layers are of one
    size. With a norm it takes those too, ``nn.BatchNorm1d``, ``nn.LayerNorm`` or ``nn.RMSNorm``; running statistics
    are among what is returned where they are given. A ``CNN`` takes kernels of ``nn.Conv2d``, then linear layers. An
    ``Encoder`` takes an embedding, one ``nn.TransformerEncoderLayer`` and a linear readout; a ``Transformer``
    the names of the code of Nanda et al. (2023) or those of TransformerLens.

    Args:
        model: a grokdyn model, e.g. ``experiment.model``.
        state_dict: arrays of any library under PyTorch-style names, matrices as (out, in); or a ``torch.nn.Module``;
            or the path of a state_dict that ``torch.save`` wrote, or of an ``.npz``; no code in it is run.
        prefix: keep only names that begin with it, e.g. ``"init."``.

    Raises:
        SpecError: if the arrays are not those of the model, naming the first that is not.
    """
    named = named_arrays(state_dict)
    kept = {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
    if named and not kept:
        raise SpecError("prefix", prefix, "what names begin with: " + ", ".join(list(named)[:4]))
    for wrapper in WRAPPERS:
        if kept and all(name.startswith(wrapper) for name in kept):
            kept = {name.removeprefix(wrapper): value for name, value in kept.items()}
    kept = {name: value for name, value in kept.items() if not name.endswith(CONSTANTS)}
    return model.from_torch({name: array(value, f"state_dict.{name}") for name, value in kept.items()})


def to_torch(model: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a grokdyn model's parameters by the names and shapes of PyTorch: the inverse of ``from_torch``.

    An ``MLP`` has those of an ``nn.Sequential`` of linear layers with an activation after each, an ``Encoder`` those of
    an ``nn.TransformerEncoderLayer`` between an embedding and a linear readout, a ``Transformer`` those of the code of
    Nanda et al. (2023), or of TransformerLens where it has norms or biases that that code has not. They are the
    parameters alone: what a model multiplies with (``output_scale``, the factors of ``init = "ntk"`` and ``"mup"``) is
    not in them.

    Args:
        model: a grokdyn model, e.g. ``experiment.model``.
        params: its arrays by name, such as ``gd.params`` returns.

    Returns:
        arrays of numpy by name, matrices as (out, in), with the dtype that they had.

    Raises:
        SpecError: for a model without a PyTorch counterpart, or arrays that are not the model's.
    """
    arrays = {name: np.asarray(value) for name, value in params.items()}
    try:
        found = model.to_torch(arrays)
    except (KeyError, ValueError) as error:
        if isinstance(error, SpecError):
            raise
        raise SpecError("params", Words(", ".join(arrays)), "the parameters of the model", str(error)) from None
    return {name: np.ascontiguousarray(value) for name, value in found.items()}


def named_arrays(source: Any) -> Mapping[str, Any]:
    """Return the arrays of a state_dict, a module or a file by name."""
    if isinstance(source, str | os.PathLike):
        source = read(path_of(source, "state_dict"))
    elif not isinstance(source, Mapping) and callable(getattr(source, "state_dict", None)):
        source = source.state_dict()
    if not isinstance(source, Mapping):
        raise SpecError("state_dict", source, SOURCES)
    for name in source:
        if not isinstance(name, str):
            raise SpecError("state_dict", Words(f"an entry of the name {name!r}"), "names of text")
    return source


def read(path: Path) -> Any:
    """Return what a file of arrays holds; no code in it is run."""
    if not path.is_file():
        raise SpecError("state_dict", str(path), "a file that is there")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        if path.suffix in (".pt", ".pth", ".bin", ".ckpt"):
            import torch  # pyright: ignore[reportMissingImports]

            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of either library: not installed, damaged, or more in it than arrays
        hint = f"{type(error).__name__}: {error}"
        raise SpecError("state_dict", str(path), "a file of nothing but arrays", hint) from None
    raise SpecError("state_dict", str(path), SOURCES)


def array(value: Any, path: str) -> np.ndarray:
    """Return an entry of a state_dict as numpy."""
    if isinstance(value, Mapping):
        key = path.rpartition(".")[2]
        raise SpecError(path, Words("a table of further entries"), "an array", f"pass what stands under {key!r} alone")
    return floats(value, path)


def optimizer_from_torch(model: Any, optimizer: Any, named: Any, prefix: str = "") -> dict[str, Any]:
    """Return what a PyTorch optimizer remembers, for ``gd.Start(params=..., optimizer=...)``.

    ``exp_avg``, ``exp_avg_sq`` and ``step`` of Adam or ``momentum_buffer`` of SGD, by the tensors of a grokdyn model.
    The learning rate, weight decay and a scheduler's step are not among them: give those to the grokdyn optimizer.

    Args:
        model: a grokdyn model, e.g. ``experiment.model``.
        optimizer: a ``torch.optim.Optimizer`` or its state_dict.
        named: the ``torch.nn.Module`` whose parameters it moves, or their state_dict, in the order in which the
            optimizer was given them.
        prefix: as in ``from_torch``.

    Raises:
        SpecError: for an optimizer that has made no step, or remembers more than these, naming it.
    """
    if not isinstance(named, Mapping) and callable(getattr(named, "named_parameters", None)):
        named = dict(named.named_parameters())
    found: dict[str, Any] = {}
    for name, kept in by_name(optimizer, list(named_arrays(named))).items():
        for moment, value in kept.items():
            where = f"optimizer.{name}.{moment}"
            if moment not in MOMENTS:
                raise SpecError(where, Words("what no optimizer here remembers"), ", ".join(MOMENTS))
            shape, wanted = tuple(np.shape(value)), tuple(np.shape(named[name]))
            if moment != "step" and shape != wanted:
                allowed = f"shape {wanted}: parameters in the order in which the optimizer has them"
                raise SpecError(where, Words(f"shape {shape}"), allowed)
            found.setdefault(moment, {})[name] = value
    return {moment: v if moment == "step" else from_torch(model, v, prefix) for moment, v in found.items()}


def by_name(optimizer: Any, names: list[str]) -> dict[str, dict[str, Any]]:
    """Return what a PyTorch optimizer remembers of each of its parameters, which have these names in their order."""
    state = optimizer if isinstance(optimizer, Mapping) else getattr(optimizer, "state_dict", dict)()
    if not isinstance(state.get("state"), Mapping) or "param_groups" not in state:
        raise SpecError("optimizer", optimizer, "a torch.optim.Optimizer or its state_dict")
    order = [number for group in state["param_groups"] for number in group["params"]]
    if len(order) != len(names):
        raise SpecError("optimizer", Words(f"{len(order)} parameters"), f"those of the module: {len(names)}")
    found = {}
    for name, number in zip(names, order, strict=True):
        found[name] = {what: value for what, value in state["state"].get(number, {}).items() if value is not None}
        if not found[name]:
            raise SpecError(f"optimizer.{name}", Words("nothing remembered"), "an optimizer with moments, after a step")
    return found
