"""Pruning: which weights stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from grokdyn.interventions.base import Arrays, Intervention, Runs, Shapes, chosen
from grokdyn.interventions.scores import grasp, snip, synflow
from grokdyn.spec.base import field
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.rules import Choice, Count, Names, Number

SCOPES = ("global", "layer")


class Prune(Intervention):
    """Set all but a share of the weights to zero, and hold them there.

    Of the n weights that are left in the tensors, round(keep n) stay, those with the largest scores; of equal ones the
    first. A second pruning takes its share of what the first has left. Whatever the optimizer, a pruned weight has no
    gradient, is not moved, and is not remembered.

    Scores: ``magnitude`` |w| at the step that is looked at; ``random``; ``snip``, ``grasp``, ``synflow`` as in
    ``interventions.scores``.
    """

    keep: float = field(Number(0, 1, open_low=True), default=0.5, doc="share of the weights left that stay")
    by: str = field(Choice(("magnitude", "random", "snip", "grasp", "synflow")), default="magnitude", doc="the scores")
    scope: str = field(Choice(SCOPES), default="global", doc="whether the share is of all tensors together or of each")
    tensors: tuple[str, ...] = field(Names(), default=(), doc="what is pruned; default: all of two dimensions and more")
    seed: int = field(Count(0), default=0, doc="of random scores, beside that of the run")
    temperature: float = field(Number(0, open_low=True), default=200.0, doc="what GraSP divides logits by")

    def left(self, shapes: Shapes, sizes: Mapping[str, int]) -> Mapping[str, int]:
        names = chosen(shapes, self.tensors, "apply.prune")
        return {**sizes, **most_kept(sizes, names, self.keep, self.scope)}

    def applied(self, runs: Runs) -> Runs:
        names = chosen(runs.shapes, self.tensors, "apply.prune")
        alive = {**runs.alive, **largest(self.scored(runs, names), runs.alive, names, self.keep, self.scope)}
        return replace(runs, alive=alive)

    def scored(self, runs: Runs, names: list[str]) -> Arrays:
        """Return the scores of all entries of some tensors."""
        if self.by == "magnitude":
            return {name: np.abs(runs.seen[name]) for name in names}
        if self.by == "random":
            return drawn_scores(runs, names, self.seed)
        if self.by == "snip":
            return runs.scores(snip)
        if self.by == "grasp":
            return runs.scores(partial(grasp, temperature=self.temperature))
        return runs.scores(partial(synflow, keep=self.keep, tensors=tuple(names), each=self.scope == "layer"))


def drawn_scores(runs: Runs, names: list[str], seed: int) -> Arrays:
    """Return uniform scores; those of a run depend on its seed and the number alone."""
    found = {name: np.empty(runs.params[name].shape) for name in names}
    for i, own in enumerate(runs.seeds.tolist()):
        draws = np.random.default_rng([seed, own])
        for name in sorted(names):
            found[name][i] = draws.random(found[name].shape[1:])
    return found


def largest(scores: Arrays, alive: Arrays, names: list[str], keep: float, scope: str) -> dict[str, np.ndarray]:
    """Return which entries of some tensors are kept [runs, ...].

    Raises:
        SpecError: if nothing would be.
    """
    found = {}
    for group in grouped(names, scope):
        count = len(alive[group[0]])
        flat = np.concatenate([np.asarray(scores[name], np.float64).reshape(count, -1) for name in group], 1)
        there = np.concatenate([alive[name].reshape(count, -1) for name in group], 1)
        kept = np.round(keep * there.sum(1)).astype(int)
        check_some(kept.min(), keep, there.sum(1).min(), group[0] if scope == "layer" else "")
        order = np.argsort(np.where(there, -flat, np.inf), axis=1, kind="stable")
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(order.shape[1])[None], 1)
        marks, first = (rank < kept[:, None]) & there, 0
        for name in group:
            size = alive[name][0].size
            found[name] = marks[:, first : first + size].reshape(alive[name].shape)
            first += size
    return found


def most_kept(sizes: Mapping[str, int], names: list[str], keep: float, scope: str) -> dict[str, int]:
    """Return how many entries of some tensors are kept at most, of so many.

    Raises:
        SpecError: if nothing would be.
    """
    found = {}
    for group in grouped(names, scope):
        there = sum(sizes[name] for name in group)
        kept = int(np.round(keep * there))
        check_some(kept, keep, there, group[0] if scope == "layer" else "")
        found |= {name: min(sizes[name], kept) for name in group}
    return found


def grouped(names: list[str], scope: str) -> list[list[str]]:
    """Return the tensors of which a share is kept together."""
    return [[name] for name in names] if scope == "layer" else [names]


def check_some(kept: int, keep: float, there: int, tensor: str) -> None:
    """Raise SpecError where no weight would be kept."""
    if kept < 1:
        came = Words(f"{keep:g} of {there} weights{f' of {tensor}' if tensor else ''}")
        raise SpecError("apply.prune.keep", came, "a share of at least one weight")
