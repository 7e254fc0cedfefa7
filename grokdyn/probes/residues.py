"""Tasks on the residues mod p: their table as a grid of pairs, and the tensors that hold a vector for every residue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from grokdyn.probes.base import Shapes
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Name, Optional
from grokdyn.tasks.signature import Tokens

FULL_TABLE = (
    "a task with the full table of residues, rows a*p + b with a token each for a and b: modular with ordered pairs, "
    "residues from 0, encoding = 'tokens', and not div"
)
# Sought in this order where no tensor is named; the last layer of an MLP comes after these.
EMBEDDINGS, UNEMBEDDINGS = ("W_E", "W_0"), ("W_U",)
EMBEDDING = field(Optional(Name()), default=None, doc="tensor [tokens, units]; none: W_E, or an MLP's W_0")
UNEMBEDDING = field(Optional(Name()), default=None, doc="tensor [units, classes]; none: W_U, or an MLP's last W")


class Residues(NamedTuple):
    """A table of all pairs of residues, row a*p + b holding (a, b).

    Attributes:
        p: the modulus.
        first: the token of residue 0; the others follow.
        places: where a and b stand in a row.
        vocabulary, width: of the tokens.
        labels: int32 [p * p], without noise.
    """

    p: int
    first: int
    places: tuple[int, int]
    vocabulary: int
    width: int
    labels: np.ndarray

    @property
    def frequencies(self) -> np.ndarray:
        """0 to p//2."""
        return np.arange(self.p // 2 + 1)

    @property
    def balanced(self) -> bool:
        """Whether every residue is the label of p rows."""
        return bool(np.array_equal(np.bincount(self.labels), np.full(self.p, self.p)))


def residues_of(task: Any) -> Residues | None:
    """Return the grid of a task's residues, or None where its table is not one."""
    p = getattr(task, "p", None)
    if not isinstance(p, int) or task.drawn or task.signature().rows != p * p:
        return None
    if not isinstance(task.signature().inputs, Tokens):
        return None
    inputs, labels = (np.asarray(part) for part in task.table())
    # What varies after the operands is the result, where a row has it.
    places = np.flatnonzero(np.any(inputs != inputs[0], axis=0))[:2]
    varying = inputs[:, places]
    first = int(varying.min(initial=np.iinfo(np.int32).max))
    grid = np.stack([x.ravel() for x in np.mgrid[:p, :p]], axis=1)
    # Residues from 1 of a modulus p would be p - 1 squared rows; a grid of p residues is that of Z_p.
    if not np.array_equal(varying - first, grid):
        return None
    tokens = task.signature().inputs
    labels = labels if labels.ndim == 1 else labels[:, 0]
    return Residues(p, first, (int(places[0]), int(places[1])), tokens.vocabulary, tokens.width, labels)


def grid_conflicts(shapes: Shapes, balanced: bool = False) -> Iterator[tuple[str, Any, str]]:
    """Yield what keeps a Fourier probe from a task: no full table, or labels that do not come equally often."""
    task = shapes.experiment.task
    grid = residues_of(task)
    if grid is None:
        yield "kind", Words(f"{type(task).__name__} with {shapes.signature.rows} rows"), FULL_TABLE
    elif balanced and not grid.balanced:
        came = Words(f"the operation {getattr(task, 'op', '')!r}")
        yield "kind", came, "one whose every result comes p times, such as add or sub"


class Side(NamedTuple):
    """Where a tensor holds the vectors of residues: at ``first`` onwards along its rows, or its columns."""

    tensor: str
    first: int
    rows: bool

    def of(self, params: Any, p: int) -> Any:
        """Return the vectors [p, units]."""
        W = params[self.tensor]
        return W[self.first : self.first + p] if self.rows else W[:, self.first : self.first + p].T


def embedding_name(params: Any, wanted: str | None) -> str:
    return wanted or next((name for name in EMBEDDINGS if name in params), EMBEDDINGS[0])


def unembedding_name(params: Any, wanted: str | None) -> str | None:
    """Return the tensor of the readout; None where none is asked for and the model, its embedding tied, has none."""
    layers = sorted((name for name in params if name[:2] == "W_" and name[2:].isdecimal()), key=lambda n: int(n[2:]))
    return wanted or next((name for name in (*UNEMBEDDINGS, *reversed(layers)) if name in params), None)


def sides_of(params: Any, grid: Residues, embedding: str | None, unembedding: str | None) -> dict[str, Side]:
    """Return where the residues' vectors are: a, b and c, or ab and c where both operands share an embedding."""
    name, last = embedding_name(params, embedding), unembedding_name(params, unembedding)
    found = {} if last is None else {"c": Side(last, 0, rows=False)}
    # An MLP has a block of rows for every position.
    if params[name].shape[0] == grid.vocabulary * grid.width:
        blocks = zip("ab", grid.places, strict=True)
        return {op: Side(name, place * grid.vocabulary + grid.first, rows=True) for op, place in blocks} | found
    return {"ab": Side(name, grid.first, rows=True)} | found


def side_conflicts(shapes: Shapes, embedding: str | None, unembedding: str | None) -> Iterator[tuple[str, Any, str]]:
    """Yield what keeps a probe from the tensors that it reads."""
    params, grid = shapes.params, residues_of(shapes.experiment.task)
    if grid is None:
        return
    names = {"embedding": embedding_name(params, embedding), "unembedding": unembedding_name(params, unembedding)}
    for (what, name), axis in zip(names.items(), (0, 1), strict=True):
        tokens = grid.p + (grid.first if axis == 0 else 0)
        fitting = [n for n, w in params.items() if len(w.shape) == 2 and w.shape[axis] >= tokens]
        if name is not None and name not in fitting:
            allowed = "a matrix with a " + ("row" if axis == 0 else "column") + " for every residue"
            yield what, name, f"{allowed}: {', '.join(fitting) or 'this model has none'}"
