"""What a sweep will cost: memory from the compiled program, work from its equations, time from a short trial."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.engine import plan
from grokdyn.engine.batch import Batch
from grokdyn.engine.devices import devices
from grokdyn.engine.manifest import versions
from grokdyn.engine.scope import scope
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep
from grokdyn.tasks.base import Table
from grokdyn.train.compiled import lane_mesh, placed
from grokdyn.train.gradient import full_gradient, train_rows
from grokdyn.train.lane import Lane, State, begin
from grokdyn.train.start import Start

# A trial trains this many lanes per device, and goes on until this many seconds have passed.
TRIAL_LANES = 2
TRIAL_SECONDS = 0.5


class Estimate(NamedTuple):
    """What one cohort will cost.

    Attributes:
        runs, batches, runs_per_batch, steps: as planned.
        bytes: state of a batch, on all devices together.
        operations: floating-point operations of all updates.
        seconds: training time, from ``run_step``, the seconds per update of one run with all devices busy.
        compile_seconds: once, before it.
        measured: whether ``run_step`` was measured now; else it was found in the cache.
    """

    runs: int
    batches: int
    runs_per_batch: int
    steps: int
    bytes: int
    operations: float
    run_step: float
    compile_seconds: float
    measured: bool

    @property
    def seconds(self) -> float:
        return self.run_step * self.runs * self.steps


def estimate(what: Experiment | Sweep, start: Start | None = None) -> list[Estimate]:
    """Return what a sweep will cost, cohort by cohort, after a short trial of each that the cache does not know.

    Raises:
        SpecError: for a mistake in the description.
    """
    sweep = what if isinstance(what, Sweep) else Sweep(what, {})
    with scope(sweep):
        found = devices()
        return [estimated(cohort, found) for cohort in plan.cohorts(list(sweep.experiments()), start, found)]


def estimated(cohort: plan.Cohort, found: list[Any]) -> Estimate:
    known, key = read_cache(), program_key(cohort, found)
    if key in known:
        run_step, compile_seconds = known[key]
    else:
        run_step, compile_seconds = trial(cohort, found)
        write_cache({**known, key: (run_step, compile_seconds)})
    return Estimate(
        len(cohort.runs),
        len(cohort.batches),
        cohort.width,
        cohort.length,
        plan.lane_bytes(cohort.program, cohort.template, cohort.table, cohort.given) * len(cohort.batches[0]),
        operations_per_step(cohort) * len(cohort.runs) * cohort.length,
        run_step,
        compile_seconds,
        key not in known,
    )


def remembered(planned: Sequence[plan.Cohort], found: list[Any]) -> float | None:
    """Return the seconds that cohorts will take, compiling included, if trials of all of them are in the cache."""
    known = read_cache()
    speeds = [known.get(program_key(cohort, found)) for cohort in planned]
    if None in speeds:
        return None
    each = zip(planned, cast(list[tuple[float, float]], speeds), strict=True)
    return sum(run_step * len(cohort.runs) * cohort.length + compiling for cohort, (run_step, compiling) in each)


def trial(cohort: plan.Cohort, found: list[Any]) -> tuple[float, float]:
    """Return the seconds per run-step with all devices busy, and those of compiling.

    The program tried is that of the sweep on few lanes: the first call compiles, later ones are timed.
    """
    runs = np.arange(min(len(cohort.runs), TRIAL_LANES * cohort.devices))
    few = plan.cut(runs, len(runs), cohort.devices, min(cohort.block, TRIAL_LANES))[0]
    mesh = lane_mesh(found[: cohort.devices])
    shared = placed((cohort.table, cohort.given), mesh, sharded=False)
    batch = Batch(replace(cohort, block=min(cohort.block, TRIAL_LANES)), few, mesh, shared)
    order, counts = batch.placement()
    width, updates = cohort.schedule.shape[1], 1
    began = time.monotonic()
    batch.states, _ = jax.block_until_ready(batch.advanced(order, counts, np.zeros(width, np.int32)))
    compile_seconds = time.monotonic() - began
    while True:
        stretches = np.zeros(width, np.int32)
        stretches[0] = updates
        began = time.monotonic()
        batch.states, _ = jax.block_until_ready(batch.advanced(order, counts, stretches))
        seconds = time.monotonic() - began
        if seconds > TRIAL_SECONDS or updates >= cohort.length:
            return seconds / (updates * int(counts.sum())), compile_seconds
        updates = min(max(updates + 1, int(updates * 1.5 * TRIAL_SECONDS / max(seconds, 1e-3))), 10**6)


def operations_per_step(cohort: plan.Cohort) -> float:
    """Return the floating-point operations of one gradient of one run, as XLA counts them before optimising."""
    program = cohort.program._replace(tile=cohort.program.rows)
    shared = None if cohort.table is None else Table(*(jnp.asarray(x) for x in cohort.table))

    def gradient(lane: Lane, state: State) -> Any:
        table = cast(Table, lane.table if shared is None else shared)
        return full_gradient(program, lane, train_rows(program, lane, table), state.step)(state.params)

    shapes = jax.eval_shape(lambda experiment: begin(program, experiment, shared, cohort.given), cohort.template)
    return float((jax.jit(gradient).lower(*shapes).cost_analysis() or {}).get("flops", 0.0))


def program_key(cohort: plan.Cohort, found: list[Any]) -> str:
    """Return what a speed belongs to: machine, versions, program."""
    machine = [f"{len(found)} {found[0].platform} {found[0].device_kind}", sorted(versions().items())]
    shape = [str(jax.tree.structure(cohort.template)), str(cohort.program), cohort.block, cohort.schedule.shape[1]]
    return hashlib.sha256(json.dumps([machine, shape]).encode()).hexdigest()[:24]


def cache_file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grokdyn" / "speeds.json"


def read_cache() -> dict[str, tuple[float, float]]:
    try:
        return {key: (float(a), float(b)) for key, (a, b) in json.loads(cache_file().read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # absent or damaged: speeds are measured again


def write_cache(known: dict[str, tuple[float, float]]) -> None:
    try:
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        temporary = cache_file().with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(known, indent=1))
        os.replace(temporary, cache_file())
    except OSError:
        pass  # a cache that cannot be written costs a trial next time
