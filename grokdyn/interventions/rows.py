"""Which rows train: those with the largest or smallest scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.interventions.base import Intervention, Runs
from grokdyn.probes.gradients import error_norms
from grokdyn.spec.base import field
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.rules import Choice, Count, Names, Number
from grokdyn.tasks.base import Table
from grokdyn.tasks.shapes import Conflicts
from grokdyn.tasks.signature import Reals
from grokdyn.train.gradient import row_gradients
from grokdyn.train.lane import Lane, Program, State
from grokdyn.train.rows import Rows, function_of, train_rows

RANDOM = "random"
# Rows whose gradients are alive together.
TOGETHER = 32


class KeepRows(Intervention):
    """Train on a share of the train rows, chosen by scores at the step that is looked at (Paul et al. 2021).

    Of the n rows that train, round(keep n) stay: ordered by score, ``highest`` or ``lowest`` first, after the first
    round(skip n) of them; of equal ones the first of the table. The others neither train nor test from then on, in no
    later round either.

    Scores of a row x with label y, as trained: ``el2n`` |softmax(f(x)) - y|, y one-hot; ``grand`` |d loss(x, y) / d
    params|; ``random``, uniform, each run its own. Along the axes ``over`` of the runs before, such as ``seed``, they
    are averaged: the mean over those runs that train on the row and differ from this one along these axes alone. With
    ``rewind = 0`` and ``reinitialise`` the rows are all that runs take over from what was trained before.
    """

    keep: float = field(Number(0, 1, open_low=True), default=0.5, doc="share of the train rows that stay")
    by: str = field(Choice(("el2n", "grand", RANDOM)), default="el2n", doc="the scores")
    which: str = field(Choice(("highest", "lowest")), default="highest", doc="scores of the rows that stay")
    skip: float = field(Number(0, 1), default=0.0, doc="share of the train rows that is passed over, the first ones")
    over: tuple[str, ...] = field(Names(), default=(), doc="axes of the runs before, over which scores are averaged")
    seed: int = field(Count(0), default=0, doc="of random scores, beside that of the run")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.keep + self.skip > 1:
            yield "skip", self.skip, f"at most {1 - self.keep:g}: {self.keep:g} of the rows are kept"

    def unfit(self, sweep: Any) -> Conflicts:
        experiment, axes = sweep.base, [*sweep.shape]
        for name in self.over:
            if name not in axes:
                yield "over", name, "axes of the runs before: " + (", ".join(axes) or "there are none")
        if experiment.task.endless:
            yield "kind", Words("rows that are drawn for every update"), "a task whose rows are a finite table"
            return
        if self.over and experiment.task.drawn and self.by != RANDOM:
            yield "over", list(self.over), "none, for a task whose rows every run draws for itself"
        if isinstance(experiment.task.signature().targets, Reals) and self.by == "el2n":
            yield "by", self.by, f"grand or {RANDOM}, for real targets"
        if experiment.task.signature().answers > 1 and self.by == "el2n":
            yield "by", self.by, f"grand or {RANDOM}, for rows of several answers"
        if (experiment.model.rows_interact or experiment.model.penalised) and self.by == "grand":
            yield "by", self.by, f"el2n or {RANDOM}, for a model whose train rows see each other"

    def applied(self, runs: Runs) -> Runs:
        scores = drawn_scores(runs, self.seed) if self.by == RANDOM else runs.by_row(SCORES[self.by], self.over)
        scores = scores if self.which == "highest" else -scores
        kept = first_of(scores, runs.trains, self.keep, self.skip)
        return replace(runs, stays=runs.stays & (kept | ~runs.trains), trains=kept)


def first_of(scores: np.ndarray, trains: np.ndarray, keep: float, skip: float) -> np.ndarray:
    """Return the rows that stay, bool [runs, rows]: a share of those that train, the largest scores after some.

    Raises:
        SpecError: if none would.
    """
    order = np.argsort(np.where(trains, -scores, np.inf), axis=1, kind="stable")
    n = trains.sum(1, keepdims=True)
    first, count = np.round(skip * n), np.round(keep * n)
    if count.min() < 1:
        came = Words(f"{keep:g} of {n.min()} train rows")
        raise SpecError("apply.keep_rows.keep", came, "a share of at least one row")
    places = np.arange(scores.shape[1])
    kept = np.zeros_like(trains)
    np.put_along_axis(kept, order, (places >= first) & (places < np.minimum(first + count, n)), 1)
    return kept


def drawn_scores(runs: Runs, seed: int) -> np.ndarray:
    """Return uniform scores [runs, rows]; those of a run depend on its seed and the number alone."""
    rows = runs.trains.shape[1]
    return np.stack([np.random.default_rng([seed, own]).random(rows) for own in runs.seeds.tolist()])


def el2n(program: Program, lane: Lane, state: State, table: Table) -> jax.Array:
    """Return |softmax(f(x)) - y| of every row that trains, float64 [rows of the table]."""
    rows = train_rows(program, lane, table)
    function = function_of(lane, state.model)
    return on_table(program, rows, error_norms(function(state.params, rows.inputs), rows.labels))


def grand(program: Program, lane: Lane, state: State, table: Table) -> jax.Array:
    """Return |d loss(x, y) / d params| of every row that trains, float64 [rows of the table]."""
    rows = train_rows(program, lane, table)

    def norm(row: Rows) -> jax.Array:
        alone = jax.tree.map(lambda x: x[None], row)
        gradients, _ = row_gradients(program, lane, alone, state.step, None, state.model)(state.params)
        return jnp.sqrt(sum(jnp.sum(jnp.square(g.astype(jnp.float64))) for g in jax.tree.leaves(gradients)))

    return on_table(program, rows, jax.lax.map(norm, rows, batch_size=TOGETHER))


SCORES: dict[str, Callable[..., jax.Array]] = {"el2n": el2n, "grand": grand}


def on_table(program: Program, rows: Rows, values: jax.Array) -> jax.Array:
    """Return values of train rows at their places in the table, nan elsewhere."""
    size = program.signature.rows
    places = jnp.where(rows.counts, rows.index, size)
    return jnp.full(size, jnp.nan).at[places].set(values, mode="drop")
