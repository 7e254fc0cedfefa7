"""PyTorch, eager: run after run as published scripts do, and all runs in batched matrix products.

One-hot inputs as floats, full batch, AdamW, nothing recorded; on CUDA where PyTorch has it, else on all cores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]

from grokdyn.bench import torch_layers
from grokdyn.bench.begin import Beginning
from grokdyn.bench.torch_transformer import Padded, Transformer
from grokdyn.engine.host.devices import cores
from grokdyn.models.encoder import TORCH_NAMES

PHI: dict[str, Callable] = {"relu": torch.relu, "square": torch.square}


class MLP(torch.nn.Module):
    """The network of one run, from weights [in, out]."""

    def __init__(self, experiment: Any, params: dict[str, torch.Tensor]):
        super().__init__()
        weights = [params[f"W_{layer}"] for layer in range(len(params))]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(*w.shape, bias=False, device=w.device) for w in weights)
        for layer, w in zip(self.layers, weights, strict=True):
            layer.weight.data = w.T.contiguous()
        self.phi = PHI[experiment.model.activation]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *hidden, last = list(self.layers)
        for layer in hidden:
            x = self.phi(layer(x))
        return last(x)

    def params(self) -> dict[str, torch.Tensor]:
        weights = [layer.get_parameter("weight").data for layer in self.layers]
        return {f"W_{number}": weight.T[None] for number, weight in enumerate(weights)}


class BatchedMLP(torch.nn.Module):
    """The networks of all runs, from weights [runs, in, out], for inputs [runs, rows, in]."""

    def __init__(self, experiment: Any, params: dict[str, torch.Tensor]):
        super().__init__()
        self.weights = torch.nn.ParameterList(params[f"W_{layer}"].clone() for layer in range(len(params)))
        self.phi = PHI[experiment.model.activation]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *hidden, last = self.weights
        for w in hidden:
            x = self.phi(torch.bmm(x, w))
        return torch.bmm(x, last)

    def params(self) -> dict[str, torch.Tensor]:
        return {f"W_{number}": w.data for number, w in enumerate(self.weights)}


class Encoder(torch.nn.Module):
    """PyTorch's own encoder layer on the embedded tokens, every token computed, logits at the last, of one run."""

    def __init__(self, experiment: Any, params: dict[str, torch.Tensor]):
        super().__init__()
        model, (vocabulary, d) = experiment.model, params["W_E"].shape
        self.embedding = torch.nn.Embedding(vocabulary, d)
        layer = torch.nn.TransformerEncoderLayer(d, model.heads, model.ff, dropout=model.dropout, batch_first=True)
        self.transformer = torch.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.linear = torch.nn.Linear(d, params["W_U"].shape[1])
        self.to(params["W_E"].device)
        named = dict(self.named_parameters())
        for ours, theirs in TORCH_NAMES.items():
            named[theirs].data.copy_(turned(ours, params[ours]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.transformer(self.embedding(x))[:, -1])

    def params(self) -> dict[str, torch.Tensor]:
        theirs = {name: w.data for name, w in self.named_parameters()}
        found = {ours: theirs[name] for ours, name in TORCH_NAMES.items()}
        return {name: turned(name, w)[None] for name, w in found.items()}


def turned(name: str, w: torch.Tensor) -> torch.Tensor:
    """Return a tensor of an encoder in PyTorch's layout, or back: matrices are (out, in), but for the embedding."""
    return w.T if w.ndim == 2 and name != "W_E" else w


class Network(NamedTuple):
    """What a case needs: a module for one run, one for all or None, and (experiment, table's inputs) -> its own."""

    single: Callable
    batched: Callable | None
    inputs: Callable


def one_hot_pair(experiment: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Return the codes of both tokens side by side [..., 2p]."""
    return F.one_hot(tokens.long(), experiment.task.p).flatten(-2).float()


def tokens_alone(experiment: Any, tokens: torch.Tensor) -> torch.Tensor:
    return tokens.long()


def channels_first(experiment: Any, images: torch.Tensor) -> torch.Tensor:
    """Return images [..., height, width, channels] as PyTorch has them."""
    return images.float().movedim(-1, -3)


NETWORKS = {
    "mlp": Network(MLP, BatchedMLP, one_hot_pair),
    "encoder": Network(Encoder, None, tokens_alone),
    "transformer": Network(Transformer, None, tokens_alone),
    "sequences": Network(Padded, None, tokens_alone),
    "cnn": Network(torch_layers.cnn, None, channels_first),
    "batch_norm": Network(torch_layers.batch_norm, None, one_hot_pair),
}


def mse(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(logits, F.one_hot(labels, logits.shape[-1]).float())


LOSSES: dict[str, Callable] = {"CrossEntropy": F.cross_entropy, "MSE": mse}


class Torch:
    """Run after run: calling it trains the first run and returns its parameters."""

    def __init__(self, network: str, experiment: Any, beginning: Beginning):
        torch.set_num_threads(cores())
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network, self.experiment = NETWORKS[network], experiment
        self.runs = self.alongside(len(beginning.rows))
        rows = beginning.rows[: self.runs]
        self.start = {name: self.tensor(w[: self.runs]) for name, w in beginning.params.items()}
        self.inputs = self.network.inputs(experiment, self.tensor(beginning.table.inputs[rows]))
        self.labels = self.tensor(beginning.table.labels[rows]).long()

    def tensor(self, array: Any) -> torch.Tensor:
        return torch.tensor(array, device=self.device)

    def alongside(self, runs: int) -> int:
        """Return how many of the runs train together."""
        return 1

    def module(self) -> Any:
        return self.network.single(self.experiment, {name: w[0] for name, w in self.start.items()})

    def data(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inputs[0], self.labels[0]

    def __call__(self, steps: int) -> dict[str, torch.Tensor]:
        o, module, (x, y) = self.experiment.optimizer, self.module(), self.data()
        adamw = torch.optim.AdamW(
            module.parameters(), lr=o.learning_rate, betas=(o.b1, o.b2), eps=o.eps, weight_decay=o.weight_decay
        )
        losses = LOSSES[type(self.experiment.loss).__name__]
        for _ in range(steps):
            adamw.zero_grad()
            # The loss is a mean over the rows of all runs; each run's own gradient is that of its own mean.
            (losses(module(x).flatten(0, -2), y.flatten()) * self.runs).backward()
            adamw.step()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return module.params()


class TorchBatched(Torch):
    """All runs at once: calling it trains them and returns their parameters."""

    def alongside(self, runs: int) -> int:
        return runs

    def module(self) -> Any:
        assert self.network.batched is not None
        return self.network.batched(self.experiment, self.start)

    def data(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.inputs, self.labels
