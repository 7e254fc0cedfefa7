"""Transformers in plain PyTorch, every position computed: that of Nanda et al. (2023), and layers on padded rows."""

from __future__ import annotations

import math
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]


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


class Padded(torch.nn.Module):
    """Layers with norms in front on rows of tokens that begin with padding, -1, which nothing sees; logits at the last.

    Positions count from a row's first token. Padding sees itself alone, so that no softmax is over nothing.
    """

    def __init__(self, experiment: Any, params: dict[str, torch.Tensor]):
        super().__init__()
        self.heads, self.layers = experiment.model.heads, experiment.model.layers
        self.weights = torch.nn.ParameterDict({name: w.clone() for name, w in params.items()})

    def norm(self, x: torch.Tensor, name: str, suffix: str) -> torch.Tensor:
        w = self.weights
        return F.layer_norm(x, x.shape[-1:], w[f"{name}_scale{suffix}"], w[f"{name}_shift{suffix}"])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        w, length = self.weights, tokens.shape[1]
        there = tokens >= 0
        place = (there.cumsum(1) - 1).clamp(min=0)
        whole = torch.ones(length, length, dtype=torch.bool, device=tokens.device)
        seen = (whole.tril() & there[:, None] | whole.tril().triu())[:, None]
        x = w["W_E"][tokens.clamp(min=0)] + w["W_pos"][place]
        for layer in range(self.layers):
            read = self.norm(x, "ln1", f"_{layer}")
            q, k, v = (
                (read @ w[f"W_{part}_{layer}"]).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in "QKV"
            )
            added = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
            x = x + added.transpose(1, 2).flatten(-2) @ w[f"W_O_{layer}"]
            hidden = torch.relu(self.norm(x, "ln2", f"_{layer}") @ w[f"W_in_{layer}"] + w[f"b_in_{layer}"])
            x = x + hidden @ w[f"W_out_{layer}"] + w[f"b_out_{layer}"]
        return self.norm(x, "ln_final", "")[:, -1] @ w["W_U"]

    def params(self) -> dict[str, torch.Tensor]:
        return {name: w.data[None] for name, w in self.weights.items()}
