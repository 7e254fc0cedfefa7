"""Which rows train and which labels they carry, drawn from a run's streams."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.tasks.base import Task, part_of
from grokdyn.tasks.parts import parts_of, train_counts
from grokdyn.tasks.signature import POOL, TEST, TRAIN


class Split(NamedTuple):
    """One run's rows and labels.

    Attributes:
        order: int32 [rows], a permutation of the table; its first ``n_train`` entries are the train rows.
        n_train: int32.
        labels: as the table's [rows, ...], as trained: those of corrupted train rows replaced.
        corrupted: bool [rows], the train rows whose label was drawn anew (by the uniform convention it may coincide).
        left_out: bool [rows], rows that neither train nor test, the last of the order; None: there are none.
    """

    order: jax.Array
    n_train: jax.Array
    labels: jax.Array
    corrupted: jax.Array
    left_out: jax.Array | None = None


def draw_split(task: Task, labels: jax.Array, key: jax.Array) -> Split:
    """Draw one run's split, with clean labels.

    Train rows are those of parts that always train, then those of lowest rank in a permutation of the pool, so they are
    exact in number and nested in the fraction. Rows of parts that only test come last.
    """
    rows, parts = labels.shape[0], parts_of(task)
    if parts.whole:
        order = jax.random.permutation(key, jnp.arange(rows, dtype=jnp.int32))
    else:
        pool = jax.random.permutation(key, jnp.asarray(parts.rows(POOL)))
        order = jnp.concatenate([jnp.asarray(parts.rows(TRAIN)), pool, jnp.asarray(parts.rows(TEST))])
    return Split(order, train_counts(task, parts), labels, jnp.zeros(rows, bool))


def fresh_split(task: Task, labels: jax.Array, batch: int) -> Split:
    """Return the split of a run whose every update draws rows of its own: the whole table tests.

    The rows of an update are seen behind those of the table, see ``train.fresh``. No label here is theirs.
    """
    rows = labels.shape[0]
    order = jnp.concatenate([rows + jnp.arange(batch, dtype=jnp.int32), jnp.arange(rows, dtype=jnp.int32)])
    return Split(order, jnp.int32(batch), labels, jnp.zeros(rows + batch, bool))


def with_noise(task: Task, split: Split, classes: int, key: jax.Array) -> Split:
    """Corrupt the labels of a share of the train rows.

    Corrupted rows are the train rows with the lowest of independent scores: exact in number, nested in the noise.
    """
    order, n_train, labels = split.order, split.n_train, split.labels
    rows = labels.shape[0]
    which_key, label_key = jax.random.split(key)
    scores = jnp.where(train_mask(order, n_train), jax.random.uniform(which_key, (rows,), jnp.float32), 2.0)
    rank = jnp.zeros(rows, jnp.int32).at[jnp.argsort(scores)].set(jnp.arange(rows, dtype=jnp.int32))
    corrupted = rank < part_of(task.label_noise, n_train)
    if labels.ndim == 1:
        noisy = another(label_key, labels, classes, task.noise)
        return Split(order, n_train, jnp.where(corrupted, noisy, labels), corrupted)
    if jnp.issubdtype(labels.dtype, jnp.integer):
        if not task.signature().targets.partial:
            noisy = another(label_key, labels[:, 0], classes, task.noise)
            return Split(order, n_train, labels.at[:, 0].set(jnp.where(corrupted, noisy, labels[:, 0])), corrupted)
        place = jnp.arange(rows), jnp.argmax(labels >= 0, axis=1)
        noisy = another(label_key, labels[place], classes, task.noise)
        return Split(order, n_train, labels.at[place].set(jnp.where(corrupted, noisy, labels[place])), corrupted)
    noisy = labels[another(label_key, jnp.arange(rows, dtype=jnp.int32), rows, task.noise)]
    return Split(order, n_train, jnp.where(corrupted[:, None], noisy, labels), corrupted)


def without(split: Split, stays: np.ndarray) -> Split:
    """Return splits [runs, ...] in which train rows that do not stay neither train nor test; on the host.

    Args:
        stays: bool [runs, rows].
    """
    order, n_train = np.asarray(split.order), np.asarray(split.n_train)
    train = np.arange(order.shape[1]) < n_train[:, None]
    kept = train & np.take_along_axis(stays, order, 1)
    # Train rows first, then all that test, in their order.
    place = np.argsort(np.where(kept, 0, np.where(train, 2, 1)), axis=1, kind="stable")
    left_out = np.zeros_like(stays)
    np.put_along_axis(left_out, order, train & ~kept, 1)
    ordered = np.take_along_axis(order, place, 1).astype(np.int32)
    corrupted = np.asarray(split.corrupted) & ~left_out
    changed: dict[str, Any] = {"order": ordered, "n_train": kept.sum(1).astype(np.int32), "corrupted": corrupted}
    return split._replace(**changed, **{"left_out": left_out})


def train_mask(order: jax.Array, n_train: Any) -> jax.Array:
    """Return bool [rows]: whether each row of the table is among the first ``n_train`` of the order."""
    ranks = jnp.arange(order.shape[0], dtype=jnp.int32)
    return jnp.zeros(order.shape, bool).at[order].set(ranks < n_train)


def another(key: jax.Array, numbers: jax.Array, count: int, noise: str) -> jax.Array:
    """Return a number below ``count`` for every one given: any (uniform), or any but itself (wrong)."""
    if noise == "uniform":
        return jax.random.randint(key, numbers.shape, 0, count, jnp.int32)
    shift = jax.random.randint(key, numbers.shape, 1, max(count, 2), jnp.int32)
    return (numbers + shift) % count
