"""Run experiments and sweeps: the host loop around the compiled program."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from grokdyn.engine import plan, store
from grokdyn.engine.devices import devices
from grokdyn.engine.progress import Reporter, reporter
from grokdyn.engine.results import Part, dataset
from grokdyn.probes.base import Variable
from grokdyn.spec.errors import SpecError
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep
from grokdyn.train.compiled import TRACES, advance_lanes, begin_lanes, lane_mesh, placed
from grokdyn.train.start import Start


def run(
    what: Experiment | Sweep, out: str | Path | None = None, start: Start | None = None, progress: bool | None = None
) -> xr.Dataset:
    """Train an experiment, or every run of a sweep, and return what the probes saw.

    Args:
        what: the description.
        out: folder for the store (spec, manifest, results); default: results stay in memory.
        start: given parameters, train rows or labels, the same for every run.
        progress: show progress on standard error; default: a bar on a terminal, else a line every ten seconds.

    Returns:
        Dataset with dims (swept axes..., step, probe axes...), the probes' variables, and per run ``status``
        (0 ok, 1 the loss was not finite) and ``diverged_at`` (that step, or -1).

    Raises:
        SpecError: for a mistake in the description, before anything is compiled or written.
        StoreError: if ``out`` is not empty or cannot be written.
    """
    sweep = what if isinstance(what, Sweep) else Sweep(what, {})
    if out is not None:
        store.check_free(Path(out))
    with jax.enable_x64(True), jax.default_matmul_precision(matmul_precision(sweep)):
        found_devices = devices()
        planned = plan.cohorts(list(sweep.experiments()), start, found_devices)
        manifest = {**versions(), "device": described(found_devices), "cohorts": plan.described(planned)}
        if out is not None:
            store.create(Path(out), sweep, {**manifest, "finished": False})
        began, traced = time.monotonic(), TRACES["advance"]
        parts = []
        with reporter(plan.total_run_steps(planned), progress) as shown:
            for number, part in enumerate(trained(planned, found_devices, shown)):
                parts.append(part)
                if out is not None:
                    store.write_part(Path(out), number, part)
    found = dataset(sweep, parts)
    found.attrs |= {"grokdyn": versions()["grokdyn"], "spec": sweep.to_toml()}
    if out is not None:
        seconds, compiles = time.monotonic() - began, TRACES["advance"] - traced
        store.finish(Path(out), found, {**manifest, "finished": True, "seconds": seconds, "compiles": compiles})
    return found


def matmul_precision(sweep: Sweep) -> str:
    """Return the precision of matrix products, one for the whole process."""
    if "matmul_precision" in sweep.axes:
        raise SpecError("sweep.matmul_precision", list(sweep.axes["matmul_precision"]), "a setting, not an axis")
    return sweep.base.matmul_precision


def trained(planned: list[plan.Cohort], found: list[Any], shown: Reporter) -> Iterator[Part]:
    """Train batch after batch and yield what each found."""
    for cohort in planned:
        mesh = lane_mesh(found[: cohort.devices])
        shared = placed((cohort.table, cohort.given), mesh, sharded=False)
        for lanes, size in zip(cohort.batches, cohort.sizes, strict=True):
            yield train_batch(cohort, mesh, shared, lanes, size, shown)


def train_batch(cohort: plan.Cohort, mesh: Any, shared: Any, lanes: np.ndarray, size: int, shown: Reporter) -> Part:
    """Train one batch of lanes to the end."""
    static = {"program": cohort.program, "mesh": mesh, "block": cohort.block}
    numbers = placed(jax.tree.map(lambda column: column[lanes], cohort.experiments), mesh, sharded=True)
    table, start = shared
    constants, states = begin_lanes(numbers, table, start, **static)
    seen: list[dict[str, np.ndarray]] = []
    for chunk in chunks(cohort):
        stretches = placed(chunk, mesh, sharded=False)
        states, records = advance_lanes(constants, states, table, stretches, **static)
        seen.append(jax.device_get(records))
        shown.advance(int(chunk.sum()) * size)
    # Padding repeats a real lane: the first of each run is kept.
    keep = np.unique(lanes, return_index=True)[1]
    wanted = np.searchsorted(cohort.pauses, cohort.recorded)
    arrays = {name: np.concatenate([s[name] for s in seen], axis=1)[keep][:, wanted] for name in seen[0]}
    status = jax.device_get({"status": states.status, "diverged_at": states.diverged_at})
    return Part(
        cohort.runs[lanes[keep]], cohort.recorded, variables(cohort), arrays, {n: a[keep] for n, a in status.items()}
    )


def chunks(cohort: plan.Cohort) -> Iterator[np.ndarray]:
    """Yield the stretches [records] of every call of the compiled program, all equally long."""
    stretches = np.diff(cohort.pauses, prepend=0).astype(np.int32)
    padding = -len(stretches) % cohort.chunk
    yield from np.append(stretches, np.zeros(padding, np.int32)).reshape(-1, cohort.chunk)


def variables(cohort: plan.Cohort) -> dict[str, Variable]:
    """Return the variables of all probes of a cohort."""
    found: dict[str, Variable] = {}
    for probe in cohort.template.probes:
        found |= probe.variables(cohort.shapes)
    return found


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    found = {"python": platform.python_version()}
    for package in ("grokdyn", "jax", "jaxlib", "flax", "optax", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def described(found: list[Any]) -> str:
    return f"{len(found)} x {found[0].platform} ({found[0].device_kind})"
