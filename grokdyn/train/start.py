"""Start: a run that begins from given parameters, rows and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from grokdyn.models.base import Params
from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.base import Table
from grokdyn.tasks.split import Split


@dataclass(frozen=True)
class Start:
    """Begin from given parameters, split or labels instead of drawn ones.

    Args:
        params: the model's parameter tree (see ``interop.from_torch``); taken as they are, without ``init_scale``.
        train_rows: table rows used for training, in the order in which sums run over them; the rest test.
        train_labels: the label of each train row as trained; default: the table's.
    """

    params: Mapping[str, Any] | None = None
    train_rows: Any = None
    train_labels: Any = None


@dataclass(frozen=True)
class Origin:
    """The stored state that runs go on from; as it stands here, none: they begin at step 0.

    Attributes:
        step: number of updates it has seen.
        rows: the padding of train rows it was trained with, so that sums run alike.
        leaves: the leaves of one run's ``State``.
    """

    step: int = 0
    rows: int = 0
    leaves: tuple[np.ndarray, ...] = ()


@struct.dataclass
class Given:
    """A checked Start as arrays; what is None is drawn."""

    params: Params | None
    order: Any
    labels: Any
    corrupted: Any
    n_train: int = struct.field(pytree_node=False, default=0)

    def applied(self, split: Split, params: Params) -> tuple[Split, Params]:
        """Return the drawn split and parameters with what was given in their place."""
        if self.params is not None:
            params = jax.tree.map(lambda given, drawn: given.astype(drawn.dtype), self.params, params)
        if self.order is not None:
            split = Split(self.order, jnp.int32(self.n_train), self.labels, self.corrupted)
        return split, params


def given(start: Start, table: Table | None, expected: Params) -> Given:
    """Check a Start against the task's table and the model's parameter shapes.

    Raises:
        SpecError: naming the array, its shape or value, and what fits.
    """
    params = None if start.params is None else checked_params(start.params, expected)
    if start.train_rows is None:
        if start.train_labels is not None:
            raise SpecError("start.train_rows", Words("nothing"), "the rows that train_labels belong to")
        return Given(params, None, None, None)
    if table is None:
        raise SpecError("start.train_rows", Words("rows"), "nothing, for a task whose table each run draws")
    rows = integers("start.train_rows", start.train_rows)
    size = len(table.labels)
    if len(rows) == 0 or rows.min() < 0 or rows.max() >= size or len(np.unique(rows)) != len(rows):
        raise SpecError("start.train_rows", Words(f"{len(rows)} rows"), f"distinct rows from 0 to {size - 1}, not none")
    labels = np.array(table.labels)
    if labels.ndim > 1:
        if start.train_labels is not None:
            allowed = "nothing, for a task of real targets or of several answers a row"
            raise SpecError("start.train_labels", Words("labels"), allowed)
        return Given(params, order_of(rows, size), labels, np.zeros(size, bool), len(rows))
    if start.train_labels is not None:
        new = integers("start.train_labels", start.train_labels)
        if len(new) != len(rows) or new.min() < 0 or new.max() > labels.max():
            allowed = f"{len(rows)} labels from 0 to {labels.max()}, one per train row"
            raise SpecError("start.train_labels", Words(f"{len(new)} labels"), allowed)
        labels[rows] = new
    return Given(params, order_of(rows, size), labels.astype(np.int32), labels != table.labels, len(rows))


def order_of(rows: np.ndarray, size: int) -> np.ndarray:
    """Return all rows of a table of the size, the given ones first."""
    return np.concatenate([rows, np.setdiff1d(np.arange(size), rows)]).astype(np.int32)


def integers(path: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise SpecError(path, Words(f"{array.dtype} of shape {array.shape}"), "a vector of whole numbers")
    return array.astype(np.int64)


def checked_params(params: Mapping[str, Any], expected: Params) -> Any:
    found = {name: np.asarray(value) for name, value in params.items()}
    if set(found) != set(expected):
        raise SpecError("start.params", Words(", ".join(found) or "none"), "tensors " + ", ".join(expected))
    for name, like in expected.items():
        if found[name].shape != like.shape:
            raise SpecError(f"start.params.{name}", Words(f"shape {found[name].shape}"), f"shape {like.shape}")
    return found
