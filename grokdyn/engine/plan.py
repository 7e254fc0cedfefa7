"""Plan: runs -> cohorts that share a compiled program -> batches of lanes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from grokdyn.checks.drawn import check_draws
from grokdyn.checks.told import telling
from grokdyn.checks.traced import check_params, check_traced
from grokdyn.engine.devices import batch_bytes, block_size
from grokdyn.engine.files import StoreError
from grokdyn.engine.fit import check_fit, check_inputs
from grokdyn.engine.layout import layout
from grokdyn.engine.memory import COPIES, OutOfMemoryError, check_room
from grokdyn.engine.schedule import schedule
from grokdyn.losses.base import Loss
from grokdyn.models.base import Model
from grokdyn.optim.base import AnyOptimizer
from grokdyn.probes.base import Variable
from grokdyn.spec.errors import SpecError
from grokdyn.spec.foreign import foreign_numbers
from grokdyn.spec.identity import own_code
from grokdyn.tasks.base import Table
from grokdyn.tasks.fit import checked_signature, enumerated
from grokdyn.tasks.parts import Parts, check_train_rows, parts_of, train_counts
from grokdyn.tasks.shapes import Shapes
from grokdyn.tasks.signature import POOL, TRAIN
from grokdyn.train.lane import Program, begin
from grokdyn.train.start import Given, Origin, Start, given

# Runs begin at step 0.
NOWHERE = Origin()
# Most rows per tile on a CPU: the activations of an encoder layer then stay in the second-level cache, and products of
# matrices lose nothing yet.
CPU_TILE = 512
# A tile's rows are a multiple of the numbers in a vector register.
VECTOR = 16
MOST_LANES = 4096
# The parts of an experiment whose numbers meet arrays of the run's dtype, and what they are.
ROUNDED, MEETS_ARRAYS = ("model", "loss", "optimizer"), (Model, Loss, AnyOptimizer)
# Floating-point operations of a chunk: seconds to a minute, however slow or shared the machine.
CHUNK_OPERATIONS = {"cpu": 2e12, "other": 1e14}


@dataclass(frozen=True)
class Cohort:
    """Runs with one structure.

    Attributes:
        runs: their numbers in the sweep.
        experiments: one pytree, leaves stacked as float64 or int64 [runs].
        template: the experiment of the first run.
        table: the task's table, or None where each run draws its own.
        program, shapes: what the compiled functions and the probes need to know.
        given: a checked Start, or None.
        lane_bytes: of one lane's constants, state and records.
        width: runs per batch.
        order: positions into ``runs``, those with few train rows first, as they are cut into batches.
        batches: positions into ``runs``, one array of equal length per batch; the last run is repeated to fill it.
        devices: how many devices share a batch; block: lanes vmapped together.
        recorded: the steps to record.
        snapshots: the steps whose state is kept.
        schedule: steps [chunks, pauses] at which the calls of the compiled program, all equally long, hand out records:
            the recorded ones and some between. A chunk that a snapshot ends is filled up by repeating its last step.
        origin: the stored state that the runs go on from, if any.
        state_bytes: of one run's state, as a snapshot keeps it.
    """

    runs: np.ndarray
    experiments: Any
    template: Any
    table: Table | None
    program: Program
    shapes: Shapes
    given: Given | None
    lane_bytes: int
    width: int
    order: np.ndarray
    batches: list[np.ndarray]
    devices: int
    block: int
    recorded: np.ndarray
    snapshots: np.ndarray
    schedule: np.ndarray
    origin: Origin
    state_bytes: int = 0

    @property
    def first_step(self) -> int:
        return self.origin.step

    @property
    def stretches(self) -> np.ndarray:
        """Updates before each pause, int32 [chunks, pauses]."""
        made = np.diff(self.schedule.ravel(), prepend=self.first_step).astype(np.int32)
        return made.reshape(self.schedule.shape)

    @property
    def last_step(self) -> int:
        return int(self.schedule[-1, -1])

    @property
    def update_operations(self) -> float:
        """A rough number of floating-point operations of an update of a run: two a parameter and row, thrice."""
        rows = self.template.batch_size or self.program.rows
        return 6.0 * sum(leaf.size for leaf in jax.tree.leaves(self.shapes.params)) * rows

    def bytes_of(self, lanes: int) -> int:
        """Return the bytes that so many lanes take, copies included."""
        return COPIES * self.lane_bytes * lanes

    @property
    def length(self) -> int:
        """Updates of a run that is not ended early."""
        return self.last_step - self.first_step


def cohorts(
    experiments: Sequence[Any],
    start: Start | None,
    devices: list[Any],
    sizes: list[tuple[int, int]] | None = None,
    origin: Origin = NOWHERE,
    batches: int = 1,
) -> list[Cohort]:
    """Group runs by structure and cut each group into batches.

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
        cohort(np.asarray(runs), [experiments[i] for i in runs], start, devices, *size, origin, most)
        for runs, size in zip(groups.values(), wanted, strict=True)
    ]


def cohort(
    runs: np.ndarray,
    experiments: list[Any],
    start: Start | None,
    devices: list[Any],
    width: int | None,
    block: int | None,
    origin: Origin,
    most: int,
) -> Cohort:
    template = experiments[0]
    stacked = stack(experiments)
    task = template.task
    with telling("task", task, "signature"):
        signature = checked_signature(task)
    with telling("task", task, "table"):
        table = None if task.drawn else enumerated(task, signature, template.dtype)
    check_draws(stacked, template, signature)
    parts = parts_of(task)
    check_inputs(template, Shapes(None, signature, False, template))
    expected = initial_shapes(template, signature)
    checked = None if start is None else given(start, table, expected, template.optimizer)
    n_train = checked_counts(stacked, template, parts, checked)
    # Lanes of like size sit together, so that few are padded much.
    by_size = np.argsort(n_train, kind="stable")
    cpu = devices[0].platform == "cpu"
    rows, tile = padded(max(int(n_train.max()), origin.rows), cpu)
    noise = float(np.max(stacked.task.label_noise))
    if noise > 0 and start is not None and start.train_rows is not None:
        raise SpecError("task.label_noise", noise, "0 for given train_rows: give corrupted labels as train_labels")
    noisy = noise > 0 or (start is not None and start.train_labels is not None)
    stochastic = bool(np.any(stacked.model.stochastic()))
    program = Program(signature, rows, tile, noisy, stochastic, own_code(template))
    shapes = Shapes(expected, signature, noisy, template, (int(n_train.min()), int(n_train.max())), stacked)
    check_fit(template, shapes)
    check_traced(program, stacked, table, checked, shapes)
    # All devices, also for fewer runs: lanes that fill up cost nothing, and a lone run is the program of many.
    used = len(devices)
    recorded = template.record.at(template.steps)
    recorded = recorded[recorded >= origin.step]
    constants, state = lane_bytes(program, template, table, checked)
    size = constants + state + record_bytes(template, shapes) * len(recorded)
    if width is None:
        width = runs_per_batch(size, len(runs), most, devices[0])
    snapshots = np.asarray([t for t in template.snapshots if t >= origin.step], np.int64)
    if block is None:
        block = block_size(cpu, -(-width // used))
    made = Cohort(
        runs,
        stacked,
        template,
        table,
        program,
        shapes,
        checked,
        size,
        width,
        by_size,
        cut(by_size, width, used, block),
        used,
        block,
        recorded,
        snapshots,
        schedule(recorded, snapshots, origin.step),
        origin,
        state,
    )
    try:
        check_room(made.bytes_of(used), devices[0])  # a lone run fills a lane of every device
    except MemoryError as error:
        raise OutOfMemoryError(size, f"with a lane on each of {used} devices, and copies, {error}") from None
    work = made.update_operations * width * made.length
    slices = int(work / CHUNK_OPERATIONS["cpu" if cpu else "other"]) + 1
    return replace(made, schedule=schedule(recorded, snapshots, origin.step, slices))


def variables(cohort: Cohort) -> dict[str, Variable]:
    """Return the variables of all probes of a cohort."""
    found: dict[str, Variable] = {}
    for probe in cohort.template.probes:
        found |= probe.variables(cohort.shapes)
    return found


def in_blocks(cohort: Cohort, block: int) -> Cohort:
    """Return a cohort whose devices take their lanes in blocks of another size."""
    return replace(cohort, block=block, batches=cut(cohort.order, cohort.width, cohort.devices, block))


def sizes_of(manifest: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the ``sizes`` that a manifest remembers.

    Raises:
        StoreError: if it was lost.
    """
    if "cohorts" not in manifest:
        raise StoreError("manifest.json is not there: how the runs of this store were batched is lost")
    return [(cohort["runs_per_batch"], cohort["lanes_per_block"]) for cohort in manifest["cohorts"]]


def stack(experiments: list[Any]) -> Any:
    """Return one pytree with leaves [runs], integers as int64 and floats as float64, whatever came first.

    A float that a user's own model, loss or optimizer declares has the dtype of the run: in float64 it would make
    float64 of whatever array it meets there. The package's own round theirs at the last moment.
    """
    leaves = zip(*(jax.tree.leaves(e) for e in experiments), strict=True)
    floats = float_dtypes(experiments[0])
    columns = [
        np.asarray(column, np.int64 if isinstance(column[0], int) else dtype)
        for column, dtype in zip(leaves, floats, strict=True)
    ]
    return jax.tree.unflatten(jax.tree.structure(experiments[0]), columns)


def float_dtypes(experiment: Any) -> list[str]:
    """Return the dtype of every leaf of an experiment, were it a float."""
    found = []
    for path, _ in jax.tree_util.tree_leaves_with_path(experiment):
        family, owner = path[0].name, experiment
        for key in path[:-1]:
            owner = getattr(owner, key.name) if hasattr(key, "name") else owner[key.idx]
        own = family in ROUNDED and isinstance(owner, MEETS_ARRAYS) and path[-1].name in foreign_numbers(type(owner))
        found.append(experiment.dtype if own else "float64")
    return found


def checked_counts(stacked: Any, template: Any, parts: Parts, checked: Given | None) -> np.ndarray:
    """Return the number of train rows of every run."""
    fractions, pool = np.asarray(stacked.task.train_fraction), parts.count(POOL)
    counts = np.broadcast_to(np.asarray(train_counts(stacked.task, parts)), fractions.shape).copy()
    if checked is not None and checked.order is not None:
        counts = np.full_like(counts, checked.n_train)
        check_train_rows(parts, checked.order[: checked.n_train])
    if counts.min() < 1:
        raise SpecError("task.train_fraction", float(fractions.min()), f"a share of at least one of {pool} rows")
    if counts.max() > pool + parts.count(TRAIN):
        most = int(counts.max()) - parts.count(TRAIN)
        raise SpecError("task.train_points", most, f"at most the number of rows, {pool}")
    batch = template.batch_size
    if batch is not None and batch > counts.min():
        raise SpecError("batch_size", batch, f"at most the number of train rows, {counts.min()}")
    return counts


def padded(most: int, cpu: bool) -> tuple[int, int]:
    """Return the number of rows that train rows are padded to, and the rows per tile.

    Tiles divide the rows evenly, so that the last is not mostly padding. Padding what is padded changes nothing.
    """
    if not cpu or most <= CPU_TILE * 3 // 2:
        return most, most
    tiles = -(-most // CPU_TILE)
    tile = -(-most // (tiles * VECTOR)) * VECTOR
    return tiles * tile, tile


def initial_shapes(template: Any, signature: Any) -> Any:
    """Return shapes and dtypes of the parameters, without computing them."""
    with jax.enable_x64(True):
        key = jax.eval_shape(lambda: jax.random.key(0))
        with telling("model", template.model, "initial"):
            shapes = jax.eval_shape(lambda k: template.model.start(k, signature, template.dtype), key)
    check_params(template.model, shapes)
    return shapes


def lane_bytes(program: Program, template: Any, table: Table | None, checked: Given | None) -> tuple[int, int]:
    """Return the bytes of one lane's constants, and of its state."""
    with jax.enable_x64(True):
        lane, state = jax.eval_shape(lambda e: begin(program, e, table, checked), template)
    return tree_bytes(lane), tree_bytes(state)


def tree_bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree) if hasattr(leaf.dtype, "itemsize"))


def record_bytes(template: Any, shapes: Shapes) -> int:
    """Return the bytes of what all probes record of a run at one step."""
    variables = [variable for probe in template.probes for variable in probe.variables(shapes).values()]
    return 8 * sum(math.prod(len(v.coordinates[dim]) for dim in v.dims) for v in variables)


def results_bytes(sweep: Any, planned: Sequence[Cohort]) -> int:
    """Return the bytes of the results of a sweep in memory."""
    return layout(sweep, [SimpleNamespace(steps=c.recorded, variables=variables(c)) for c in planned]).nbytes


def snapshot_bytes(planned: Sequence[Cohort]) -> int:
    """Return the bytes of all snapshots, before they are compressed."""
    return sum(len(c.runs) * len(c.snapshots) * c.state_bytes for c in planned)


def runs_per_batch(size: int, runs: int, most: int, device: Any) -> int:
    """Return the runs of a batch: as many as the memory budget allows, the same for all batches of the cohort."""
    fitting = max(1, batch_bytes(device) // max(1, size))
    batches = -(-runs // min(runs, fitting, most))
    return -(-runs // batches)


def cut(order: np.ndarray, width: int, devices: int, block: int) -> list[np.ndarray]:
    """Cut runs into batches of ``width``, dealt over devices so that each gets small and large ones alike.

    A batch is filled up to whole blocks by repeating its last run.
    """
    lanes = -(-width // (devices * block)) * devices * block
    batches = [order[first : first + width] for first in range(0, len(order), width)]
    return [dealt(np.append(b, np.full(lanes - len(b), b[-1])), devices) for b in batches]


def dealt(order: np.ndarray, devices: int) -> np.ndarray:
    """Return what comes first, second, ... dealt to the devices in turn, those of the first device in front."""
    return order.reshape(-1, devices).T.ravel()


def run_steps(planned: list[Cohort], wanted: Collection[int] | None = None) -> list[int]:
    """Return for every cohort the updates of all runs of the wanted batches together."""
    found, number = [], 0
    for cohort in planned:
        mine = [lanes for i, lanes in enumerate(cohort.batches, number) if wanted is None or i in wanted]
        number += len(cohort.batches)
        found.append(sum(cohort.length * len(np.unique(lanes)) for lanes in mine))
    return found


def described(planned: list[Cohort]) -> list[dict[str, Any]]:
    """Return what a manifest says of the plan."""
    return [
        {
            "runs": len(c.runs),
            "batches": len(c.batches),
            "runs_per_batch": c.width,
            "devices": c.devices,
            "lanes_per_block": c.block,
            "train_rows": c.program.rows,
            "rows_per_tile": c.program.tile,
            "records": len(c.recorded),
            "steps": c.length,
        }
        for c in planned
    ]
