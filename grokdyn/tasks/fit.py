"""Whether a task's table is what its signature says, in the types that training reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.base import Table, Task
from grokdyn.tasks.signature import Classes, Reals, Signature, Tokens

# What came, what is allowed.
Conflict = tuple[str, str]
# What a signature says that is true or false, no size.
FLAGS = ("Tokens.padded", "Classes.partial")


def checked_signature(task: Task) -> Signature:
    """Return a task's signature.

    Raises:
        SpecError: unless it is one, of whole numbers that can be sizes.
    """
    found, name = task.signature(), type(task).__name__
    if not isinstance(found, Signature):
        raise SpecError("task", Words(f"{name}.signature: a {type(found).__name__}"), "a Signature")
    sizes = {
        "rows": found.rows,
        **{
            f"{type(of).__name__}.{size}": getattr(of, size)
            for of in (found.inputs, found.targets)
            for size in of._fields
        },
    }
    for size, value in sizes.items():
        if size == "Tokens.fixed":
            continue
        if size in FLAGS:
            if not isinstance(value, bool):
                raise SpecError("task", Words(f"{name}.signature: {size} = {value!r}"), "True or False")
            continue
        low = 0 if size.endswith("symbols") else 1
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
            raise SpecError("task", Words(f"{name}.signature: {size} = {value!r}"), f"a whole number from {low}")
    if found.classes < 1:
        came = Words(f"{name}.signature: {found.targets.symbols} symbols of {found.outputs} classes")
        raise SpecError("task", came, "fewer symbols than classes")
    if found.targets.partial and found.answers == 1:
        came = Words(f"{name}.signature: partial of one answer")
        raise SpecError("task", came, "several answers, of which a row asks for some")
    return found


def enumerated(task: Task, signature: Signature, dtype: str) -> Table:
    """Return the table of an enumerated task, checked, in the types that training reads.

    Raises:
        SpecError: naming the class, what the signature says and what the table holds.
    """
    table = Table(*(np.asarray(part) for part in pair(task, task.table(), "table")))
    refuse(task, "table", shapes_off(table, signature))
    refuse(task, "table", values_off(table, signature))
    return read(table, signature, dtype)


def refuse(task: Task, method: str, conflicts: Iterator[Conflict]) -> None:
    """Raise SpecError for the first conflict of a table that a method of the task gave."""
    for came, allowed in conflicts:
        raise SpecError("task", Words(f"{type(task).__name__}.{method}: {came}"), allowed)


def pair(task: Task, found: Any, method: str) -> tuple[Any, Any]:
    """Return the inputs and labels of what a method of a task gave."""
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) != 2:
        raise SpecError(
            "task", Words(f"{type(task).__name__}.{method}: a {type(found).__name__}"), "Table(inputs, labels)"
        )
    return found[0], found[1]


def shapes_off(table: Table, signature: Signature) -> Iterator[Conflict]:
    """Yield where shapes and kinds of a table, arrays or what only has shape and dtype, are not its signature's."""
    inputs, targets, rows = signature.inputs, signature.targets, signature.rows
    if tuple(table.inputs.shape) != (rows, *inputs.shape):
        yield (
            f"inputs {shape(table.inputs)}",
            f"{[rows, *inputs.shape]}, as its signature's {rows} rows and {inputs} say",
        )
    classes = isinstance(targets, Classes)
    several = (targets.outputs,) if not classes else (targets.answers,) if targets.answers > 1 else ()
    if tuple(table.labels.shape) != (rows, *several):
        yield f"labels {shape(table.labels)}", f"{[rows, *several]}, as its signature's {rows} rows and {targets} say"
    for name, array, whole, of in (
        ("inputs", table.inputs, isinstance(inputs, Tokens), inputs),
        ("labels", table.labels, classes, targets),
    ):
        if np.dtype(array.dtype).kind not in ("bui" if whole else "buif"):
            kind = "whole numbers" if whole else "real numbers"
            yield f"{name} of {array.dtype}", f"{kind}, as its signature's {of} says"


def shape(array: Any) -> str:
    return f"of shape {list(array.shape)}"


def values_off(table: Table, signature: Signature) -> Iterator[Conflict]:
    """Yield where values of a table, numpy arrays of the right shapes, are not its signature's."""
    inputs, labels = table
    if isinstance(signature.inputs, Tokens):
        yield from beyond("inputs", inputs, signature.inputs.vocabulary, "vocabulary", -int(signature.inputs.padded))
        if signature.inputs.padded:
            yield from paddings_off(inputs)
        for place, token in enumerate(signature.inputs.fixed):
            if token is not None and np.any(inputs[:, place] != token):
                yield f"inputs[:, {place}] that differ", f"{token} in every row, as its signature's fixed says"
    else:
        yield from not_finite("inputs", inputs)
    if isinstance(signature.targets, Reals):
        yield from not_finite("labels", labels)
        return
    first, others = (labels, None) if labels.ndim == 1 else (labels[:, 0], labels[:, 1:])
    what, least = "classes without symbols" if signature.targets.symbols else "classes", -int(signature.targets.partial)
    yield from beyond("labels", first, signature.classes, what, least)
    if others is not None:
        yield from beyond("labels", others, signature.outputs, "classes", least)
    if signature.targets.partial and not np.all(np.any(labels >= 0, axis=1)):
        row = int(np.flatnonzero(~np.any(labels >= 0, axis=1))[0])
        yield f"no label in row {row}", "at least one answer that a row asks for"


def beyond(name: str, array: np.ndarray, count: int, what: str, least: int = 0) -> Iterator[Conflict]:
    """Yield where whole numbers are not all from ``least`` to ``count`` - 1."""
    low, high = array.min(), array.max()
    if low < least or high >= count:
        yield (
            f"{name} from {low} to {high}",
            f"whole numbers from {least} to {count - 1}, as its signature's {what} = {count} says",
        )


def paddings_off(inputs: np.ndarray) -> Iterator[Conflict]:
    """Yield where padding stands behind a token, or a row is nothing else."""
    behind = np.any((inputs[:, :-1] >= 0) & (inputs[:, 1:] < 0), axis=1)
    if behind.any():
        row = int(np.flatnonzero(behind)[0])
        yield f"padding behind a token in row {row}", "padding (-1) before all tokens of a row"
    if np.any(inputs[:, -1] < 0):
        yield f"no token at the end of row {int(np.flatnonzero(inputs[:, -1] < 0)[0])}", "rows that end with a token"


def not_finite(name: str, array: np.ndarray) -> Iterator[Conflict]:
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        yield f"{name} that are not finite, first in row {row}", "finite numbers"


def read(table: Any, signature: Signature, dtype: str) -> Table:
    """Return a table, perhaps traced, in the types that training reads.

    Tokens and classes are int32; real numbers of another kind float32, and those wider than the run's dtype in that.
    """
    inputs, labels = table
    return Table(
        whole(inputs) if isinstance(signature.inputs, Tokens) else real(inputs, dtype),
        real(labels, dtype) if isinstance(signature.targets, Reals) else whole(labels),
    )


def whole(array: Any) -> Any:
    return array if array.dtype == np.int32 else array.astype(np.int32)


def real(array: Any, dtype: str) -> Any:
    if array.dtype.kind != "f":
        return array.astype(np.float32)
    return array.astype(dtype) if array.dtype.itemsize > np.dtype(dtype).itemsize else array
