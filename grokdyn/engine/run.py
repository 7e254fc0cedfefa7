"""Run experiments and sweeps: the host loop around the compiled program."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import xarray as xr

from grokdyn.engine import plan, store
from grokdyn.engine.batch import Batch
from grokdyn.engine.checkpoint import Checkpoints
from grokdyn.engine.devices import devices
from grokdyn.engine.interrupt import Interrupted, Wish, wish_to_stop
from grokdyn.engine.manifest import check_same, described, versions
from grokdyn.engine.progress import Reporter, reporter
from grokdyn.engine.results import Part, dataset
from grokdyn.spec.errors import SpecError
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep
from grokdyn.train.compiled import TRACES, lane_mesh, placed
from grokdyn.train.start import Start

CHECKPOINT_SECONDS = 60.0


def run(
    what: Experiment | Sweep,
    out: str | Path | None = None,
    start: Start | None = None,
    progress: bool | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> xr.Dataset:
    """Train an experiment, or every run of a sweep, and return what the probes saw.

    Args:
        what: the description.
        out: folder for the store (spec, manifest, results); default: results stay in memory.
        start: given parameters, train rows or labels, the same for every run.
        progress: show progress on standard error; default: a bar on a terminal, else a line every ten seconds.
        checkpoint_seconds: with ``out``, the state is saved between chunks when this long has passed.

    Returns:
        Dataset with dims (swept axes..., step, probe axes...), the probes' variables, and per run ``status``
        (0 ok, 1 the loss was not finite), ``diverged_at`` (that step, or -1) and ``stopped_at`` (the last step of a
        run that a stop rule ended, or -1). Records after a run's end are nan.

    Raises:
        SpecError: for a mistake in the description, before anything is compiled or written.
        StoreError: if ``out`` is not empty or cannot be written.
        Interrupted: after Ctrl-C or SIGTERM, with ``out``: the state is saved and ``resume`` goes on from it.
    """
    sweep = what if isinstance(what, Sweep) else Sweep(what, {})
    if out is None:
        return execute(Session(sweep, start, None, None), progress, checkpoint_seconds)
    store.check_free(Path(out))
    return execute(Session(sweep, start, Path(out), None), progress, checkpoint_seconds)


def resume(
    path: str | Path,
    progress: bool | None = None,
    anyway: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> xr.Dataset:
    """Go on with an interrupted sweep and return its results; batches that are finished are not run again.

    With the same versions and device kind the result is, bit for bit, that of a sweep never interrupted.

    Args:
        path: the store.
        anyway: go on although versions, device or spec have changed since.

    Raises:
        StoreError: if the folder is not a store, is damaged, or something has changed, naming it.
    """
    path = Path(path)
    sweep, known = store.read_spec(path), store.read_manifest(path)
    if (path / "results.zarr").is_dir():
        found = store.open_store(path)
        store.settle(path, known)
        return found
    return execute(Session(sweep, store.read_start(path), path, known, anyway), progress, checkpoint_seconds)


@dataclass(frozen=True)
class Session:
    """One call of ``run`` or ``resume``: the sweep, its start, its store and, on resuming, its manifest."""

    sweep: Sweep
    start: Start | None
    path: Path | None
    known: dict[str, Any] | None
    anyway: bool = False


def execute(session: Session, progress: bool | None, checkpoint_seconds: float) -> xr.Dataset:
    """Plan, train what is not trained yet, and write the results."""
    sweep, path, known = session.sweep, session.path, session.known
    began, traced = time.monotonic(), TRACES["advance"]
    with jax.enable_x64(True), jax.default_matmul_precision(matmul_precision(sweep)):
        found_devices = devices()
        widths = None if known is None else [cohort["lanes_per_batch"] for cohort in known["cohorts"]]
        planned = plan.cohorts(list(sweep.experiments()), session.start, found_devices, widths)
        manifest = described(sweep, planned, found_devices)
        if path is not None and known is None:
            store.create(path, sweep, session.start, {**manifest, "finished": False})
        elif known is not None:
            check_same(known, manifest, session.anyway)
        with reporter(plan.total_run_steps(planned), progress) as shown, wish_to_stop(path is not None) as wish:
            keeper = Keeper(path, checkpoint_seconds, wish)
            parts = list(trained(planned, found_devices, shown, keeper))
    found = dataset(sweep, parts)
    found.attrs |= {"grokdyn": versions()["grokdyn"], "spec": sweep.to_toml()}
    if path is not None:
        seconds, compiles = time.monotonic() - began, TRACES["advance"] - traced
        told = {**manifest, "finished": True, "seconds": seconds, "compiles": compiles, "resumed": known is not None}
        store.finish(path, found, told)
        keeper.close()
    return found


def matmul_precision(sweep: Sweep) -> str:
    """Return the precision of matrix products, one for the whole process."""
    if "matmul_precision" in sweep.axes:
        raise SpecError("sweep.matmul_precision", list(sweep.axes["matmul_precision"]), "a setting, not an axis")
    return sweep.base.matmul_precision


class Keeper:
    """Keeps parts of finished batches and checkpoints of the present one; nothing where there is no path."""

    def __init__(self, path: Path | None, checkpoint_seconds: float, wish: Wish):
        self.path, self.every, self.wish = path, checkpoint_seconds, wish
        self.checkpoints = None if path is None else Checkpoints(path)
        self.saved = time.monotonic()

    def finished(self, number: int) -> Part | None:
        """Return what a batch found in an earlier session."""
        return None if self.path is None else store.find_part(self.path, number)

    def begin(self, number: int, batch: Batch) -> None:
        """Bring a batch to where an earlier session left it."""
        before = None if self.checkpoints is None else self.checkpoints.load(number)
        if before is not None:
            batch.restore(before)

    def after_chunk(self, number: int, batch: Batch) -> None:
        """Save the batch's state if it is time, or if somebody asked to stop, and then stop."""
        if self.checkpoints is None or batch.done:
            return
        if self.wish.asked or time.monotonic() - self.saved >= self.every:
            self.checkpoints.save(number, batch.chunk, batch.saved())
            self.saved = time.monotonic()
        if self.wish.asked:
            raise Interrupted(f"interrupted at step {batch.step} of batch {number + 1}; grokdyn resume {self.path}")

    def finish(self, number: int, part: Part) -> None:
        """Write what a batch found."""
        if self.path is not None:
            store.write_part(self.path, number, part)
            if self.wish.asked:
                raise Interrupted(f"interrupted after batch {number + 1}; grokdyn resume {self.path}")

    def close(self) -> None:
        if self.checkpoints is not None:
            self.checkpoints.remove()


def trained(planned: list[plan.Cohort], found: list[Any], shown: Reporter, keeper: Keeper) -> Iterator[Part]:
    """Train batch after batch and yield what each found."""
    number = 0
    for cohort in planned:
        mesh = lane_mesh(found[: cohort.devices])
        shared = placed((cohort.table, cohort.given), mesh, sharded=False)
        for lanes in cohort.batches:
            part = keeper.finished(number)
            if part is None:
                batch = Batch(cohort, lanes, mesh, shared)
                keeper.begin(number, batch)
                shown.advance(batch.step * batch.size)
                while not batch.done:
                    before = batch.step
                    batch.advance()
                    # Runs that are over count as trained to the end, so that the bar ends full.
                    shown.advance((batch.step - before) * batch.size)
                    keeper.after_chunk(number, batch)
                shown.advance((int(cohort.pauses[-1]) - batch.step) * batch.size)
                part = batch.part()
                keeper.finish(number, part)
            else:
                shown.advance(int(cohort.pauses[-1]) * len(part.runs))
            yield part
            number += 1
