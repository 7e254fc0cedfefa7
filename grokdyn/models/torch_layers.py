"""Linear layers of PyTorch as those of a network whose sizes are known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from grokdyn.spec.errors import SpecError, Words

# A place whose length is not known here: the task's.
ANY = -1


def linear_layers(model: str, arrays: Mapping[str, Any], hidden: Sequence[int], biased: bool) -> dict[str, np.ndarray]:
    """Return ``W_0, b_0, W_1, ...`` from linear layers ``NAME.weight`` (out, in) and ``NAME.bias``, in their order.

    Args:
        model: what the layers are for, in messages.
        hidden: sizes of the hidden layers, which shapes must chain through.
    """
    depth = len(hidden)
    names = {what: [n for n in arrays if n.rpartition(".")[2] == what] for what in ("weight", "bias")}
    for what, found in names.items():
        expected = depth + 1 if what == "weight" or biased else 0
        if len(found) != expected:
            raise SpecError("state_dict", Words(f"{len(found)} arrays named *.{what}"), f"{expected} for {model}")
    for name in arrays:
        if name not in (*names["weight"], *names["bias"]):
            allowed = "weight and bias of linear layers alone; prefix leaves out others"
            raise SpecError(f"state_dict.{name}", Words("an array that is neither"), allowed)
    sizes, params = (ANY, *hidden, ANY), {}
    for layer, name in enumerate(in_order(names["weight"])):
        fan_in, fan_out = sizes[layer : layer + 2]
        w = fitting(arrays, name, (fan_out, fan_in), f"layer {layer} of {model}")
        params[f"W_{layer}"] = w.T
        if biased:
            params[f"b_{layer}"] = fitting(arrays, name.removesuffix("weight") + "bias", w.shape[:1], f"layer {layer}")
    return params


def norm_layers(
    model: str, arrays: Mapping[str, Any], norm: str, widths: Sequence[int]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the arrays that belong to no norm, and ``scale_l, shift_l`` and running statistics of the norms.

    A norm is a module whose ``weight`` is a vector. Running statistics may be left out, all of them.

    Args:
        norm: which the model has after every hidden layer of these widths, or none.
    """
    if norm == "none":
        return dict(arrays), {}
    vectors = [n for n, w in arrays.items() if n.rpartition(".")[2] == "weight" and np.ndim(w) == 1]
    if len(vectors) != len(widths):
        came = Words(f"{len(vectors)} norms (vectors named *.weight)")
        raise SpecError("state_dict", came, f"{len(widths)} for {model}, with weights")
    kinds = {"weight": "scale"} if norm == "rms" else {"weight": "scale", "bias": "shift"}
    if norm == "batch" and any(name.endswith("running_mean") for name in arrays):
        kinds |= {"running_mean": "mean", "running_var": "variance"}
    taken, params = set(), {}
    for layer, (name, width) in enumerate(zip(in_order(vectors), widths, strict=True)):
        for theirs, ours in kinds.items():
            entry = name.removesuffix("weight") + theirs
            params[f"{ours}_{layer}"] = fitting(arrays, entry, (width,), f"{ours} of norm {layer} of {model}")
            taken.add(entry)
    return {name: value for name, value in arrays.items() if name not in taken}, params


def convolutional_layers(model: Any, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return a ``CNN``'s parameters: kernels (out, in, height, width), then linear layers, norms anywhere.

    The first linear layer reads PyTorch's channels one after the other, ours place after place.
    """
    told = f"a cnn with channels = {list(model.channels)}, hidden = {list(model.hidden)}"
    arrays, params = norm_layers(told, arrays, model.norm, (*model.channels, *model.hidden))
    kernels = [n for n, w in arrays.items() if n.rpartition(".")[2] == "weight" and np.ndim(w) == 4]
    count = len(model.channels)
    if len(kernels) != count:
        raise SpecError("state_dict", Words(f"{len(kernels)} kernels of 4 axes"), f"{count} for {told}")
    rest, size, before = dict(arrays), model.kernel, ANY
    for layer, (name, channels) in enumerate(zip(in_order(kernels), model.channels, strict=True)):
        w = fitting(rest, name, (channels, before, size, size), f"kernel {layer} of {told}")
        params[f"W_{layer}"], before = w.transpose(2, 3, 1, 0), channels
        if model.bias:
            own = name.removesuffix("weight") + "bias"
            params[f"b_{layer}"] = fitting(rest, own, (channels,), f"kernel {layer}")
            del rest[own]
        del rest[name]
    linear = linear_layers(told, rest, model.hidden, model.bias)
    first = linear["W_0"]
    if model.readout == "flat":
        if len(first) % before:
            raise SpecError("state_dict", Words(f"a linear layer of {len(first)} inputs"), f"a multiple of {before}")
        linear["W_0"] = first.reshape(before, -1, first.shape[1]).swapaxes(0, 1).reshape(first.shape)
    shifted = {f"{name[0]}_{int(name[2:]) + count}": value for name, value in linear.items()}
    return params | shifted


def sequential(params: Mapping[str, Any], layers: int, norm: str, norm_at: str) -> dict[str, np.ndarray]:
    """Return ``W_0, b_0, W_1, ...`` by the names of an ``nn.Sequential``: linear, activation, and norm on its side."""
    stride = 2 if norm == "none" else 3
    found = {}
    for layer in range(layers):
        found |= of_linear(params, layer, str(stride * layer))
        found |= of_norm(params, layer, str(stride * layer + (1 if norm_at == "before" else 2)))
    return found


def convolutional(model: Any, params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return a ``CNN``'s parameters as ``kernels.l``, ``norms.l`` and ``linear.l``, what follows the kernels."""
    count, found = len(model.channels), {}
    for layer in range(count + len(model.hidden) + 1):
        if layer < count:
            found[f"kernels.{layer}.weight"] = np.asarray(params[f"W_{layer}"]).transpose(3, 2, 0, 1)
            if f"b_{layer}" in params:
                found[f"kernels.{layer}.bias"] = np.asarray(params[f"b_{layer}"])
        else:
            found |= of_linear(params, layer, f"linear.{layer - count}")
        found |= of_norm(params, layer, f"norms.{layer}")
    if model.readout == "flat":
        first = found["linear.0.weight"]
        places = first.reshape(len(first), -1, model.channels[-1])
        found["linear.0.weight"] = places.swapaxes(1, 2).reshape(first.shape)
    return found


def of_linear(params: Mapping[str, Any], layer: int, name: str) -> dict[str, np.ndarray]:
    found = {f"{name}.weight": np.asarray(params[f"W_{layer}"]).T}
    return found | ({f"{name}.bias": np.asarray(params[f"b_{layer}"])} if f"b_{layer}" in params else {})


def of_norm(params: Mapping[str, Any], layer: int, name: str) -> dict[str, np.ndarray]:
    """Return what a norm after a layer has, running statistics as far as they are there."""
    theirs = {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"}
    return {f"{name}.{t}": np.asarray(params[f"{o}_{layer}"]) for o, t in theirs.items() if f"{o}_{layer}" in params}


def in_order(names: Sequence[str]) -> list[str]:
    """Return names in their order; those that differ in a number between dots, as in ``layers.10``, by the number.

    A list of layers is used by number, in whatever order a file has them. Numbers within words, as in ``fc2``, are
    names that somebody gave: where they do not rise, nobody can say which order is meant.
    """
    order = list(names)
    for group in alike(order, r"(?<![^.])\d+(?![^.])").values():
        places = sorted(order.index(name) for name in group)
        for place, name in zip(places, sorted(group, key=numbers), strict=True):
            order[place] = name
    for group in alike(order, r"\d+").values():
        for one, next_one in pairwise(group):
            if numbers(next_one) < numbers(one):
                allowed = "layers in the order in which they are used; sort the entries, or give them other names"
                raise SpecError(f"state_dict.{next_one}", Words(f"an entry after {one}"), allowed)
    return order


def alike(names: Sequence[str], number: str) -> dict[str, list[str]]:
    """Return the names that are the same but for numbers."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(re.sub(number, "#", name), []).append(name)
    return groups


def numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def fitting(arrays: Mapping[str, Any], name: str, shape: Sequence[int], what: str) -> np.ndarray:
    """Return an array whose shape is the one wanted, ``ANY`` leaving a length open.

    Raises:
        SpecError: naming the entry, if it is not there or has another shape.
    """
    told = "(" + ", ".join("any" if n == ANY else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
    if name not in arrays:
        raise SpecError(f"state_dict.{name}", Words("nothing"), f"an array of shape {told}, {what}")
    found = np.asarray(arrays[name])
    if not fits(found.shape, shape):
        hint = "transposed? PyTorch's matrices are (out, in)" if fits(found.shape[::-1], shape) else ""
        raise SpecError(f"state_dict.{name}", Words(f"shape {found.shape}"), f"shape {told}, {what}", hint)
    return found


def fits(found: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(found) == len(wanted) and all(n in (ANY, m) for m, n in zip(found, wanted, strict=True))
