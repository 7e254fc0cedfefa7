"""Progress measures of Nanda et al. (2023): what the circuit of key frequencies alone can do, and what the rest can."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.fourier import basis
from grokdyn.probes.neurons import KeyedProbe
from grokdyn.probes.residues import Residues, grid_conflicts, residues_of
from grokdyn.probes.view import View, mean
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Counts, Flag
from grokdyn.tasks.shapes import needs_one_answer


def grid_of(view: View) -> Residues:
    grid = residues_of(view.experiment.task)
    assert grid is not None, "conflicts come first"
    return grid


def by_label(view: View) -> jax.Array:
    """Return the mean over the p rows of each true result of the logits of the p residues: float64 [p, p]."""

    def averaged() -> jax.Array:
        grid = grid_of(view)
        order = np.argsort(grid.labels, kind="stable")
        rows = view.logits[order, : grid.p].reshape(grid.p, grid.p, grid.p)
        return jnp.mean(rows, axis=1, dtype=jnp.float64)

    return view.once("by_label", averaged)


def projected(logits: jax.Array, chosen: jax.Array) -> jax.Array:
    """Return logits [p, classes] over the result c, projected on cos wc and sin wc of the chosen frequencies."""
    cosines, sines = (jnp.where(chosen[:, None], part, 0) for part in basis(logits.shape[0]))
    return cosines.T @ (cosines @ logits) + sines.T @ (sines @ logits)


class ProgressMeasures(KeyedProbe):
    """Restricted and excluded loss (Nanda et al. 2023), both in the loss in force and over the p residues.

    The logits as functions of the pair (a, b) are projected on cos w(a+b) and sin w(a+b) of the key frequencies, a+b
    standing for the true result of the task. ``restricted_loss``, over the whole table: that projection alone, and the
    mean logits over all pairs. ``excluded_loss``, over the train rows: the logits without it.

    ``per_frequency`` adds ``excluded_loss_per_frequency``, without the one frequency, which is how the released code
    has it. A loss over the train rows for each of them: as long as dozens of records.

    The key frequencies are those of the network at hand. Published curves take those of the final network for all
    steps: name them in ``frequencies``.
    """

    frequencies: tuple[int, ...] = field(
        Counts(1, 10_000, increasing=True, empty=True), default=(), doc="key frequencies; empty: by definition"
    )
    per_frequency: bool = field(Flag(), default=False, doc="excluded loss of every single frequency too")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from needs_one_answer(shapes, "a probe")
        yield from grid_conflicts(shapes, balanced=True)
        grid = residues_of(shapes.experiment.task)
        if not self.frequencies:
            yield from super().conflicts(shapes)
        elif grid is not None and self.frequencies[-1] > grid.p // 2:
            yield "frequencies", list(self.frequencies), f"frequencies up to p//2, {grid.p // 2}"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        grid = residues_of(shapes.experiment.task)
        assert grid is not None
        found = {"restricted_loss": Variable("restricted loss"), "excluded_loss": Variable("excluded loss")}
        if self.per_frequency:
            axes = {"frequency": grid.frequencies}
            found["excluded_loss_per_frequency"] = Variable("excluded loss", dims=("frequency",), coordinates=axes)
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        p, logits = grid_of(view).p, by_label(view)
        ks = np.arange(p // 2 + 1)
        chosen = jnp.asarray(np.isin(ks, self.frequencies)) if self.frequencies else self.key(view)
        circuit = projected(logits, chosen)
        alone = (circuit + jnp.mean(logits, axis=0)).astype(view.logits.dtype)
        # Rows of one result have the same logits now, so one of each is all.
        restricted = view.loss.rows(alone, jnp.arange(p, dtype=jnp.int32))
        found = {
            "restricted_loss": jnp.mean(restricted, dtype=jnp.float64),
            "excluded_loss": excluded(view, circuit),
        }
        if self.per_frequency:

            def without(k: jax.Array) -> jax.Array:
                return excluded(view, projected(logits, jnp.arange(len(ks)) == k))

            losses = jax.lax.map(without, jnp.arange(1, len(ks)))
            found["excluded_loss_per_frequency"] = jnp.concatenate([jnp.full(1, jnp.nan), losses])
        return found


def excluded(view: View, circuit: jax.Array) -> jax.Array:
    """Return the train loss of the logits without a part [result, classes]."""
    result = view.clean_labels[view.rows.index]
    rest = view.train_logits[:, : circuit.shape[1]] - circuit.astype(view.logits.dtype)[result]
    return mean(view.loss.rows(rest, view.rows.labels), view.rows.counts)


class Circuit(Probe):
    """How far the logits are a sum of cos w(a + b - c), a + b the true result (Nanda et al. 2023).

    ``circuit_coefficient``: inner product of the logits over all pairs and residues with cos w(a + b - c) scaled to
    norm 1, for every frequency above 0. ``circuit_share``: the sum of their squares over that of the logits around
    each row's mean.
    """

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        yield from grid_conflicts(shapes, balanced=True)
        if shapes.signature.outputs < (getattr(shapes.experiment.task, "p", 0) or 0):
            yield "kind", Words(f"{shapes.signature.outputs} classes"), "one for every residue"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        grid = residues_of(shapes.experiment.task)
        assert grid is not None
        axes = {"frequency": grid.frequencies}
        return {
            "circuit_coefficient": Variable("coefficient of cos w(a+b-c)", dims=("frequency",), coordinates=axes),
            "circuit_share": Variable("share of the logits' variance"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        p, logits = grid_of(view).p, by_label(view)
        cosines, sines = (jnp.asarray(part) for part in basis(p))
        along = jnp.sum((cosines @ logits) * cosines + (sines @ logits) * sines, axis=1)
        # cos w(y - c) over p rows of each result is p/2 (or p) times the products of unit vectors, of norm sqrt(p^3/2).
        paired = np.any(basis(p)[1] != 0, axis=1)
        coefficient = (along * p * np.where(paired, np.sqrt(1 / (2 * p)), np.sqrt(1 / p))).at[0].set(jnp.nan)
        whole = view.logits[:, :p].astype(jnp.float64)
        around = jnp.sum(jnp.square(whole - jnp.mean(whole, axis=1, keepdims=True)))
        return {
            "circuit_coefficient": coefficient,
            "circuit_share": jnp.sum(jnp.square(coefficient[1:])) / around,
        }
