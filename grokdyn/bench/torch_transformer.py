"""The one-layer transformer of Nanda et al. (2023) in plain PyTorch: every position, as in the published code."""

from __future__ import annotations

import math
from typing import Any

import torch  # pyright: ignore[reportMissingImports]


class Transformer(torch.nn.Module):
    """The network of one run, from grokdyn's parameters; tokens [rows, 3] -> logits at the last one."""

    def __init__(self, experiment: Any, params: dict[str, torch.Tensor]):
        super().__init__()
        self.heads = experiment.model.heads
        self.weights = torch.nn.ParameterDict({name: w.clone() for name, w in params.items()})

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        w, length = self.weights, tokens.shape[1]
        x = w["W_E"][tokens] + w["W_pos"]
        q, k, v = ((x @ w[f"W_{part}_0"]).unflatten(-1, (self.heads, -1)) for part in "QKV")
        scores = torch.einsum("nihd,njhd->nhij", q, k) / math.sqrt(q.shape[-1])
        blind = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        attention = scores.masked_fill(blind, -math.inf).softmax(-1)
        x = x + torch.einsum("nhij,njhd->nihd", attention, v).flatten(-2) @ w["W_O_0"]
        hidden = torch.relu(x @ w["W_in_0"] + w["b_in_0"])
        x = x + hidden @ w["W_out_0"] + w["b_out_0"]
        return (x @ w["W_U"])[:, -1]

    def params(self) -> dict[str, torch.Tensor]:
        return {name: w.data[None] for name, w in self.weights.items()}
