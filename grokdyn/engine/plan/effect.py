"""Settings without effect: an axis is refused, a single one is told."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from grokdyn.engine.host.say import say
from grokdyn.engine.plan.cohort import Cohort
from grokdyn.engine.plan.plan import Plan
from grokdyn.spec import base
from grokdyn.spec.errors import SpecError, Words, line
from grokdyn.spec.record import At
from grokdyn.spec.sweep import Sweep
from grokdyn.train.compiled import MOST_PROGRAMS
from grokdyn.train.lane import Program
from grokdyn.train.liveness import read_numbers
from grokdyn.train.start import Start

# Parameterisations with factors in the forward pass: there ``init`` does more than draw.
SCALED = ("ntk", "mup")
# What the host reads besides the compiled program.
HOST = ("stop", "probes", "record", "snapshots", "steps")
UNREAD = "nothing that is trained or recorded depends on it"


def check_effect(plan: Plan, stored: bool, asked: Collection[str] = ()) -> None:
    """Tell which settings of a sweep, or of a single run, change nothing.

    Args:
        stored: whether there is a store.
        asked: paths that were set for these runs alone, as in a fork.

    Raises:
        SpecError: for an axis of several values whose runs are all alike, naming it and why.
    """
    sweep = plan.sweep
    rounds = {*sweep.round_paths, *handed_on(plan)}
    axes = [axis.paths[0] for axis in sweep.dims.values() if axis.size > 1 and not axis.zipped]
    axes = [path for path in axes if path not in rounds]
    beside = [path for axis in sweep.dims.values() if axis.zipped for path in axis.paths if path not in rounds]
    ignored = everywhere(plan, stored)
    dead = unread(plan.cohorts, [*axes, *beside, *asked])
    for path in axes:
        why = covered(path, ignored) or (UNREAD if path in dead else "")
        if why:
            came = Words(f"{len(sweep.axes[path])} values that give the same run")
            raise SpecError(f"sweep.{path}", came, "an axis that changes something", why)
    together(sweep, ignored, dead)
    told = {path: why for path, why in ignored.items() if path not in sweep.axes}
    told |= {path: UNREAD for path in dead if path in asked and not covered(path, ignored)}
    for path, why in told.items():
        owner, name = owner_of(sweep.base, path)
        value = base.rules(type(owner))[name].encode(getattr(owner, name))
        say(f"{path} = {line(str(value), 40)} has no effect: {why}")


def handed_on(plan: Plan) -> Iterator[str]:
    """Yield the paths of axes along which runs go on from different states: whatever else, these change something."""
    parents = plan.cohorts[0].origin.parents
    if parents is None:
        return
    grid = parents.reshape([axis.size for axis in plan.sweep.dims.values()])
    for place, axis in enumerate(plan.sweep.dims.values()):
        if np.any(grid != grid.take([0], axis=place)):
            yield from axis.paths


def together(sweep: Sweep, ignored: Mapping[str, str], dead: Collection[str]) -> None:
    """Tell of paths that move together with others and change nothing.

    Raises:
        SpecError: where the others do not either, so that runs would be alike.
    """
    for name, axis in sweep.dims.items():
        whys = {path: covered(path, ignored) or (UNREAD if path in dead else "") for path in axis.paths}
        live = [values for path, values in zip(axis.paths, axis.columns, strict=True) if not whys[path]]
        if not axis.zipped or all(not why for why in whys.values()):
            continue
        if len(set(zip(*live, strict=True))) < axis.size and axis.size > 1:
            came = Words(f"{axis.size} points, some of which give the same run")
            raise SpecError(f"sweep.{name}", came, "points that differ in more", next(filter(None, whys.values())))
        for path, why in whys.items():
            if why and len(set(sweep.axes[path])) > 1:
                say(f"{path} has no effect: {why}")


def everywhere(plan: Plan, stored: bool) -> dict[str, str]:
    """Return the paths that have no effect in any run, and why, as far as somebody has set or swept them."""
    start = plan.start
    ends = {int(run): cohort for cohort in plan.cohorts for run in cohort.runs}
    found: dict[str, str] = {}
    for run, experiment in enumerate(plan.experiments):
        cohort = ends[run]
        moments = None if cohort.given is None else cohort.given.moments
        steps = cohort.last_step + (0 if moments is None else int(moments["step"]))
        here = {**dict(unused(experiment, steps)), **dict(overridden(experiment, start))}
        if not stored:
            here["snapshots"] = "there is no store to keep them; give run an out"
        if run:
            found = {path: why for path, why in found.items() if path in here}
        else:
            swept = [path for path in here if any(f"{axis}.".startswith(f"{path}.") for axis in plan.sweep.axes)]
            found = {p: why for p, why in here.items() if p in swept or set_on_purpose(experiment, p, cohort, start)}
        if not found:
            break
    return found


def unused(spec: Any, steps: int, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of a spec and of its parts that other fields leave without effect, with dotted paths."""
    for cls in reversed(type(spec).__mro__):
        if callable(vars(cls).get("ignored")):
            for name, why in cls.ignored(spec, steps):
                yield base.join(path, name), why
    for name in base.rules(type(spec)):
        part = getattr(spec, name)
        parts = [(f"{name}[{i}]", one) for i, one in enumerate(part)] if isinstance(part, tuple) else [(name, part)]
        for where, one in parts:
            if isinstance(one, base.Spec):
                yield from unused(one, steps, base.join(path, where))


def overridden(experiment: Any, start: Start | None) -> Iterator[tuple[str, str]]:
    """Yield what a Start has been given in place of."""
    if start is None:
        return
    if start.params is not None:
        drawn = getattr(experiment.model, "init", None) not in (None, *SCALED)
        paths = ("model.init_scale", "seeds.init", *(("model.init",) if drawn else ()))
        yield from ((path, "start.params are given") for path in paths)
    if start.train_rows is not None:
        paths = ("task.train_fraction", "task.train_points", "seeds.split")
        yield from ((path, "start.train_rows are given") for path in paths)
    if start.train_labels is not None:
        yield from ((path, "start.train_labels are given") for path in ("task.noise", "seeds.noise"))


def covered(path: str, ignored: Mapping[str, str]) -> str:
    """Return why a path, or the part that it belongs to, has no effect; nothing where it may have."""
    wholes = [path[:i] for i in range(len(path), 0, -1) if path[i:] == "" or path[i] == "."]
    return next((ignored[whole] for whole in wholes if whole in ignored), "")


def owner_of(spec: Any, path: str) -> tuple[Any, str]:
    """Return the spec that owns a field, ``[i]`` in the path being a place in a list of parts, and its name."""
    *parents, last = path.split(".")
    for part in parents:
        name, _, place = part.partition("[")
        spec = getattr(spec, name)[int(place[:-1])] if place else getattr(spec, name)
    return spec, last


def set_on_purpose(spec: Any, path: str, cohort: Cohort, start: Start | None) -> bool:
    """Return whether a field holds something other than it would untouched, and than what comes to pass anyhow."""
    owner, name = owner_of(spec, path)
    value, known = getattr(owner, name), base.defaults(type(owner))
    if path == "task.train_fraction" and start is not None and start.train_rows is not None and cohort.given:
        count = spec.task.train_points is None and train_count(spec.task, cohort.program.signature.rows)
        return value != known[name] and count != cohort.given.n_train
    if path == "steps" and isinstance(spec.record, At):
        return value > max(cohort.last_step, 1)
    return name not in known or value != known[name]


def train_count(task: Any, rows: int) -> int:
    return int(jax.tree.map(np.asarray, task).train_count(rows))


def unread(planned: Sequence[Cohort], paths: Sequence[str]) -> set[str]:
    """Return which of some paths are numbers that no compiled program reads."""
    paths = [path for path in paths if path.partition(".")[0] not in HOST]
    for cohort in planned:
        places = {path: place for path in paths if (place := place_of_leaf(cohort.template, path)) is not None}
        if not places:
            return set()
        stretches = jax.ShapeDtypeStruct(cohort.stretches.shape[1:], np.int32)
        table, given = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype), (cohort.table, cohort.given))
        due = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), cohort.due(cohort.schedule[0]))
        numbers = jax.tree.map(lambda column: jax.ShapeDtypeStruct((), column.dtype), cohort.experiments)
        shapes, structure = jax.tree.flatten((numbers, table, given, stretches, due))
        resumed, asked = bool(cohort.origin.groups), tuple(places.values())
        read = read_of(cohort.program, tuple(shapes), structure, resumed, asked)
        paths = [path for path, place in places.items() if place not in read]
    return set(paths)


@lru_cache(maxsize=MOST_PROGRAMS)
def read_of(program: Program, shapes: tuple[Any, ...], structure: Any, resumed: bool, asked: tuple[int, ...]) -> Any:
    """Return ``read_numbers`` of a program: traced once, however often it is run, resumed or forked."""
    numbers, table, given, stretches, due = jax.tree.unflatten(structure, shapes)
    return read_numbers(program, numbers, table, given, stretches, due, resumed, asked)


def place_of_leaf(experiment: Any, path: str) -> int | None:
    """Return the place of a number among the leaves of an experiment; None for what is none."""
    owner, name = owner_of(experiment, path)
    value, rule = getattr(owner, name), base.rules(type(owner))[name]
    if not rule.node or not isinstance(value, int | float):
        return None
    mark = object()
    leaves = jax.tree.leaves(base.put(experiment, path, mark))
    return next((place for place, leaf in enumerate(leaves) if leaf is mark), None)
