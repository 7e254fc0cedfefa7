"""Further networks in PyTorch: convolutions, and batch norm behind the square."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

nn = torch.nn


class Square(nn.Module):
    """x^2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.square(x)


class Sequence(nn.Module):
    """Modules one after the other, begun from grokdyn's parameters and read as such."""

    def __init__(self, experiment: Any, params: Mapping[str, torch.Tensor], modules: list[Any]):
        super().__init__()
        self.model, self.layers = experiment.model, nn.Sequential(*modules)
        theirs = self.model.to_torch({name: w.cpu().numpy() for name, w in params.items()})
        names = [name for name in self.layers.state_dict() if name.rpartition(".")[2] in ("weight", "bias")]
        known = zip(names, theirs.values(), strict=True)
        self.layers.load_state_dict({name: torch.tensor(np.array(w)) for name, w in known}, strict=False)
        self.to(next(iter(params.values())).device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)

    def params(self) -> dict[str, torch.Tensor]:
        arrays = {n: w.cpu().numpy() for n, w in self.layers.state_dict().items() if not n.endswith("tracked")}
        return {name: torch.tensor(np.array(w))[None] for name, w in self.model.from_torch(arrays).items()}


def cnn(experiment: Any, params: Mapping[str, torch.Tensor]) -> Sequence:
    """Return convolutions that keep an image's size, each with maxima of 2 x 2 behind it, and one linear layer."""
    modules, depth = [], len(experiment.model.channels)
    for layer in range(depth):
        size, _, before, channels = params[f"W_{layer}"].shape
        modules += [nn.Conv2d(before, channels, size, padding=size // 2), nn.ReLU(), nn.MaxPool2d(2)]
    return Sequence(experiment, params, [*modules, nn.Flatten(), linear(params[f"W_{depth}"], True)])


def batch_norm(experiment: Any, params: Mapping[str, torch.Tensor]) -> Sequence:
    """Return hidden layers with batch norm behind the square, without biases."""
    modules, model = [], experiment.model
    for layer, width in enumerate(model.hidden):
        modules += [linear(params[f"W_{layer}"]), Square()]
        modules.append(nn.BatchNorm1d(width, model.norm_eps, model.norm_momentum))
    return Sequence(experiment, params, [*modules, linear(params[f"W_{len(model.hidden)}"])])


def linear(W: torch.Tensor, bias: bool = False) -> Any:
    """Return a layer for a matrix [in, out]."""
    fan_in, fan_out = W.shape
    return nn.Linear(fan_in, fan_out, bias)
