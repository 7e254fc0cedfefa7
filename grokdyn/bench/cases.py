"""What is timed. Adding a case: a function that returns its experiment, and a line in ``CASES``.

A new kind of network also needs a line in ``torch_side.NETWORKS``, and one in ``hand.NETWORKS`` to be compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# The engine may take this many times as long as the same maths written by hand, and as the products alone of a network
# whose time goes to products.
MOST_OVER_HAND, MOST_OVER_FLOOR = 1.10, 1.12


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        about: what it is, in a few words.
        experiment: returns the Experiment; its ``steps`` and seed are the bench's business. Imports JAX.
        runs: how many runs train together, one per seed.
        network: its name in ``torch_side.NETWORKS`` and, where it is written by hand, in ``hand.NETWORKS``.
        least_over_torch: how many times faster than PyTorch run after run the engine shall be on two CPU cores.
        most_over_hand: how many times as long as the same maths written by hand it may take.
        most_over_floor: how many times as long as its matrix products alone; None: nothing is asked.
    """

    about: str
    experiment: Callable[[], Any]
    runs: int
    network: str
    least_over_torch: float
    most_over_hand: float = MOST_OVER_HAND
    most_over_floor: float | None = None


def p23() -> Any:
    """Return a network so small that the time goes to overheads: 2x64 ReLU, cross-entropy."""
    import grokdyn as gd

    return gd.Experiment(
        task=gd.ModularArithmetic(op="add", p=23, train_fraction=0.5),
        model=gd.MLP(hidden=(64, 64), activation="relu"),
        loss=gd.CrossEntropy(),
        optimizer=gd.AdamW(learning_rate=0.01, b2=0.98, weight_decay=1.0),
        steps=1,
    )


def doshi() -> Any:
    """Return the quadratic network of Doshi et al. (2023): N = 500, square activation, MSE, weight decay 5."""
    import grokdyn as gd

    return gd.Experiment(
        task=gd.ModularArithmetic(op="add", p=97, train_fraction=0.5),
        model=gd.MLP(hidden=(500,), activation="square", init="gromov"),
        loss=gd.MSE(),
        optimizer=gd.AdamW(learning_rate=0.01, b2=0.98, weight_decay=5.0),
        steps=1,
    )


def p113() -> Any:
    """Return the network of Prieto et al. (2025): 2x200 ReLU, cross-entropy, eps 1e-25, 40 % of the table."""
    import grokdyn as gd

    return gd.Experiment(
        task=gd.ModularArithmetic(op="add", p=113, train_fraction=0.4),
        model=gd.MLP(hidden=(200, 200), activation="relu"),
        loss=gd.CrossEntropy(),
        optimizer=gd.AdamW(learning_rate=0.01, b2=0.99, eps=1e-25, weight_decay=0.0),
        steps=1,
    )


def encoder() -> Any:
    """Return the transformer of Prieto et al. (2025): one PyTorch encoder layer, d 128, 4 heads, ff 2048."""
    import grokdyn as gd

    return gd.Experiment(
        task=gd.ModularArithmetic(op="add", p=113, first_residue=1, train_fraction=0.4),
        model=gd.Encoder(),
        loss=gd.CrossEntropy(),
        optimizer=gd.AdamW(learning_rate=0.001, b2=0.99, eps=1e-25, weight_decay=1.5),
        steps=1,
    )


def transformer() -> Any:
    """Return the transformer of Nanda et al. (2023) on 30 % of the table: d 128, 4 heads, 512 neurons, decay 1."""
    import grokdyn as gd

    return gd.Experiment(
        task=gd.ModularArithmetic(op="add", p=113, train_fraction=0.3, sequence="a b ="),
        model=gd.Transformer(),
        loss=gd.CrossEntropy(),
        optimizer=gd.AdamW(learning_rate=0.001, b2=0.98, weight_decay=1.0),
        steps=1,
    )


def batch_norm() -> Any:
    """Return the network of Doshi et al. (2023) with batch norm behind the square, full batch, no decay."""
    import grokdyn as gd

    return gd.Experiment(
        task=gd.ModularArithmetic(op="add", p=97, train_fraction=0.5),
        model=gd.MLP(hidden=(500,), activation="square", init="gromov", norm="batch", norm_at="after"),
        loss=gd.MSE(),
        optimizer=gd.AdamW(learning_rate=0.01, b2=0.98, weight_decay=0.0),
        steps=1,
    )


def cnn() -> Any:
    """Return two convolutions on 898 small digits, 8 and 16 channels, cross-entropy."""
    import grokdyn as gd

    return gd.Experiment(
        task=gd.Digits(),
        model=gd.CNN(),
        loss=gd.CrossEntropy(),
        optimizer=gd.AdamW(learning_rate=0.001),
        steps=1,
    )


def sequences() -> Any:
    """Return two layers, d 64, on 256 rows of up to 8 pairs, one of which is asked for: 19 tokens, padded."""
    import grokdyn as gd

    return gd.Experiment(
        task=gd.Algorithmic(algorithm="recall", lengths=(1, 8), symbols=16, rows=32, fresh=False, train_fraction=1.0),
        model=gd.Transformer(layers=2, d_model=64, d_mlp=256, norm="pre", padded=True),
        loss=gd.CrossEntropy(),
        optimizer=gd.AdamW(learning_rate=0.001, b2=0.98),
        steps=1,
    )


CASES = {
    "p23": Case("p=23, 2x64 ReLU, cross-entropy", p23, 256, "mlp", 8.0),
    "doshi": Case("p=97, 500 square, MSE", doshi, 16, "mlp", 3.5, most_over_floor=MOST_OVER_FLOOR),
    "p113": Case("p=113, 2x200 ReLU, cross-entropy", p113, 8, "mlp", 4.0, most_over_floor=MOST_OVER_FLOOR),
    "encoder": Case("p=113, encoder layer d 128, ff 2048", encoder, 2, "encoder", 5.0),
    "transformer": Case("p=113, one layer, d 128, 512 neurons", transformer, 2, "transformer", 7.0, 1.15),
    "batch_norm": Case("p=97, 500 square, batch norm, MSE", batch_norm, 8, "batch_norm", 1.5),
    "sequences": Case("up to 19 tokens, two layers, d 64, padded", sequences, 4, "sequences", 4.0),
    "cnn": Case("898 digits, convolutions of 8 and 16", cnn, 16, "cnn", 1.5),
}
