"""More runs for a store that there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grokdyn.checks.names import check_axes
from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.scope import scope
from grokdyn.engine.loop.estimate import planned_seconds
from grokdyn.engine.loop.tune import tuned
from grokdyn.engine.machines.here import CHECKPOINT_SECONDS, check_disk
from grokdyn.engine.machines.where import executor
from grokdyn.engine.mend import parts_of
from grokdyn.engine.plan.effect import check_effect
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.store import reading, states
from grokdyn.engine.store.collect import collect
from grokdyn.engine.store.damage import read_results
from grokdyn.engine.store.extension import complete, held, stage
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.manifest import check_same, described
from grokdyn.engine.store.noted import generations
from grokdyn.engine.store.results import MISSING, Part
from grokdyn.spec import base
from grokdyn.spec.paths import place_of
from grokdyn.spec.points import RUN, columns
from grokdyn.spec.sweep import Sweep


def extend(
    path: str | Path,
    points: Sequence[Mapping[str, Any]] | Mapping[str, Any],
    progress: bool | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    cluster: Any = None,
    anyway: bool = False,
) -> Any:
    """Add runs to a store, finished or not, train what is not finished, and return the results of all.

    The new runs follow the old ones along the dimension ``run``; a store of a product of axes becomes one of points,
    of which ``gd.to_grid`` makes the grid again. What has been trained is not trained again, and its bits stay; killed
    half way the store has the old runs or all, and ``resume`` goes on.

    Args:
        path: the store.
        points: path -> value for every new run, of all paths that the store varies; where others are varied, the old
            runs have what their spec says. Or axes as those of a ``Sweep``, of which every combination is a new run.
        progress, checkpoint_seconds, cluster: as in ``run``.
        anyway: although versions or device have changed since the store was made.

    Raises:
        SpecError: for points that lack a path, or that the store has already; nothing is written.
        StoreError: if the folder is not a store, is damaged, or another process trains or extends it.
    """
    path = place_of(path)
    complete(path)
    with executor(cluster) as trainer:
        with held(path):
            grow(path, points, anyway, trainer.batches)
        complete(path)
        trainer.train(path, progress=progress, anyway=anyway, checkpoint_seconds=checkpoint_seconds)
    return collect(path)


def grow(path: Path, points: Any, anyway: bool, batches: int) -> None:
    """Plan new runs of a store, in so many batches at least where they are enough, and put them into it."""
    sweep, known = reading.read_spec(path, anyway), reading.read_manifest(path, anyway)
    start, origin = states.read_start(path, known), states.read_origin(path, known)
    points = [*Sweep(sweep.base, points).points()] if isinstance(points, Mapping) else points
    if origin.parents is not None:
        raise StoreError(
            f"{str(path)!r}: its runs go on from those of another store; allowed: to extend that one, or fork"
        )
    before, after = old_and_new(sweep, points)
    whole = Sweep(sweep.base, {RUN: {"zip": {name: before[name] + after[name] for name in after}}})
    fresh = Sweep(sweep.base, {RUN: {"zip": after}})
    with scope(whole):
        found = devices()
        check_same(known, described(sweep, found), anyway, "extend")
        plan = Plan.of(fresh, found, start, origin, batches)
        check_axes(list(whole.shape), [cohort.variables for cohort in plan.cohorts])
        check_effect(plan, True)
        check_disk(path, plan.results_bytes + plan.snapshot_bytes)
        plan = tuned(plan, found)
        changes = {name: described(whole, found)[name] for name in ("spec", "axes", "own_code", "precision")}
        stage(path, {**appended(known, plan, found, sweep.size), **changes}, finished_parts(path, known), known)


def old_and_new(sweep: Sweep, points: Any) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return the values of every path of the old runs and of the new ones.

    Raises:
        SpecError: for points that lack a path.
    """
    given = columns(points)
    paths = [*sweep.axes, *(path for path in given if path not in sweep.axes)]
    after = columns(points, paths)
    before: dict[str, list[Any]] = {path: [] for path in paths}
    for experiment, point in zip(sweep.experiments(), sweep.points(), strict=True):
        for path in paths:
            before[path].append(point[path] if path in point else value_at(experiment, path))
    return before, after


def value_at(experiment: Any, path: str) -> Any:
    """Return the value of a field at a dotted path."""
    owner, name, _ = base.find(experiment, path)
    return getattr(owner, name)


def appended(known: Mapping[str, Any], plan: Plan, found: list[Any], runs: int) -> dict[str, Any]:
    """Return a manifest with the cohorts of new runs after the old ones."""
    more, seconds = plan.described(), planned_seconds(plan.cohorts, found)
    before = [{"runs": runs, "cohorts": cohorts} for runs, cohorts in generations(known, runs)]
    planned = known.get("planned_seconds")
    return {
        **{name: value for name, value in known.items() if name not in ("checksums", "results")},
        **{name: [*known.get(name, []), *values] for name, values in more.items()},
        "generations": [*before, {"runs": plan.sweep.size, "cohorts": len(plan.cohorts)}],
        "planned_seconds": None if seconds is None or planned is None else planned + seconds,
    }


def finished_parts(path: Path, known: dict[str, Any]) -> Iterator[tuple[int, Part]]:
    """Yield what the batches of a finished store have found, which is in its results only."""
    if reading.is_finished(path):
        for number, part in enumerate(parts_of(path, read_results(path, known))):
            if (part.status["status"] != MISSING).all():
                yield number, part
