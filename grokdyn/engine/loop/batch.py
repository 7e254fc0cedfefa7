"""One batch of lanes on its way: chunk after chunk, lanes that are over left out, its state saved and restored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.checks.drawn import check_drawn
from grokdyn.engine.host.memory import check_room
from grokdyn.engine.host.progress import Tally
from grokdyn.engine.loop.lanes import Lanes
from grokdyn.engine.loop.watch import NEVER, Watch
from grokdyn.engine.plan.cohort import Cohort, dealt
from grokdyn.engine.store.results import MISSING, Part
from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.split import without
from grokdyn.train.compiled import compile_both, lane_mesh, placed, programs, shapes_on
from grokdyn.train.lane import OK

# What could be computed in the time that it takes to move a byte between devices.
OPERATIONS_PER_BYTE = 2000


class Shared(NamedTuple):
    """What the batches of a cohort share on the devices: the mesh of lanes, the table and what is given."""

    mesh: Any
    table: Any
    given: Any

    @classmethod
    def of(cls, cohort: Cohort, devices: Sequence[Any]) -> Shared:
        mesh = lane_mesh(list(devices[: cohort.devices]))
        return cls(mesh, *placed((cohort.table, cohort.given), mesh, sharded=False))


class Batch:
    """The runs of one batch.

    Between chunks the host looks at what was recorded: a run whose loss was not finite, or to which a stop rule
    applies, is over. Its lane is left out of the chunks that follow, and its records after its end are nan. So the
    results are those of the same rules applied afterwards to runs of full length, whatever the chunks.

    Args:
        trains: it will be advanced, so that the program for it may be compiled beside that of its start.
    """

    def __init__(self, cohort: Cohort, positions: np.ndarray, shared: Shared, trains: bool = False):
        self.cohort, self.mesh, self.table = cohort, shared.mesh, shared.table
        self.lanes = Lanes.of(positions)
        check_room(cohort.bytes_of(len(self.lanes)), self.mesh.devices.flat[0])
        self.tried = False
        self.programs = programs(cohort.program, self.mesh, cohort.block, cohort.experiments)
        numbers = placed(jax.tree.map(lambda column: column[positions], cohort.experiments), self.mesh, sharded=True)
        self.chunk = 0
        if trains and not cohort.origin.groups:
            compile_both(self.programs, (numbers, self.table, shared.given), self.arguments_for)
        self.constants, self.states = self.programs.begin(numbers, self.table, shared.given)
        check_drawn(cohort.template.task, self.constants.table, cohort.program.signature)
        if cohort.origin.groups:
            self.go_on()
        self.records: dict[str, np.ndarray] = {}
        rules = jax.tree.map(lambda column: column[positions], cohort.experiments.stop)
        self.watch = Watch(rules, len(self.lanes), cohort.measured_at)

    def go_on(self) -> None:
        """Take over the states that the runs go on from, and what training does not move in them."""
        origin, runs = self.cohort.origin, self.cohort.runs[self.lanes.positions[self.lanes.real]]
        self.adopt(origin.states(runs), origin.step)
        first, moves, alive = self.constants.initial_params, origin.moves(runs), origin.alive(runs)
        if moves:
            self.constants = replace(self.constants, moves=self.on_lanes(moves))
        stays = origin.stays(runs)
        if stays is not None:
            self.leave_out(stays[self.lanes.run_of])
        if first is not None and origin.step == 0:
            first = self.states.params
        elif first is not None and alive:
            first = jax.tree.map(lambda a, w: np.where(a[self.lanes.run_of], w, 0), alive, jax.device_get(first))
            first = placed(first, self.mesh, sharded=True)
        self.constants = replace(self.constants, initial_params=jax.tree.map(jnp.copy, first))

    def leave_out(self, stays: np.ndarray) -> None:
        """Take from the train rows of every lane those that do not stay; raise SpecError if not all of these train."""
        split = without(jax.device_get(self.constants.split), stays)
        if not np.array_equal(np.asarray(split.left_out), ~stays):
            told = Words("another split than that whose rows were left out")
            raise SpecError("change", told, "the seeds, train rows and task that the states were stored with")
        self.constants = replace(self.constants, split=placed(split, self.mesh, sharded=True))

    def on_lanes(self, arrays: Mapping[str, np.ndarray]) -> Any:
        """Return arrays of the runs [runs, ...] on the devices, lane by lane."""
        return placed({name: np.asarray(x)[self.lanes.run_of] for name, x in arrays.items()}, self.mesh, sharded=True)

    @property
    def size(self) -> int:
        """Number of runs."""
        return len(self.lanes.real)

    @property
    def done(self) -> bool:
        """Whether every run of the batch is over."""
        return self.chunk >= len(self.cohort.schedule) or not self.lanes.active.any()

    @property
    def step(self) -> int:
        """How far the batch has come."""
        return int(self.cohort.schedule[self.chunk - 1, -1]) if self.chunk else self.cohort.first_step

    def advance(self) -> None:
        """Train the active lanes for one chunk."""
        self.spread()
        self.states, found = self.advanced(*self.ahead())
        trained = self.lanes.active.copy()
        self.keep(jax.device_get(found), trained)
        self.chunk += 1
        self.end_runs(trained)

    def ahead(self) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        """Return the stretches of the next chunk, and at which of its pauses every cadence is due."""
        return self.cohort.stretches[self.chunk], self.cohort.due(self.cohort.schedule[self.chunk])

    def advanced(self, stretches: np.ndarray, due: Mapping[str, np.ndarray]) -> Any:
        """Call the compiled program: return the new states and the records [lanes, pauses, ...]."""
        arguments = self.arguments((self.constants, self.states), stretches, due)
        if not self.tried:
            self.tried = True
            check_room(self.program_bytes(*arguments), self.mesh.devices.flat[0])
        return self.programs.advance(*arguments)

    def arguments_for(self, shapes: tuple[Any, Any]) -> tuple[Any, ...]:
        """Return what the compiled program is called with first, for shapes of constants and states."""
        return self.arguments(shapes_on(self.mesh, shapes), *self.ahead())

    def arguments(
        self, lanes: tuple[Any, Any], stretches: np.ndarray, due: Mapping[str, np.ndarray]
    ) -> tuple[Any, ...]:
        """Return what the compiled program is called with, for constants and states of the lanes."""
        placement = placed(self.placement(), self.mesh, sharded=True)
        return *lanes, *placement, self.table, *placed((stretches, due), self.mesh, sharded=False)

    def program_bytes(self, *arguments: Any) -> int:
        """Return the bytes that the compiled program takes on all devices, besides what it is given."""
        known = self.programs.advance.lower(*arguments).compile().memory_analysis()  # the call does not compile again
        if known is None:
            return 0
        each = known.temp_size_in_bytes + known.output_size_in_bytes - known.alias_size_in_bytes
        return self.cohort.devices * max(0, each)

    def placement(self) -> tuple[np.ndarray, np.ndarray]:
        """Return for each device the places of its lanes, the active ones first, and how many are active."""
        active = self.lanes.active.reshape(self.cohort.devices, -1)
        order = np.argsort(~active, axis=1, kind="stable").astype(np.int32)
        return order.ravel(), active.sum(axis=1).astype(np.int32)

    def spread(self) -> None:
        """Deal the active lanes over the devices anew, where some have many more left than others and it pays."""
        counts = self.lanes.active.reshape(self.cohort.devices, -1).sum(axis=1)
        saved = int(counts.max()) - -(-int(counts.sum()) // self.cohort.devices)
        work = self.cohort.update_operations * saved * (self.cohort.last_step - self.step)
        if work > OPERATIONS_PER_BYTE * self.cohort.lane_bytes * len(self.lanes):
            self.move(dealt(np.argsort(~self.lanes.active, kind="stable"), self.cohort.devices))

    def move(self, places: np.ndarray) -> None:
        """Put the lanes that are at some places into the first, second, ... place."""
        self.lanes.move(places)
        self.records = {name: values[places] for name, values in self.records.items()}
        self.watch.move(places)
        moved = jax.tree.map(lambda x: x[places], jax.device_get((self.constants, self.states)))
        self.constants, self.states = placed(moved, self.mesh, sharded=True)

    def keep(self, found: Mapping[str, np.ndarray], trained: np.ndarray) -> None:
        """Write a chunk's records where they belong; pauses that are not recorded fall away."""
        pauses, first = np.unique(self.cohort.schedule[self.chunk], return_index=True)
        places = np.flatnonzero(np.isin(self.cohort.recorded, pauses))
        wanted = first[np.isin(pauses, self.cohort.recorded)]
        for name, values in found.items():
            if name not in self.records:
                shape = (len(self.lanes), len(self.cohort.recorded), *values.shape[2:])
                self.records[name] = np.full(shape, np.nan)
            self.records[name][np.ix_(trained, places)] = values[np.ix_(trained, wanted)]

    def end_runs(self, trained: np.ndarray) -> None:
        """Find the runs that are over and drop what they recorded after their end."""
        states = jax.device_get({"status": self.states.status, "diverged_at": self.states.diverged_at})
        seen = int(np.searchsorted(self.cohort.recorded, self.step, side="right"))
        over = np.where(states["status"] != OK, states["diverged_at"].astype(np.int64), NEVER)
        stops = self.watch.ends(self.cohort.recorded[:seen], self.records, trained)
        for lane in np.flatnonzero(self.lanes.end(over, stops, trained)):
            late = int(np.searchsorted(self.cohort.recorded, self.lanes.ends_after[lane], side="right"))
            for values in self.records.values():
                values[lane, late:] = np.nan

    def look(self) -> dict[str, np.ndarray]:
        """Return what the probes see of every lane now [lanes, ...]; nothing is trained."""
        still = np.zeros(1, np.int32)
        all_due = {cadence: np.ones(1, bool) for cadence in self.cohort.due(still)}
        self.states, found = self.advanced(still, all_due)
        return {name: values[:, 0] for name, values in jax.device_get(found).items()}

    def status(self) -> dict[str, np.ndarray]:
        """Return how the runs ended [runs]."""
        states = jax.device_get({"status": self.states.status, "diverged_at": self.states.diverged_at})
        diverged = (states["status"] != OK) & (self.lanes.stopped_at < 0)
        found = {
            "status": np.where(diverged, states["status"], OK),
            "diverged_at": np.where(diverged, states["diverged_at"], -1),
            "stopped_at": self.lanes.stopped_at,
        }
        return {name: values[self.lanes.real] for name, values in found.items()}

    def tally(self) -> Tally:
        """Return how runs have ended so far."""
        over, stopped = self.lanes.ends_after[self.lanes.real] < NEVER, self.lanes.stopped_at[self.lanes.real] >= 0
        done = ~over if self.done else np.zeros_like(over)
        return Tally(int(done.sum()), int(stopped.sum()), int((over & ~stopped).sum()))

    def part(self) -> Part:
        """Return what the batch has found so far; the status of runs in training is that of missing ones."""
        ended, going = self.status(), self.lanes.active[self.lanes.real] & (not self.done)
        return Part(
            self.cohort.runs[self.lanes.positions[self.lanes.real]],
            self.cohort.recorded,
            self.cohort.variables,
            {name: values[self.lanes.real] for name, values in self.records.items()},
            {**ended, "status": np.where(going, MISSING, ended["status"])},
        )

    def leaves(self) -> list[np.ndarray]:
        """Return the state of all runs, leaf by leaf [runs, ...].

        What is stored is in the order of the runs: that of the lanes depends on the number of devices, and another
        process may have another number.
        """
        return [np.asarray(leaf)[self.lanes.real] for leaf in jax.tree.leaves(jax.device_get(self.states))]

    def leaf_names(self) -> list[str]:
        """Return what every leaf of the state is called, such as ``params.W_0``."""
        paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(self.states)[0]]
        names = [jax.tree_util.keystr(path, simple=True, separator=".") for path in paths]
        return names if len(set(names)) == len(names) else [jax.tree_util.keystr(path) for path in paths]

    def named(self) -> dict[str, np.ndarray]:
        """Return the state of all runs by the names of its leaves [runs, ...]."""
        return dict(zip(self.leaf_names(), self.leaves(), strict=True))

    def adopt(self, states: Mapping[str, np.ndarray], step: int = -1) -> None:
        """Take over the state of all runs, its leaves by name or in their order, in the dtype of this batch.

        Args:
            step: at which it was; at step 0 an optimizer remembers nothing yet, so that another's memory is as good. A
                state without any memory lets the optimizer begin anew at every step.

        Raises:
            SpecError: if it is the state of another model or optimizer, as far as names and shapes tell.
        """
        names, own = self.leaf_names(), self.leaves()
        if [*states] == [str(i) for i in range(len(states))]:  # an earlier version wrote it
            states = dict(zip(names, states.values(), strict=False)) if len(states) == len(names) else {}
        anew = step == 0 or not any(map(of_optimizer, states))
        begun = {name for name in names if anew and of_optimizer(name)}
        leaves = [own[i] if name in begun and name not in states else states.get(name) for i, name in enumerate(names)]
        if not self.fits(leaves):
            unknown = [name for name, leaf in zip(names, leaves, strict=True) if leaf is None]
            told = f"another structure{f': {unknown[0]} is new' if unknown else ''}"
            raise SpecError("change", Words(told), "the model and optimizer that the state was stored with")
        alike = zip(leaves, jax.tree.leaves(self.states), strict=True)
        leaves = [np.asarray(leaf)[self.lanes.run_of].astype(like.dtype, copy=False) for leaf, like in alike]
        self.states = placed(jax.tree.unflatten(jax.tree.structure(self.states), leaves), self.mesh, sharded=True)

    def fits(self, leaves: Sequence[Any]) -> bool:
        """Return whether leaves could be the state of this batch's runs, as far as shapes tell."""
        if any(leaf is None for leaf in leaves):
            return False
        expected = jax.tree.leaves(self.states)
        shapes = [(np.shape(x), np.asarray(x).dtype.kind) for x in leaves]
        return shapes == [((self.size, *x.shape[1:]), x.dtype.kind) for x in expected]

    def saved(self) -> dict[str, Any]:
        """Return all that a later process needs to go on from here, as a tree of arrays."""
        return {
            "step": np.int64(self.step),
            **self.lanes.saved(),
            "recorded": self.cohort.recorded,
            "records": {name: values[self.lanes.real] for name, values in self.records.items()},
            "states": self.named(),
        }

    def restore(self, saved: Mapping[str, Any]) -> bool:
        """Go on from what ``saved`` returned; return whether that can be done.

        Where the plan has changed since, records are kept by their steps; the batch begins anew where no chunk ends at
        the step of the state, or a step up to it is to be recorded that was not, or the state is of other tensors.
        """
        step, before = int(saved["step"]), saved["recorded"]
        chunks = np.flatnonzero(self.cohort.schedule[:, -1] == step)
        seen = self.cohort.recorded[self.cohort.recorded <= step]
        leaves = [saved["states"].get(name) for name in self.leaf_names()]
        if not len(chunks) or not np.isin(seen, before).all() or not self.fits(leaves):
            return False
        self.chunk = int(chunks[0]) + 1
        self.lanes.restore(saved)
        for name, values in saved["records"].items():
            self.records[name] = np.full((len(self.lanes), len(self.cohort.recorded), *values.shape[2:]), np.nan)
            self.records[name][:, : len(seen)] = values[self.lanes.run_of][:, np.searchsorted(before, seen)]
        self.adopt(saved["states"])
        return True


def of_optimizer(leaf: str) -> bool:
    """Return whether a leaf of a state is of what the optimizer remembers."""
    return leaf.lstrip(".").startswith("optimizer")
