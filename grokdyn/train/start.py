"""Start: a run that begins from given parameters, rows and labels."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.output import Params
from grokdyn.spec.arrays import floats, plain_array, told
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.tree import Tree, static
from grokdyn.tasks.base import Table
from grokdyn.tasks.split import Split
from grokdyn.train.moments import checked_moments, remembered, state_of


@dataclass(frozen=True)
class Start:
    """Begin from given parameters, split or labels instead of drawn ones.

    Args:
        params: the model's parameter tree (see ``interop.from_torch``); taken as they are, without ``init_scale``. What
            a model carries beside them, such as running statistics, may be among them, all of it.
        train_rows: table rows used for training, in the order in which sums run over them; the rest test. Or a mask of
            all rows, or a set, which train in the order of the table.
        train_labels: the label of each train row as trained; default: the table's.
        optimizer: what the optimizer remembers (see ``interop.optimizer_from_torch``): moment -> tensor -> array, such
            as ``exp_avg`` and ``exp_avg_sq`` of Adam or ``momentum_buffer`` of SGD, and ``step``, the number of updates
            it has made, from which its schedule goes on. Default: moments begin at zero, the schedule at step 0, also
            where ``params`` are those of a trained network. The run itself begins at step 0 in any case.
    """

    params: Mapping[str, Any] | None = None
    train_rows: Any = None
    train_labels: Any = None
    optimizer: Mapping[str, Any] | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that is given as plain arrays by name, to be stored; ``of_arrays`` makes a Start of them again."""
        found = {f"params.{name}": floats(w, f"start.params.{name}", True) for name, w in (self.params or {}).items()}
        for moment, given in (self.optimizer or {}).items():
            tensors = given.items() if isinstance(given, Mapping) else [("", given)]
            found |= {f"optimizer.{moment}.{name}": floats(w, "start.optimizer", True) for name, w in tensors}
        if self.train_rows is not None:
            found["train_rows"] = sequence(self.train_rows)
        if self.train_labels is not None:
            found["train_labels"] = sequence(self.train_labels)
        return found

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Start:
        """Return the Start that ``arrays`` belong to."""
        params, optimizer = {}, {}
        for name, value in arrays.items():
            part, _, rest = name.partition(".")
            if part == "params":
                params[rest] = value
            elif part == "optimizer":
                moment, _, tensor = rest.partition(".")
                optimizer[moment] = optimizer.get(moment, {}) | {tensor: value} if tensor else value
        return cls(params or None, arrays.get("train_rows"), arrays.get("train_labels"), optimizer or None)


class Given(Tree):
    """A checked Start as arrays; what is None is drawn."""

    params: Params | None
    order: Any
    labels: Any
    corrupted: Any
    moments: Any = None
    state: Params | None = None
    n_train: int = static(default=0)

    def applied(self, split: Split, params: Params) -> tuple[Split, Params]:
        """Return the drawn split and parameters with what was given in their place."""
        if self.params is not None:
            params = jax.tree.map(lambda given, drawn: given.astype(drawn.dtype), self.params, params)
        if self.order is not None:
            split = Split(self.order, jnp.int32(self.n_train), self.labels, self.corrupted)
        return split, params

    def carried(self, state: Params) -> Params:
        """Return what the model carries at step 0 with what was given in its place."""
        return jax.tree.map(lambda given, first: given.astype(first.dtype), self.state, state) if self.state else state

    def memory(self, state: Any) -> Any:
        """Return the optimizer's state at step 0 with given moments in their place."""
        return state if self.moments is None else remembered(self.moments, state)


def given(
    start: Start, table: Table | None, expected: Params, optimizer: Any = None, carried: Params | None = None
) -> Given:
    """Check a Start against the task's table, the model's parameter shapes and the optimizer's state.

    Args:
        carried: shapes of what the model carries beside its parameters.

    Raises:
        SpecError: naming the array, its shape or value, and what fits.
    """
    if not isinstance(start, Start):
        raise SpecError("start", start, "a grokdyn.Start")
    params, state = checked_params(start.params, expected, carried or {})
    moments = None if start.optimizer is None else checked_moments(start.optimizer, state_of(optimizer, expected))
    if start.train_rows is None:
        if start.train_labels is not None:
            raise SpecError("start.train_rows", Words("nothing"), "the rows that train_labels belong to")
        return Given(params, None, None, None, moments, state)
    if table is None:
        raise SpecError("start.train_rows", Words("rows"), "nothing, for a task whose table each run draws")
    labels = np.array(table.labels)
    rows = checked_rows(start.train_rows, len(labels))
    order = np.concatenate([rows, np.setdiff1d(np.arange(len(labels)), rows)]).astype(np.int32)
    if labels.ndim > 1:
        if start.train_labels is not None:
            allowed = "nothing, for a task of real targets or of several answers a row"
            raise SpecError("start.train_labels", Words("labels"), allowed)
        return Given(params, order, labels, np.zeros(len(labels), bool), moments, state, len(rows))
    if start.train_labels is not None:
        labels[rows] = checked_labels(start.train_labels, len(rows), int(labels.max()))
    return Given(params, order, labels.astype(np.int32), labels != table.labels, moments, state, len(rows))


def checked_rows(given: Any, size: int) -> np.ndarray:
    """Return given train rows of a table of a size: their numbers, or a mask of all."""
    path, values = "start.train_rows", sequence(given)
    if values.dtype == bool:
        if values.shape != (size,):
            raise SpecError(path, Words(f"a mask of shape {values.shape}"), f"one truth value for each of {size} rows")
        values = np.flatnonzero(values)
    rows, allowed = integers(path, values), f"distinct rows from 0 to {size - 1}, not none"
    if len(rows) == 0:
        raise SpecError(path, Words("0 rows"), allowed)
    outside = rows[(rows < 0) | (rows >= size)]
    if len(outside):
        raise SpecError(path, Words(f"{len(rows)} rows, row {outside[0]} among them"), allowed)
    first, counts = np.unique(rows, return_counts=True)
    if counts.max() > 1:
        raise SpecError(path, Words(f"{len(rows)} rows, row {first[counts > 1][0]} more than once"), allowed)
    return rows


def checked_labels(given: Any, count: int, largest: int) -> np.ndarray:
    """Return given labels of train rows."""
    path, allowed = "start.train_labels", f"{count} labels from 0 to {largest}, one per train row"
    if isinstance(given, Set):
        raise SpecError(path, Words("a set, which has no order"), allowed)
    labels = integers(path, sequence(given))
    outside = labels[(labels < 0) | (labels > largest)]
    if len(labels) != count or len(outside):
        told = f", {outside[0]} among them" if len(outside) else ""
        raise SpecError(path, Words(f"{len(labels)} labels{told}"), allowed)
    return labels


def sequence(values: Any) -> np.ndarray:
    """Return what any library calls a vector as an array; a set in rising order."""
    if isinstance(values, Set):
        try:
            values = sorted(values)
        except TypeError:
            raise SpecError("start.train_rows", Words("a set of what has no order"), "whole numbers") from None
    return plain_array(values, "start", "a vector of whole numbers")


def integers(path: str, array: np.ndarray) -> np.ndarray:
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise SpecError(path, Words(f"{told(array.dtype)} of shape {array.shape}"), "a vector of whole numbers")
    return array.astype(np.int64)


def checked_params(params: Any, expected: Params, carried: Params) -> tuple[Any, Any]:
    """Return given parameters, and what the model carries beside them; None where nothing is given."""
    if params is None:
        return None, None
    if not isinstance(params, Mapping):
        raise SpecError("start.params", params, "a mapping: tensor -> array (see interop.from_torch)")
    if set(params) not in (set(expected), {*expected, *carried}):
        further = f"; with them all or none of {', '.join(carried)}" if carried else ""
        allowed = "tensors " + ", ".join(expected) + further
        raise SpecError("start.params", Words(", ".join(map(str, params)) or "none"), allowed)
    found = {name: floats(array, f"start.params.{name}", whole=True) for name, array in params.items()}
    for name, like in (expected | carried).items():
        if name in found and found[name].shape != like.shape:
            raise SpecError(f"start.params.{name}", Words(f"shape {found[name].shape}"), f"shape {like.shape}")
    own = {name: found[name] for name in carried if name in found}
    return {name: found[name] for name in expected}, own or None
