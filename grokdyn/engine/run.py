"""Run experiments and sweeps: plan, train, keep; and go on with what was interrupted."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokdyn.checks.names import check_axes
from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.memory import SPARE, available
from grokdyn.engine.host.memory import told as size_told
from grokdyn.engine.host.progress import reporter
from grokdyn.engine.host.scope import scope
from grokdyn.engine.loop.keeper import Forgetful
from grokdyn.engine.loop.train import trained
from grokdyn.engine.loop.tune import tuned
from grokdyn.engine.machines.here import CHECKPOINT_SECONDS
from grokdyn.engine.machines.where import Executor, executor
from grokdyn.engine.mend import mend
from grokdyn.engine.plan.cohorts import NOWHERE
from grokdyn.engine.plan.effect import check_effect
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.store.collect import collect
from grokdyn.engine.store.extension import complete
from grokdyn.engine.store.reading import is_finished, labelled
from grokdyn.engine.store.trust import warn_of_untrusted
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.paths import place_of
from grokdyn.spec.round import Round, check_no_round
from grokdyn.spec.sweep import Sweep
from grokdyn.train.origin import Origin
from grokdyn.train.start import Start

if TYPE_CHECKING:
    import xarray as xr


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
    if isinstance(what, Round):
        raise SpecError("experiment", Words("a round"), "an Experiment or a Sweep; rounds are for gd.run_round")
    sweep = what if isinstance(what, Sweep) else Sweep(what, {})
    check_no_round(sweep)
    out = None if out is None else place_of(out, "out")
    with executor(cluster) as trainer:
        return warn_of_untrusted(execute(trainer, sweep, out, start, NOWHERE, progress, checkpoint_seconds))


def execute(
    trainer: Executor,
    sweep: Sweep,
    out: Path | None,
    start: Start | None,
    origin: Origin,
    progress: bool | None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    asked: Collection[str] = (),
) -> xr.Dataset:
    """Train a sweep from its beginning or from a stored state, in memory or into a store.

    Args:
        trainer: who trains it.
        asked: paths that were set for these runs alone: those without effect are told.
    """
    if out is not None:
        trainer.create(sweep, out, start, origin, asked=asked)
        trainer.train(out, progress=progress, checkpoint_seconds=checkpoint_seconds, sweep=sweep)
        return collect(out)
    if not trainer.alone:
        raise SpecError("out", Words("nothing"), "with a cluster: a folder that all its machines see")
    return in_memory(sweep, start, origin, progress, asked)


def in_memory(
    sweep: Sweep, start: Start | None, origin: Origin, progress: bool | None, asked: Collection[str]
) -> xr.Dataset:
    """Train a sweep in this process and keep nothing."""
    with scope(sweep):
        found = devices()
        plan = Plan.of(sweep, found, start, origin)
        check_axes(list(sweep.shape), [cohort.variables for cohort in plan.cohorts])
        check_effect(plan, False, asked)
        check_memory(plan.results_bytes)
        plan = tuned(plan, found)
        with reporter(plan.run_steps(), progress) as shown:
            parts = list(trained(plan, found, shown, Forgetful()))
            return labelled(sweep, sweep.to_toml(), parts, keep=False)


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
        checkpoint_seconds: how long training goes on between two checkpoints.
        cluster: as in ``run``; a sweep need not go on where it began.

    Raises:
        StoreError: if the folder is not a store, is damaged, or something has changed, naming it. Results that are
            damaged are no error: the batches that lost something are trained again.
    """
    path = place_of(path)
    complete(path)
    if is_finished(path):
        mend(path, anyway)
    with executor(cluster) as trainer:
        trainer.train(path, progress=progress, anyway=anyway, checkpoint_seconds=checkpoint_seconds)
    return warn_of_untrusted(collect(path))
