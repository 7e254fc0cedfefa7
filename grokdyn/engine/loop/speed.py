"""How fast a cohort's program trains on this machine: measured once, then remembered."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.engine.host.memory import OutOfMemoryError, is_short
from grokdyn.engine.loop.batch import Batch, Shared
from grokdyn.engine.plan.cohort import Cohort, cut
from grokdyn.engine.store.manifest import versions
from grokdyn.tasks.base import Table
from grokdyn.train.gradient import batch_gradient, full_gradient
from grokdyn.train.lane import Lane, Program, State, begin
from grokdyn.train.rows import rows_at

# A trial trains at least this many lanes per device, and goes on until updates have taken this many seconds; records
# alone are timed again until this many have passed.
TRIAL_LANES = 2
TRIAL_SECONDS, RECORD_SECONDS = 0.5, 0.1


class Speed(NamedTuple):
    """How fast a cohort trains.

    Attributes:
        run_step, run_record: seconds per update and per record of one run with all devices busy.
        compile_seconds: once, before.
        measured: whether measured just now.
    """

    run_step: float
    run_record: float
    compile_seconds: float
    measured: bool

    def seconds(self, cohort: Cohort) -> float:
        """Return the training time of a cohort, records included, without compiling."""
        return len(cohort.runs) * (self.run_step * cohort.length + self.run_record * cohort.schedule.size)


def speed(cohort: Cohort, found: list[Any]) -> Speed:
    """Return how fast a cohort trains, from the cache or from a short trial."""
    known = remembered(cohort, found)
    if known is not None:
        return known
    measured = trial(cohort, found)
    write_cache({**read_cache(), program_key(cohort, found): measured})
    return Speed(*measured, True)


def remembered(cohort: Cohort, found: list[Any]) -> Speed | None:
    """Return how fast a cohort trains if it was tried before."""
    known = read_cache().get(program_key(cohort, found))
    return None if known is None else Speed(*known, False)


def trial(cohort: Cohort, found: list[Any]) -> tuple[float, float, float]:
    """Return the seconds per update and per record of a run with all devices busy, and those of compiling.

    The program tried is that of the sweep, on few lanes where a device takes them one by one, else on one block for
    each device: one call compiles, one touches all memory, then come records alone, then updates before them.

    Raises:
        OutOfMemoryError: where not even the fewest lanes fit.
    """
    runs, fewest = min(len(cohort.runs), max(cohort.block, TRIAL_LANES) * cohort.devices), cohort.block * cohort.devices
    while True:
        try:
            return tried(cohort, cut(np.arange(runs), runs, cohort.devices, cohort.block)[0], found)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            if not is_short(error):
                raise
            if runs <= fewest:
                raise OutOfMemoryError(cohort.lane_bytes, str(error) * isinstance(error, MemoryError)) from None
        runs = max(fewest, runs // 2)


def tried(cohort: Cohort, few: np.ndarray, found: list[Any]) -> tuple[float, float, float]:
    """Return what a trial of a few lanes gives."""
    batch = Batch(cohort, few, Shared.of(cohort, found))
    width, lanes = cohort.schedule.shape[1], int(batch.lanes.active.sum())

    def timed(updates: int) -> float:
        stretches = np.zeros(width, np.int32)
        stretches[0] = updates
        due = cohort.due(cohort.schedule[len(cohort.schedule) // 2])  # as many of a cadence as there are on the way
        began = time.monotonic()
        batch.states, _ = jax.block_until_ready(batch.advanced(stretches, due))
        return time.monotonic() - began

    compile_seconds = timed(0)
    timed(1)
    began, records, updates = time.monotonic(), timed(0), 1
    while time.monotonic() - began < RECORD_SECONDS:
        records = min(records, timed(0))
    while (seconds := timed(updates) - records) < TRIAL_SECONDS:
        updates = min(max(updates + 1, int(updates * 1.5 * TRIAL_SECONDS / max(seconds, 1e-3))), 100 * updates)
    return seconds / (updates * lanes), records / (width * lanes), compile_seconds


def operations_per_step(cohort: Cohort) -> float:
    """Return the floating-point operations of the gradients of one update, as XLA counts them before optimising."""
    gradient, shapes = gradient_of_update(cohort, cohort.program._replace(tile=cohort.program.rows))
    found = jax.jit(gradient).lower(*shapes).cost_analysis() or {}
    return cohort.template.gradients() * float(found.get("flops", 0.0))


def gradient_of_update(cohort: Cohort, program: Program) -> tuple[Callable[[Lane, State], Any], Any]:
    """Return the gradient of one update as a function of lane and state, and the shapes of these."""
    shared = None if cohort.table is None else Table(*(jnp.asarray(x) for x in cohort.table))

    def gradient(lane: Lane, state: State) -> Any:
        rows = rows_at(program, lane, cast(Table, lane.table if shared is None else shared), state.step)
        if lane.experiment.task.endless or lane.experiment.batch_size is None:
            return full_gradient(program, lane, rows, state.step)(state.params)
        ranks = jnp.arange(lane.experiment.batch_size)
        return batch_gradient(program, lane, rows, ranks, state.step)(state.params)

    return gradient, jax.eval_shape(
        lambda experiment: begin(program, experiment, shared, cohort.given), cohort.template
    )


def program_key(cohort: Cohort, found: list[Any]) -> str:
    """Return what a speed belongs to: machine, versions, program."""
    machine = [f"{len(found)} {found[0].platform} {found[0].device_kind}", sorted(versions().items())]
    shape = [str(jax.tree.structure(cohort.template)), str(cohort.program), cohort.block, cohort.schedule.shape[1]]
    return hashlib.sha256(json.dumps([machine, shape]).encode()).hexdigest()[:24]


def cache_file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grokdyn" / "speeds.json"


def read_cache() -> dict[str, tuple[float, float, float]]:
    try:
        known = json.loads(cache_file().read_text())
        return {key: (float(a), float(b), float(c)) for key, (a, b, c) in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # absent or damaged: speeds are measured again


def write_cache(known: dict[str, tuple[float, float, float]]) -> None:
    try:
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        temporary = cache_file().with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(known, indent=1))
        os.replace(temporary, cache_file())
    except OSError:
        pass  # a cache that cannot be written costs a trial next time
