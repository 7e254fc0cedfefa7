"""Run experiments and sweeps: the host loop around the compiled program.

A sweep with a store goes through three steps that may be taken by different processes: ``create`` writes the folder,
``work`` trains batches and writes what each found, ``collect`` puts it together.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from grokdyn.checks.names import check_axes
from grokdyn.engine import pieces, plan, store
from grokdyn.engine.batch import Batch
from grokdyn.engine.devices import devices, peak_bytes
from grokdyn.engine.effect import check_effect
from grokdyn.engine.estimate import planned_seconds
from grokdyn.engine.files import StoreError, writing
from grokdyn.engine.interrupt import Wish, wish_to_stop
from grokdyn.engine.keeper import Forgetful, Keeper, told
from grokdyn.engine.lazy import in_memory
from grokdyn.engine.manifest import check_same, described, identity
from grokdyn.engine.memory import SPARE, OutOfMemoryError, available, is_short
from grokdyn.engine.memory import told as size_told
from grokdyn.engine.mend import mend
from grokdyn.engine.progress import Reporter, reporter
from grokdyn.engine.results import Part, joined
from grokdyn.engine.scope import scope
from grokdyn.engine.tune import tuned
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.identity import homeless
from grokdyn.spec.paths import place_of
from grokdyn.spec.sweep import Sweep
from grokdyn.train.compiled import TRACES, lane_mesh, placed
from grokdyn.train.start import Origin, Start

CHECKPOINT_SECONDS = 60.0
# Numbers are not compressed further than to this share, unless runs end early.
LEAST_COMPRESSED = 0.1


def run(
    what: Experiment | Sweep,
    out: str | Path | None = None,
    start: Start | None = None,
    progress: bool | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    cluster: Any = None,
) -> xr.Dataset:
    """Train an experiment, or every run of a sweep, and return what the probes saw.

    Args:
        what: the description.
        out: folder for the store (spec, manifest, results); default: results stay in memory.
        start: given parameters, train rows or labels, the same for every run.
        progress: show progress on standard error; default: a bar on a terminal, else a line every ten seconds.
        checkpoint_seconds: with ``out``, the state is saved between chunks when this long has passed.
        cluster: where to train, ``"local:4"`` for so many processes on this machine, ``"tcp://..."`` for a dask
            scheduler, its scheduler file (``*.json``), or a dask ``Client``; all its machines must see ``out``.

    Returns:
        Dataset with dims (swept axes..., step, probe axes...), the probes' variables, and per run ``status``
        (0 ok, 1 the loss was not finite), ``diverged_at`` (that step, or -1) and ``stopped_at`` (the last step of a
        run that a stop rule ended, or -1). Records after a run's end are nan.

    Raises:
        SpecError: for a mistake in the description, before anything is compiled or written.
        OutOfMemoryError: if memory is too small for a single run.
        StoreError: if ``out`` is not empty or cannot be written.
        Interrupted: after Ctrl-C or SIGTERM, with ``out``: the state is saved and ``resume`` goes on from it.
        ClusterError: if the cluster does not answer, goes away, or cannot train a batch; ``resume`` goes on.
    """
    sweep = what if isinstance(what, Sweep) else Sweep(what, {})
    out = None if out is None else place_of(out, "out")
    if cluster is not None:
        from grokdyn.engine.cluster import run_on

        return run_on(cluster, sweep, out, start, progress, checkpoint_seconds)
    return execute(sweep, out, start, plan.NOWHERE, progress, checkpoint_seconds)


def execute(
    sweep: Sweep,
    out: str | Path | None,
    start: Start | None,
    origin: Origin,
    progress: bool | None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    asked: Collection[str] = (),
) -> xr.Dataset:
    """Train a sweep from its beginning or from a stored state, in memory or into a store.

    Args:
        asked: paths that were set for these runs alone: those without effect are told.
    """
    if out is not None:
        out = place_of(out, "out")
        create(sweep, out, start, origin, alone=True, asked=asked)
        work(out, progress=progress, checkpoint_seconds=checkpoint_seconds, sweep=sweep)
        return collect(out)
    with scope(sweep):
        found = devices()
        experiments = list(sweep.experiments())
        planned = plan.cohorts(experiments, start, found, origin=origin)
        check_axes(list(sweep.shape), [plan.variables(cohort) for cohort in planned])
        check_effect(sweep, experiments, planned, start, False, asked)
        check_memory(plan.results_bytes(sweep, planned))
        planned = tuned(planned, found)
        with reporter(plan.run_steps(planned), progress) as shown:
            parts = list(trained(planned, found, shown, Forgetful()))
            return store.labelled(sweep, sweep.to_toml(), parts, keep=False)


def check_memory(results: int) -> None:
    """Raise SpecError where results that stay in memory would not fit into it."""
    if results + SPARE > (there := available()):
        allowed = f"a folder, where results of {size_told(results)} in memory, of which {size_told(there)} can be had,"
        raise SpecError("out", Words("nothing"), f"{allowed} are put together in pieces")


def resume(
    path: str | Path,
    progress: bool | None = None,
    anyway: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    cluster: Any = None,
) -> xr.Dataset:
    """Go on with an interrupted sweep and return its results; batches that are finished are not run again.

    With the same versions and device kind the result is, bit for bit, that of a sweep never interrupted.

    Args:
        path: the store.
        anyway: go on although versions, device or spec have changed since; a batch half way begins anew where steps
            are to be recorded that it has passed.
        cluster: as in ``run``; a sweep need not go on where it began.

    Raises:
        StoreError: if the folder is not a store, is damaged, or something has changed, naming it. Results that are
            damaged are no error: the batches that lost something are trained again.
    """
    path = place_of(path)
    if store.is_finished(path):
        mend(path, anyway)
    if cluster is not None:
        from grokdyn.engine.cluster import resume_on

        return resume_on(cluster, path, progress, anyway, checkpoint_seconds)
    work(path, progress=progress, anyway=anyway, checkpoint_seconds=checkpoint_seconds)
    return collect(path)


def create(
    sweep: Sweep,
    out: str | Path,
    start: Start | None = None,
    origin: Origin = plan.NOWHERE,
    batches: int = 1,
    alone: bool = False,
    asked: Collection[str] = (),
) -> int:
    """Plan a sweep and make its store, without training; return the number of batches.

    Args:
        batches: at least so many where there are runs enough, for processes to share.
        alone: this process trains them all.
        asked: as in ``execute``.

    Raises:
        SpecError, StoreError: as ``run``.
    """
    out = place_of(out, "out")
    store.check_free(out)
    check_nameable(sweep, alone)
    with scope(sweep):
        found = devices()
        experiments = list(sweep.experiments())
        planned = plan.cohorts(experiments, start, found, origin=origin, batches=batches)
        check_axes(list(sweep.shape), [plan.variables(cohort) for cohort in planned])
        check_effect(sweep, experiments, planned, start, True, asked)
        check_disk(out, plan.results_bytes(sweep, planned) + plan.snapshot_bytes(planned))
        planned = tuned(planned, found)
        needed = [c.lane_bytes * len(c.batches[0]) for c in planned]
        costs = {"bytes_per_batch": needed, "planned_seconds": planned_seconds(planned, found)}
        made = {**described(sweep, found), "cohorts": plan.described(planned), **costs, "finished": False}
        store.create(out, sweep, start, origin, made)
    return sum(len(cohort.batches) for cohort in planned)


def check_disk(out: Path, size: int) -> None:
    """Raise StoreError where what is kept would not fit on the disk, however well it is compressed.

    Args:
        size: of results and snapshots in memory.
    """
    parent = next(p for p in (out, *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(parent).free
    if size * LEAST_COMPRESSED > free:
        kept = f"results and snapshots of {size_told(size)} in memory, {size_told(free)} are free"
        raise StoreError(f"out: {str(out)!r} is on a disk too small for {kept}; allowed: another disk, fewer records")


def check_nameable(sweep: Sweep, alone: bool) -> None:
    """Warn of what no other process could import by the name that the store notes: only opening needs no such thing.

    Raises:
        SpecError: where other processes are to train.
    """
    lost = homeless(sweep)
    try:
        Sweep.from_toml(sweep.to_toml())
    except SpecError as error:
        if not alone:
            allowed = "what a file can name, such as a function at the top of an importable module, where others train"
            raise SpecError(error.path, Words("something that cannot be written down"), allowed) from None
        lost = lost or [error.path]
    if lost and alone:
        warnings.warn(
            f"{', '.join(lost)}: cannot be imported by another process. The results can be opened there, but resume, "
            "probe and fork need it: to be able to, put it at the top of a file of its own and import it from there",
            stacklevel=5,
        )


def work(
    path: str | Path,
    batches: Collection[int] | None = None,
    progress: bool | None = None,
    anyway: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    wish: Wish | None = None,
    sweep: Sweep | None = None,
) -> None:
    """Train batches of a store that ``create`` made; those that are finished already cost nothing.

    Doing a batch twice, also at the same time in two processes, does no harm: both write the same file.

    Args:
        batches: their numbers; default: all.
        anyway: train although versions, device or spec have changed since the store was made.
        wish: tells besides signals, which reach the main thread only, when to save the state and stop.
        sweep: what the store was just made from; default: what its spec says.

    Raises:
        StoreError: if the folder is not a store, is damaged or cannot be written, or something has changed.
        Interrupted: after a signal, or when the wish is there.
    """
    path, began, traced = place_of(path), time.monotonic(), TRACES["advance"]
    if store.is_finished(path):
        return
    store.check_clear(path)
    sweep, known = sweep or store.read_spec(path, anyway, edited=True), store.read_manifest(path, anyway)
    with scope(sweep):
        found = devices()
        changed = accepted(path, sweep, known, found, anyway)
        known = store.read_manifest(path)
        sizes, experiments = plan.sizes_of(known), list(sweep.experiments())
        given = pieces.read_start(path, known), pieces.read_origin(path, known)
        planned = plan.cohorts(experiments, given[0], found, sizes, given[1])
        with (
            reporter(plan.run_steps(planned, batches), progress) as shown,
            wish_to_stop(wish) as asked,
            closing(Keeper(path, known, checkpoint_seconds, asked, shown.say)) as keeper,
        ):
            try:
                for _ in trained(planned, found, shown, keeper, batches):
                    pass
            except (StoreError, OSError):
                if not store.is_finished(path):  # else others have finished it, and removed the files under our feet
                    raise
            finally:
                session = {"seconds": round(time.monotonic() - began, 3), "compiles": TRACES["advance"] - traced}
                noted = {"changed": changed} if changed else {}
                store.note_session(path, {**session, "peak_bytes": peak_bytes(found), **noted})
    if store.is_finished(path):  # by others, while a batch was trained here once more
        store.settle(path)


def accepted(path: Path, sweep: Sweep, known: dict[str, Any], found: list[Any], anyway: bool) -> str:
    """Return what has changed since a store was made; where that is taken, the present spec becomes the store's.

    Raises:
        StoreError: if something has, unless told otherwise.
    """
    present = described(sweep, found)
    changed = check_same(known, present, anyway)
    removed = known.get("finished") and not store.is_finished(path)
    with writing(path):
        store.restore_spec(path, known)
        if removed or (changed and known.get("spec") != present["spec"]) or not store.is_sound(path):
            made = {**present, **known, "spec": present["spec"]}
            store.unsettle(path, {"identity": identity(made), **made} if "given" in made else made)
    return changed


def collect(path: str | Path) -> xr.Dataset:
    """Put the results of a store together, once all its batches are finished, and return them.

    Raises:
        StoreError: if batches are missing, naming how many.
    """
    path = place_of(path)
    if not store.is_finished(path):
        try:
            found = together(path)
            store.finish(path, found)
            return found if in_memory(found) else store.open_store(path)
        except Exception:  # of any kind: another process that collects removes the files under our feet
            if not store.is_finished(path):
                raise
    found = store.open_store(path)
    store.settle(path)
    return found


def together(path: Path) -> xr.Dataset:
    """Return the Dataset of all batches of a store."""
    known = store.read_manifest(path)
    text = store.spec_text(path, known)
    places = [pieces.part_file(path, number) for number in store.batches(path)]
    missing = sum(not place.is_file() for place in places)
    if missing:
        raise StoreError(f"{str(path)!r}: {missing} of {len(places)} batches are missing; grokdyn resume {path}")
    return store.labelled(store.axes(path, known), text, [pieces.stored_part(place, known) for place in places])


def trained(
    planned: list[plan.Cohort],
    found: list[Any],
    shown: Reporter,
    keeper: Keeper | Forgetful,
    wanted: Collection[int] | None = None,
) -> Iterator[Part]:
    """Train the wanted batches one after the other and yield what each found."""
    number = -1
    for place, cohort in enumerate(planned):
        shown.turn(place)
        mesh = lane_mesh(found[: cohort.devices])
        shared = placed((cohort.table, cohort.given), mesh, sharded=False)
        for lanes in cohort.batches:
            number += 1
            if wanted is not None and number not in wanted:
                continue
            part = within_memory(cohort, lanes, mesh, shared, pieces.word(number), shown, keeper)
            shown.finished(part.tally())
            yield part


def within_memory(
    cohort: plan.Cohort, lanes: np.ndarray, mesh: Any, shared: Any, name: str, shown: Reporter, keeper: Any
) -> Part:
    """Train a batch, if no earlier session did; where memory is too small for it, its halves one after the other.

    Raises:
        OutOfMemoryError: where it is too small for a single run.
    """
    runs, done = np.unique(lanes), shown.done
    part = keeper.finished(name, cohort.runs[runs], cohort.snapshots)
    if part is not None:
        shown.skip(cohort.length * len(runs))
        return part
    if not keeper.halved(name):
        try:
            part = train_batch(Batch(cohort, lanes, mesh, shared), name, shown, keeper)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            if not is_short(error):
                raise
            if len(runs) == 1:
                raise OutOfMemoryError(cohort.lane_bytes, str(error) * isinstance(error, MemoryError)) from None
            shown.done = done
            shown.say(f"{told(name)}: {len(runs)} runs do not fit into memory; trying half of them at a time")
        else:
            keeper.finish(name, part, cohort.snapshots)
            return part
    # A block is filled up with lanes that take memory too: it must not stay larger than what is in it.
    smaller = replace(cohort, block=min(cohort.block, -(-len(runs) // (2 * cohort.devices))))
    halves = {
        f"{name}-{i}": plan.cut(half, len(half), smaller.devices, smaller.block)[0]
        for i, half in enumerate(np.array_split(runs, 2))
    }
    parts = [within_memory(smaller, half, mesh, shared, own, shown, keeper) for own, half in halves.items()]
    part = joined(parts)
    keeper.join(name, list(halves), part, cohort.snapshots)
    return part


def train_batch(batch: Batch, name: str, shown: Reporter, keeper: Keeper | Forgetful) -> Part:
    """Train a batch to its end, from where an earlier session left it."""
    keeper.begin(name, batch)
    length, last = batch.cohort.length, batch.cohort.last_step
    going, before = int(batch.active.sum()), batch.step
    shown.skip(batch.size * length - going * (last - before))
    while not batch.done:
        batch.advance()
        shown.running(batch.tally())
        shown.advance(going * (batch.step - before))
        # What runs that are over would have had to do counts as done, so that the bar ends full.
        ended, before = going - int(batch.active.sum()), batch.step
        shown.skip(ended * (last - before))
        going -= ended
        keeper.after_chunk(name, batch)
    return batch.part()
