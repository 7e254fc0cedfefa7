"""From the stored states of one round to what the runs of the next begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from grokdyn.engine.host.devices import devices
from grokdyn.engine.loop.batch import Batch, Shared
from grokdyn.engine.plan.plan import Plan, Planned
from grokdyn.engine.store import states
from grokdyn.engine.store.files import StoreError
from grokdyn.interventions.base import Intervention, Runs
from grokdyn.spec import base
from grokdyn.spec.round import Following
from grokdyn.tasks.streams import stream
from grokdyn.train.compiled import over_lanes
from grokdyn.train.origin import Group, Origin


def origin_of(path: Path, plan: Plan, known: Mapping[str, Any], found: Following) -> Origin:
    """Return the states that new runs go on from, and from which of them each does.

    A state is numbered by its run and by what was done to it: run + runs of the store x number of the beginning.

    Args:
        plan: of the store; known: its manifest.

    Raises:
        StoreError: if a snapshot is damaged, or runs were over before.
        SpecError: if an intervention cannot be done.
    """
    size, groups = plan.sweep.size, []
    for number, (begin, looked) in enumerate(zip(found.beginnings, found.looked, strict=True)):
        runs = np.unique(found.parents[found.which == number])
        made = groups_of(path, plan, known, runs, looked, found.step, begin.apply)
        groups += [replace(group, runs=group.runs + size * number) for group in made]
    return Origin(found.step, tuple(groups), found.parents + size * found.which, note_of(path, known, found))


def note_of(path: Path, known: Mapping[str, Any], found: Following) -> dict[str, Any]:
    """Return what a manifest tells of where runs come from; where axes vary what is done, a list of it."""
    told = [[f"{type(each).__name__.lower()} {base.encode(each)}" for each in one.apply] for one in found.beginnings]
    steps, begin = list(found.looked), found.step
    one = len(found.beginnings) == 1
    note = {"step": steps[0] if one else steps, "begin": begin, "apply": told[0] if one else told}
    before = dict(known.get("parent", {})).get("round", 0)
    return {"store": str(path), "identity": known.get("identity", ""), **note, "round": before + 1}


def groups_of(
    path: Path,
    plan: Plan,
    known: Mapping[str, Any],
    runs: np.ndarray,
    looked: int,
    begin: int,
    apply: Sequence[Intervention],
) -> list[Group]:
    """Return the states of some runs at a round's beginning, batch by batch.

    Args:
        looked: the snapshot that interventions look at; begin: the one that the new runs go on from.
        apply: what is done to the states.
    """
    groups = []
    for planned in plan.batches():
        mine = np.flatnonzero(np.isin(planned.runs, runs))
        if len(mine):
            source = Source(path, planned, known, mine)
            groups.append(source.group(looked, begin, apply))
    return groups


class Source:
    """A batch of a store whose states are taken up.

    Args:
        mine: the places of its runs that are wanted.
    """

    def __init__(self, path: Path, planned: Planned, known: Mapping[str, Any], mine: np.ndarray):
        self.path, self.planned, self.known, self.mine = path, planned, known, mine
        self.runs, self.origin = planned.runs[mine], planned.cohort.origin

    def group(self, looked: int, begin: int, apply: Sequence[Intervention]) -> Group:
        """Return the states of a round's beginning."""
        found, rows = self.states(begin), self.planned.cohort.program.rows
        moves, alive = self.origin.moves(self.runs), self.origin.alive(self.runs)
        if not apply and not moves:
            return Group(self.runs, rows, found)
        batch = Batch(self.planned.cohort, self.planned.lanes, Shared.of(self.planned.cohort, devices()))
        if "0" in found:  # an earlier version numbered them
            found = dict(zip(batch.leaf_names(), found.values(), strict=True))
        names = {name.removeprefix("params."): name for name in found if name.startswith("params.")}
        made = self.handed(batch, names, found, looked, begin, moves, alive)
        for each in apply:
            made = each.applied(made)
        alive, moves = made.alive, {name: made.moves[name] & made.alive[name] for name in names}
        found |= {names[name]: np.where(alive[name], w, 0).astype(w.dtype) for name, w in made.params.items()}
        return Group(self.runs, rows, forgotten(found, alive), moves, alive)

    def handed(
        self,
        batch: Batch,
        names: Mapping[str, str],
        found: Mapping[str, np.ndarray],
        looked: int,
        begin: int,
        moves: Mapping[str, np.ndarray],
        alive: Mapping[str, np.ndarray],
    ) -> Runs:
        """Return the runs as interventions see them."""
        params = {name: found[leaf] for name, leaf in names.items()}
        whole = {name: np.ones(w.shape, bool) for name, w in params.items()}
        seen = params if looked == begin else {n: self.states(looked, batch)[leaf] for n, leaf in names.items()}
        seeds = batch.cohort.experiments.seeds.init
        seeds = batch.cohort.experiments.seed if seeds is None else seeds
        positions = batch.lanes.positions[batch.lanes.real][self.mine]

        def scores(function: Callable[..., Any]) -> dict[str, np.ndarray]:
            batch.adopt(self.whole(looked, batch))
            return {name: values[self.mine] for name, values in scored(batch, function).items()}

        def drawn(seed: int) -> dict[str, np.ndarray]:
            return {name: values[self.mine] for name, values in scored(batch, redrawn(seed)).items()}

        return Runs(params, seen, {**whole, **alive}, {**whole, **moves}, np.asarray(seeds)[positions], scores, drawn)

    def states(self, step: int, batch: Batch | None = None) -> dict[str, np.ndarray]:
        """Return the states of the wanted runs at a step by the names of their leaves."""
        return {name: leaf[self.mine] for name, leaf in self.whole(step, batch).items()}

    def whole(self, step: int, batch: Batch | None = None) -> dict[str, np.ndarray]:
        """Return the states of all runs of the batch."""
        found, there = states.read_snapshot(self.path, self.planned.number, step, self.known)
        over = self.runs[~there[self.mine]]
        if len(over):
            told = f"run {over[0]} was" if len(over) == 1 else f"{len(over)} runs, {over[0]} among them, were"
            others = "; allowed: run = a list of the others" if len(self.runs) > len(over) else ""
            raise StoreError(f"{str(self.path)!r}: {told} over before step {step}{others}")
        if batch is not None and "0" in found:
            return dict(zip(batch.leaf_names(), found.values(), strict=True))
        return found


def scored(batch: Batch, function: Callable[..., Any]) -> dict[str, np.ndarray]:
    """Return what a traced function of ``(program, lane, state, table)`` gives for every run of a batch [runs, ...]."""
    program = batch.cohort.program

    def one(lane_and_state: Any, table: Any) -> Any:
        lane, state = lane_and_state
        return function(program, lane, state, lane.table if table is None else table)

    found = jax.jit(over_lanes(one, batch.mesh, batch.cohort.block))((batch.constants, batch.states), batch.table)
    return {name: np.asarray(values)[batch.lanes.real] for name, values in jax.device_get(found).items()}


def redrawn(seed: int) -> Callable[..., Any]:
    """Return what draws the parameters of a run anew; 0 draws the first ones again."""

    def draw(program: Any, lane: Any, state: Any, table: Any) -> Any:
        key = stream(lane.experiment, "init")
        key = jax.random.fold_in(key, seed) if seed else key
        return lane.experiment.model.start(key, program.signature, lane.experiment.dtype)

    return draw


def forgotten(found: Mapping[str, np.ndarray], alive: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return states in which the optimizer remembers nothing of pruned weights."""

    def kept(name: str, leaf: np.ndarray) -> np.ndarray:
        mask = alive.get(name.rpartition(".")[2])
        if not name.startswith("optimizer") or mask is None or mask.shape != leaf.shape:
            return leaf
        return np.where(mask, leaf, 0).astype(leaf.dtype)

    return {name: kept(name, leaf) for name, leaf in found.items()}
