"""The rows that a run's seed draws, on the host."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.losses.cross_entropy import CrossEntropy
from grokdyn.tasks.fit import checked_signature, enumerated
from grokdyn.tasks.parts import parts_of
from grokdyn.tasks.signature import DIVIDED, TEST, TRAIN, Tokens
from grokdyn.tasks.split import draw_split, train_mask, with_noise
from grokdyn.tasks.streams import drawn_table, split_keys, stream


class Rows(NamedTuple):
    """All rows of a run's table in float64.

    Attributes:
        x: what a first linear layer reads [rows, entries], one-hot codes of tokens.
        y: targets as trained [rows, outputs], one-hot codes of classes.
        parts: bool [rows] of every part that is recorded, train first.
    """

    x: np.ndarray
    y: np.ndarray
    parts: dict[str, np.ndarray]


def metrics(f: np.ndarray, rows: Rows, loss: Any) -> dict[str, np.ndarray]:
    """Return losses of every part, and accuracies under cross-entropy, of outputs f [steps, rows, outputs]."""
    if isinstance(loss, CrossEntropy):
        top = f.max(-1, keepdims=True)
        errors = np.log(np.exp(f - top).sum(-1)) - np.sum((f - top) * rows.y, axis=-1)
    else:
        errors = np.square(f - rows.y).sum(-1) / (rows.y.shape[1] if loss.reduction == "mean" else 1)
    seen = {part: mask for part, mask in rows.parts.items() if mask.any()}
    told = {f"{part}_loss": errors[:, mask].mean(1) for part, mask in seen.items()}
    if isinstance(loss, CrossEntropy):
        right = f.argmax(-1) == rows.y.argmax(-1)
        told |= {f"{part}_accuracy": right[:, mask].mean(1) for part, mask in seen.items()}
    return told


def first_weights(experiment: Any, name: str = "W") -> np.ndarray:
    """Return a tensor of step 0 in float64, as a run of this seed draws it."""
    with jax.enable_x64(True):
        drawn = experiment.model.start(stream(experiment, "init"), experiment.task.signature(), experiment.dtype)
    return np.asarray(drawn[name], np.float64)


def rows_of(experiment: Any) -> Rows:
    """Return the rows of a run with its seed, as training draws them."""
    task, dtype = experiment.task, experiment.dtype
    signature, known = checked_signature(task), parts_of(task)
    with jax.enable_x64(True):
        numbers = jax.tree.map(np.asarray, task)
        split_key, table_key = split_keys(experiment)
        table = drawn_table(numbers, table_key, signature, dtype) if task.drawn else enumerated(task, signature, dtype)
        split = draw_split(numbers, jnp.asarray(table.labels), split_key)
        if task.label_noise:
            split = with_noise(numbers, split, signature.classes, stream(experiment, "noise"))
        train = np.asarray(train_mask(split.order, split.n_train))
    x, y = np.asarray(table.inputs), np.asarray(split.labels)
    x = np.eye(signature.inputs.vocabulary)[x] if isinstance(signature.inputs, Tokens) else x
    y = np.eye(signature.outputs)[y] if y.ndim == 1 else y
    masks = {TRAIN: train, TEST: ~train if known.whole else ~train & known.held_out()}
    masks |= {name: known.mask(name) for name in known.names if name not in DIVIDED}
    x, y = (part.astype(np.float64).reshape(signature.rows, -1) for part in (x, y))
    return Rows(x, y, masks)
