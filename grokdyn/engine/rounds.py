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
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.round import Following
from grokdyn.tasks.streams import stream
from grokdyn.train.compiled import over_lanes
from grokdyn.train.origin import ROWS, Group, Origin

# The leaf of a state that says in which order mini-batches visit the train rows.
ORDER = "order"


def origin_of(path: Path, plan: Plan, known: Mapping[str, Any], found: Following) -> Origin:
    """Return the states that new runs go on from, and from which of them each does.

    A state is numbered by its run and by what was done to it: run + runs of the store x number of the beginning.

    Args:
        plan: of the store; known: its manifest.

    Raises:
        StoreError: if a snapshot is damaged, or runs were over before.
        SpecError: if an intervention cannot be done.
    """
    size, groups, across = plan.sweep.size, [], Across(path, plan, known)
    for number, (begin, looked) in enumerate(zip(found.beginnings, found.looked, strict=True)):
        runs = np.unique(found.parents[found.which == number])
        made = groups_of(path, plan, known, runs, looked, found.step, begin.apply, across)
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
    across: Across,
) -> list[Group]:
    """Return the states of some runs at a round's beginning, batch by batch.

    Args:
        looked: the snapshot that interventions look at; begin: the one that the new runs go on from.
        apply: what is done to the states.
        across: what all runs of the store have found.
    """
    groups = []
    for planned in plan.batches():
        mine = np.flatnonzero(np.isin(planned.runs, runs))
        if len(mine):
            source = Source(path, planned, known, mine)
            groups.append(source.group(looked, begin, apply, across))
    return groups


class Across:
    """Numbers of the rows in all runs of a store, and their means along axes of its sweep; each found once."""

    def __init__(self, path: Path, plan: Plan, known: Mapping[str, Any]):
        self.path, self.plan, self.known = path, plan, known
        self.found: dict[Any, np.ndarray] = {}

    def mean(self, function: Callable[..., Any], step: int, axes: Sequence[str]) -> np.ndarray:
        """Return what a traced function gives for the rows of the table at a step [runs, rows], see ``Runs.by_row``."""
        shape = self.plan.sweep.shape
        values = self.of_all(function, step)
        grid = values.reshape(*shape.values(), -1)
        along = tuple(place for place, name in enumerate(shape) if name in axes)
        there = ~np.isnan(grid)
        total = np.where(there, grid, 0).sum(along, keepdims=True)
        count = there.sum(along, keepdims=True)
        mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        return np.broadcast_to(mean, grid.shape).reshape(values.shape)

    def of_all(self, function: Callable[..., Any], step: int) -> np.ndarray:
        """Return the same of every run by itself."""
        if (function, step) not in self.found:
            rows = {planned.cohort.program.signature.rows for planned in self.plan.batches()}
            if len(rows) > 1:
                told = Words("tables of " + " and ".join(map(str, sorted(rows))) + " rows")
                raise SpecError("apply", told, "runs of tables of one size, for scores of their rows")
            made = np.full((self.plan.sweep.size, rows.pop()), np.nan)
            for planned in self.plan.batches():
                source = Source(self.path, planned, self.known, np.arange(len(planned.runs)))
                made[planned.runs] = source.scored(step, lambda *run: {"": function(*run)})[""]
            self.found[function, step] = made
        return self.found[function, step]


class Source:
    """A batch of a store whose states are taken up.

    Args:
        mine: the places of its runs that are wanted.
    """

    def __init__(self, path: Path, planned: Planned, known: Mapping[str, Any], mine: np.ndarray):
        self.path, self.planned, self.known, self.mine = path, planned, known, mine
        self.runs, self.origin = planned.runs[mine], planned.cohort.origin

    def batch(self) -> Batch:
        return Batch(self.planned.cohort, self.planned.lanes, Shared.of(self.planned.cohort, devices()))

    def scored(self, step: int, function: Callable[..., Any], batch: Batch | None = None) -> dict[str, np.ndarray]:
        """Return what a traced function gives for the wanted runs at a step."""
        batch = self.batch() if batch is None else batch
        batch.adopt(self.whole(step, batch))
        return {name: values[self.mine] for name, values in scored(batch, function).items()}

    def group(self, looked: int, begin: int, apply: Sequence[Intervention], across: Across) -> Group:
        """Return the states of a round's beginning."""
        found, rows = self.states(begin), self.planned.cohort.program.rows
        moves, alive, stays = self.origin.moves(self.runs), self.origin.alive(self.runs), self.origin.stays(self.runs)
        if not apply:
            return Group(self.runs, rows, found, moves, alive, {} if stays is None else {ROWS: stays})
        batch = self.batch()
        if "0" in found:  # an earlier version numbered them
            found = dict(zip(batch.leaf_names(), found.values(), strict=True))
        names = {name.removeprefix("params."): name for name in found if name.startswith("params.")}
        before = made = self.handed(batch, names, found, looked, begin, moves, alive, across)
        for each in apply:
            made = each.applied(made)
        found |= self.reordered(batch, found, before.trains & ~made.stays)
        stays = {} if made.stays.all() else {ROWS: made.stays}
        alive, moves = made.alive, {name: made.moves[name] & made.alive[name] for name in names}
        found |= {names[name]: np.where(alive[name], w, 0).astype(w.dtype) for name, w in made.params.items()}
        found = forgotten(found, alive) if made.remembered else without_memory(found)
        return Group(self.runs, rows, found, moves, alive, stays)

    def handed(
        self,
        batch: Batch,
        names: Mapping[str, str],
        found: Mapping[str, np.ndarray],
        looked: int,
        begin: int,
        moves: Mapping[str, np.ndarray],
        alive: Mapping[str, np.ndarray],
        across: Across,
    ) -> Runs:
        """Return the runs as interventions see them."""
        params = {name: found[leaf] for name, leaf in names.items()}
        whole = {name: np.ones(w.shape, bool) for name, w in params.items()}
        seen = params if looked == begin else {n: self.states(looked, batch)[leaf] for n, leaf in names.items()}
        seeds = batch.cohort.experiments.seeds.init
        seeds = batch.cohort.experiments.seed if seeds is None else seeds
        positions = batch.lanes.positions[batch.lanes.real][self.mine]

        trains, stays = self.divided(batch)

        def scores(function: Callable[..., Any]) -> dict[str, np.ndarray]:
            return self.scored(looked, function, batch)

        def by_row(function: Callable[..., Any], axes: Sequence[str]) -> np.ndarray:
            return across.mean(function, looked, axes)[self.runs]

        def drawn(seed: int) -> dict[str, np.ndarray]:
            return {name: values[self.mine] for name, values in scored(batch, redrawn(seed)).items()}

        masks = {**whole, **alive}, {**whole, **moves}
        own = np.asarray(seeds)[positions]
        return Runs(params, seen, *masks, own, scores, drawn, stays, trains, by_row)

    def split(self, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return order, number of train rows, and which rows are left out, of the wanted runs."""
        split = batch.constants.split
        arrays = jax.device_get((split.order, split.n_train, split.left_out))
        return jax.tree.map(lambda x: x[batch.lanes.real][self.mine], arrays)

    def divided(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Return which rows of the table train, and which were never left out, bool [runs, rows]."""
        order, n_train, left_out = self.split(batch)
        trains = np.zeros(order.shape, bool)
        np.put_along_axis(trains, order, np.arange(order.shape[1]) < n_train[:, None], 1)
        return trains, np.ones_like(trains) if left_out is None else ~left_out

    def reordered(self, batch: Batch, found: Mapping[str, np.ndarray], gone: np.ndarray) -> dict[str, np.ndarray]:
        """Return the order in which mini-batches visit the train rows, without those that no longer train.

        A pass that is under way goes on without them. The order holds ranks, which are other ones now.
        """
        if ORDER not in found or not gone.any():
            return {}
        places, _, _ = self.split(batch)
        visits = found[ORDER]
        out = np.zeros(visits.shape, bool)
        known = min(visits.shape[1], places.shape[1])
        out[:, :known] = np.take_along_axis(gone, places, 1)[:, :known]
        # Stable: rows that stay keep their order, the others come after them.
        ranks = np.argsort(np.argsort(out, axis=1, kind="stable"), axis=1)
        left = np.argsort(np.take_along_axis(out, visits, 1), axis=1, kind="stable")
        return {ORDER: np.take_along_axis(ranks, np.take_along_axis(visits, left, 1), 1).astype(visits.dtype)}

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


def without_memory(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return states without what the optimizer remembers, which then begins anew."""
    return {name: leaf for name, leaf in found.items() if not name.startswith("optimizer")}
