"""Runs -> cohorts that share a compiled program, and how many of their runs make a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from grokdyn.engine.host.devices import batch_bytes, block_size
from grokdyn.engine.host.memory import OutOfMemoryError, check_room
from grokdyn.engine.plan.cohort import Cohort
from grokdyn.engine.plan.schedule import schedule
from grokdyn.engine.plan.stacked import stack
from grokdyn.engine.plan.structure import Structure, structure_of
from grokdyn.probes.cadence import declared
from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.shapes import Shapes
from grokdyn.train.lane import begin
from grokdyn.train.origin import Origin
from grokdyn.train.start import Start

# Runs begin at step 0.
NOWHERE = Origin()
MOST_LANES = 4096
# Floating-point operations of a chunk: seconds to a minute, however slow or shared the machine.
CHUNK_OPERATIONS = {"cpu": 2e12, "other": 1e14}
# Only ever asked for shapes, which JAX remembers.
BEGUN = jax.jit(begin, static_argnums=0)


def cohorts(
    experiments: Sequence[Any],
    start: Start | None,
    devices: list[Any],
    sizes: Sequence[tuple[int, int]] | None = None,
    origin: Origin = NOWHERE,
    batches: int = 1,
) -> list[Cohort]:
    """Group runs by structure and plan each group.

    Args:
        sizes: runs per batch and lanes per block of every cohort, as an earlier session had them; default: planned.
        origin: the stored state that the runs go on from.
        batches: at least so many where there are lanes enough to keep all devices busy, for processes to share.

    Raises:
        SpecError: if a combination of numbers leaves no train rows, a batch larger than them, ...
        OutOfMemoryError: if memory is too small for a single run.
    """
    groups: dict[Any, list[int]] = {}
    for run, experiment in enumerate(experiments):
        groups.setdefault(jax.tree.structure(experiment), []).append(run)
    wanted = [(None, None)] * len(groups) if sizes is None else sizes
    most = min(MOST_LANES, max(len(devices), len(experiments) // batches))
    return [
        cohort(np.asarray(runs), [experiments[i] for i in runs], start, devices, size, origin, most)
        for runs, size in zip(groups.values(), wanted, strict=True)
    ]


def cohort(
    runs: np.ndarray,
    experiments: list[Any],
    start: Start | None,
    devices: list[Any],
    size: tuple[int, int] | tuple[None, None],
    origin: Origin,
    most: int,
) -> Cohort:
    """Plan runs of one structure.

    Args:
        runs: their numbers in the sweep.
        size: runs per batch and lanes per block, where they are known.
        most: runs in a batch.
    """
    template, stacked, cpu = experiments[0], stack(experiments), devices[0].platform == "cpu"
    stays = origin.stays(runs)
    left_out = 0 if stays is None else np.sum(~stays, axis=1)
    found = structure_of(template, stacked, start, origin.rows(runs), cpu, left_out)
    template, stacked = found.shapes.experiment, found.shapes.runs
    check_origin(origin, runs, found.shapes.params)
    recorded = template.record.at(template.steps)
    recorded = recorded[recorded >= origin.step]
    constants, state = lane_bytes(found, template)
    each = constants + state + record_bytes(template, found.shapes) * len(recorded)
    width, block = size
    width = runs_per_batch(each, len(runs), most, devices[0]) if width is None else width
    snapshots = np.asarray([t for t in template.snapshots if t >= origin.step], np.int64)
    made = Cohort(
        *(runs, stacked, template, found.table, found.program, found.shapes, found.given),
        lane_bytes=each,
        width=width,
        order=np.argsort(found.n_train, kind="stable"),  # lanes of like size sit together, few are padded much
        devices=len(devices),  # all, also for fewer runs: lanes that fill up cost nothing, a lone run is as one of many
        block=block_size(cpu, -(-width // len(devices))) if block is None else block,
        recorded=recorded,
        snapshots=snapshots,
        schedule=schedule(recorded, snapshots, origin.step),
        origin=origin,
        state_bytes=state,
    )
    check_memory(made, devices)
    work = made.update_operations * width * made.length
    slices = int(work / CHUNK_OPERATIONS["cpu" if cpu else "other"]) + 1
    return replace(made, schedule=schedule(recorded, snapshots, origin.step, slices))


def check_origin(origin: Origin, runs: np.ndarray, expected: Any) -> None:
    """Raise SpecError where the states that runs go on from are of another model, as far as its tensors tell."""
    for group, _, _ in origin.shares(runs):
        numbered = "0" in group.states  # an earlier version wrote it: shapes are looked at later
        for name, like in {} if numbered else expected.items():
            leaf = group.states.get(f"params.{name}")
            if leaf is None or leaf.shape[1:] != like.shape:
                told = "is new" if leaf is None else f"had the shape {leaf.shape[1:]}, has {like.shape}"
                allowed = "the model that the state was stored with"
                raise SpecError("change", Words(f"another structure: params.{name} {told}"), allowed)


def check_memory(cohort: Cohort, devices: list[Any]) -> None:
    """Raise OutOfMemoryError where not even a lone run fits, which fills a lane of every device."""
    try:
        check_room(cohort.bytes_of(len(devices)), devices[0])
    except MemoryError as error:
        told = f"with a lane on each of {len(devices)} devices, and copies, {error}"
        raise OutOfMemoryError(cohort.lane_bytes, told) from None


def lane_bytes(found: Structure, template: Any) -> tuple[int, int]:
    """Return the bytes of one lane's constants, and of its state."""
    with jax.enable_x64(True):
        lane, state = BEGUN.eval_shape(found.program, template, found.table, found.given)
    return tree_bytes(lane), tree_bytes(state)


def tree_bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree) if hasattr(leaf.dtype, "itemsize"))


def record_bytes(template: Any, shapes: Shapes) -> int:
    """Return the bytes of what all probes record of a run at one step."""
    variables = [variable for probe in template.probes for variable in declared(probe, shapes).values()]
    return 8 * sum(math.prod(len(v.coordinates[dim]) for dim in v.dims) for v in variables)


def runs_per_batch(size: int, runs: int, most: int, device: Any) -> int:
    """Return the runs of a batch: as many as the memory budget allows, the same for all batches of the cohort."""
    fitting = max(1, batch_bytes(device) // max(1, size))
    batches = -(-runs // min(runs, fitting, most))
    return -(-runs // batches)
