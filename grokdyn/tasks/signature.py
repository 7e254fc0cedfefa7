"""The signature of a task: what a row's inputs and targets are, and which named parts its rows belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from grokdyn.spec.errors import SpecError, Words


class Tokens(NamedTuple):
    """Inputs that are tokens: int32 [rows, width], from 0 to ``vocabulary`` - 1; class c is token c.

    ``fixed`` holds for each place the token that all rows have there, None where they differ; empty if unknown.
    ``padded``: rows may be shorter; -1 is no token but padding, which they begin with.
    """

    vocabulary: int
    width: int
    fixed: tuple[int | None, ...] = ()
    padded: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.width,)

    @property
    def entries(self) -> int:
        """Entries of a row that a first linear layer reads: a one-hot vector for every place."""
        return self.vocabulary * self.width


class Vectors(NamedTuple):
    """Inputs that are real vectors: floats [rows, width]."""

    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.width,)

    @property
    def entries(self) -> int:
        return self.width


class Images(NamedTuple):
    """Inputs that are images: floats [rows, height, width, channels]."""

    height: int
    width: int
    channels: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self)

    @property
    def entries(self) -> int:
        return self.height * self.width * self.channels


class Sequences(NamedTuple):
    """Inputs that are sequences of real vectors: floats [rows, length, width].

    A vector of zeros is no token but padding: shorter sequences begin with it.
    """

    length: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self)

    @property
    def entries(self) -> int:
        return self.length * self.width


class Classes(NamedTuple):
    """Targets that are classes: int32 labels [rows] from 0 to ``count`` - ``symbols`` - 1, or [rows, answers].

    Attributes:
        count: number of logits.
        symbols: how many of them, the last ones, are never a label of the (first) answer: tokens such as "=".
        answers: labels of a row; logits are [rows, answers, count] where there are several.
        partial: whether a row may ask for fewer of several answers; the label of one that is not asked for is -1. It
            counts in no loss and no accuracy: a row's loss is the mean over those that it asks for.
    """

    count: int
    symbols: int = 0
    answers: int = 1
    partial: bool = False

    @property
    def outputs(self) -> int:
        return self.count


class Reals(NamedTuple):
    """Targets that are real vectors: floats [rows, count]."""

    count: int
    symbols = 0
    answers = 1
    partial = False

    @property
    def outputs(self) -> int:
        return self.count


Inputs = Tokens | Vectors | Images | Sequences
Targets = Classes | Reals
# What the rows of a part do: one is the pool that train_fraction divides, others always train, or only test.
POOL, TRAIN, TEST = "pool", "train", "test"
ROLES = (POOL, TRAIN, TEST)
# Parts that every task has: the rows that train, and those of the pool that do not.
DIVIDED = (TRAIN, TEST)
ONE_PART = ((POOL, POOL),)
# Where the fields of earlier versions are now.
MOVED = {
    **{name: f"signature.inputs.{name}" for name in ("vocabulary", "width", "fixed")},
    "symbols": "signature.targets.symbols",
    "regression": "isinstance(signature.targets, gd.Reals)",
}


@dataclass(frozen=True, init=False)
class Signature:
    """The shapes of a task's table, which a model must fit.

    Attributes:
        inputs: ``Tokens``, ``Vectors``, ``Images`` or ``Sequences``.
        targets: ``Classes`` or ``Reals``.
        rows: number of rows of the table.
        parts: (name, role) of every part; role ``"pool"`` of the one that ``train_fraction`` divides into train and
            test rows, ``"train"`` of one that always trains, ``"test"`` of one that only tests. Default: all rows are
            the pool. ``Task.membership`` tells which row is in which.

    The form of earlier versions, ``Signature(vocabulary, width, outputs, rows, symbols=0, regression=False, answers=1,
    fixed=())`` with vocabulary 0 for vectors, still works.
    """

    inputs: Inputs
    targets: Targets
    rows: int
    parts: tuple[tuple[str, str], ...] = ONE_PART

    def __init__(self, *given: Any, **named: Any):
        old = "vocabulary" in named or (given and isinstance(given[0], int))
        values = typed(*given, **named) if old else fields(*given, **named)
        for name, value in zip(("inputs", "targets", "rows", "parts"), values, strict=True):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        hint = f"; write {MOVED[name]}" if name in MOVED else ""
        raise AttributeError(f"a Signature has no {name!r}{hint}")

    @property
    def outputs(self) -> int:
        """Number of logits, or length of the target vector."""
        return self.targets.outputs

    @property
    def classes(self) -> int:
        """Number of labels that there are, of the (first) answer."""
        return self.outputs - self.targets.symbols

    @property
    def answers(self) -> int:
        """Labels of a row."""
        return self.targets.answers


def fields(
    inputs: Any, targets: Any, rows: int, parts: Mapping[str, str] | tuple[Any, ...] = ONE_PART
) -> tuple[Inputs, Targets, int, tuple[tuple[str, str], ...]]:
    """Return the fields of a signature, checked.

    Raises:
        SpecError: naming what is not as it must be.
    """
    if not isinstance(inputs, Inputs):
        allowed = "gd.Tokens(vocabulary, width), gd.Vectors(width), gd.Images(...) or gd.Sequences(length, width)"
        raise SpecError("signature.inputs", inputs, allowed)
    if not isinstance(targets, Targets):
        raise SpecError("signature.targets", targets, "gd.Classes(count) or gd.Reals(count)")
    pairs = tuple((str(name), str(role)) for name, role in (parts.items() if isinstance(parts, Mapping) else parts))
    check_parts(pairs)
    return inputs, targets, int(rows), pairs


def check_parts(parts: tuple[tuple[str, str], ...]) -> None:
    """Raise SpecError unless the names and roles of parts go together."""
    where, names = "signature.parts", [name for name, _ in parts]
    for name, role in parts:
        if role not in ROLES:
            raise SpecError(f"{where}.{name}", role, "one of " + ", ".join(ROLES))
        if not name.isidentifier():
            raise SpecError(where, name, "names of letters, digits and _")
        if name in DIVIDED and role != name:
            raise SpecError(f"{where}.{name}", role, f"{name!r}: the variables of all rows that {name} have this name")
    if len(set(names)) < len(names):
        raise SpecError(where, Words(", ".join(names)), "each name once")
    roles = [role for _, role in parts]
    if roles.count(POOL) > 1 or not {POOL, TRAIN} & set(roles):
        raise SpecError(where, Words(", ".join(roles) or "none"), "one pool, or parts that train; not two pools")


def typed(
    vocabulary: int,
    width: int,
    outputs: int,
    rows: int,
    symbols: int = 0,
    regression: bool = False,
    answers: int = 1,
    fixed: tuple[int | None, ...] = (),
) -> tuple[Inputs, Targets, int, tuple[tuple[str, str], ...]]:
    """Return the fields of a signature that is given in the form of earlier versions."""
    inputs = Tokens(vocabulary, width, fixed) if vocabulary else Vectors(width)
    targets = Reals(outputs) if regression else Classes(outputs, symbols, answers)
    return inputs, targets, rows, ONE_PART
