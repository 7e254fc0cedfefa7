"""Named parts of a task's rows: which rows the train fraction divides, which always train, which only test."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.signature import DIVIDED, POOL, TEST, TRAIN

# Parts of tasks that are learned one after another, and what their names have behind them where rows only test.
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
UNSEEN = "_unseen"


class Parts(NamedTuple):
    """The parts of a task.

    Attributes:
        roles: name -> role, in the order of the signature.
        member: int [rows], each row's place among them.
    """

    roles: dict[str, str]
    member: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """The parts that are recorded: train and test first, then those that are not divided."""
        return (*DIVIDED, *(name for name, role in self.roles.items() if role != POOL and name not in DIVIDED))

    def count(self, role: str) -> int:
        """Return the number of rows of a role."""
        return len(self.member) if self.whole and role == POOL else len(self.rows(role))

    def rows(self, role: str) -> np.ndarray:
        """Return the places in the table of all rows of a role, int32 [n]."""
        known = np.asarray([is_role == role for is_role in self.roles.values()])
        return np.flatnonzero(known[self.member]).astype(np.int32)

    def mask(self, name: str) -> np.ndarray:
        """Return bool [rows]: the rows of a part that is not divided."""
        return self.member == list(self.roles).index(name)

    def held_out(self) -> np.ndarray:
        """Return bool [rows]: those that are test rows where they do not train: of the pool, or of a part test.

        Where there is neither, they are those of all parts that only test.
        """
        own = [role == POOL or name == TEST for name, role in self.roles.items()]
        if not any(own):
            own = [role == TEST for role in self.roles.values()]
        return np.asarray(own)[self.member]

    @property
    def whole(self) -> bool:
        """Whether all rows are the pool."""
        return list(self.roles.values()) == [POOL]


def parts_of(task: Any) -> Parts:
    """Return the parts of a task's rows.

    Raises:
        SpecError: if ``membership`` does not give one part of the signature for every row.
    """
    signature = task.signature()
    roles = dict(signature.parts)
    if len(roles) == 1:
        return Parts(roles, np.zeros(signature.rows, np.int8))
    found, names = np.asarray(task.membership()), np.asarray(list(roles))
    where, allowed = f"{type(task).__name__}.membership", f"{signature.rows} names among {', '.join(names)}"
    if found.shape != (signature.rows,):
        raise SpecError(where, Words(f"an array of shape {found.shape}"), allowed)
    hits = found[:, None] == names
    if not hits.any(axis=1).all():
        raise SpecError(where, found[~hits.any(axis=1)][0], allowed)
    if not all(hits.any(axis=0)):
        raise SpecError(where, Words(f"no row of {names[~hits.any(axis=0)][0]}"), "at least one row of every part")
    return Parts(roles, hits.argmax(axis=1).astype(np.int8))


def train_counts(task: Any, parts: Parts) -> Any:
    """Return the number of train rows, for the numbers of one run (traced) or of many: those of the pool that the task
    divides off, and those that always train."""
    pool, always = parts.count(POOL), np.int32(parts.count(TRAIN))
    divided = task.train_count(pool) if pool else np.int32(0)
    return divided + always if always else divided


def check_train_rows(parts: Parts, rows: np.ndarray) -> None:
    """Raise SpecError unless given train rows leave every part what it is."""
    trains = np.zeros(len(parts.member), bool)
    trains[rows] = True
    for name, role in parts.roles.items():
        mask = parts.mask(name)
        if role == TEST and (trains & mask).any():
            row = int(np.flatnonzero(trains & mask)[0])
            raise SpecError("start.train_rows", Words(f"row {row} of part {name}"), "no row of a part that only tests")
        if role == TRAIN and (~trains & mask).any():
            row = int(np.flatnonzero(~trains & mask)[0])
            raise SpecError("start.train_rows", Words(f"no row {row} of part {name}"), "all rows of parts that train")
