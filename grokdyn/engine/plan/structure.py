"""What the runs of one structure share, checked before anything is compiled."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from grokdyn.checks.drawn import check_draws
from grokdyn.checks.told import telling
from grokdyn.checks.traced import check_params, check_traced
from grokdyn.engine.plan.fit import check_fit, check_inputs
from grokdyn.spec.errors import Missing, SpecError, Words
from grokdyn.spec.identity import own_code
from grokdyn.tasks.base import Table
from grokdyn.tasks.fit import checked_signature, enumerated
from grokdyn.tasks.parts import Parts, check_train_rows, parts_of, train_counts
from grokdyn.tasks.shapes import Shapes
from grokdyn.tasks.signature import POOL, TRAIN, Inputs, Tokens
from grokdyn.train.lane import Program
from grokdyn.train.start import Given, Start, given

# Most rows per tile on a CPU: the activations of an encoder layer then stay in the second-level cache, and products of
# matrices lose nothing yet.
CPU_TILE = 512
# Sequences of more tokens than FEW_TOKENS are tiled so that a tile has about so many tokens in all: at 19 tokens, d 64
# and 256 neurons a step takes 9.2 ms by these, 10.2 by 2,560, and more than twice that by 256 rows a tile; at d 128
# as long by either. Rows of vectors keep their tile: a layer of linear attention in context loses a fifth by these.
FEW_TOKENS, CPU_TOKENS = 8, 640
# A tile's rows are a multiple of the numbers in a vector register.
VECTOR = 16


class Structure(NamedTuple):
    """What the runs of one structure share.

    Attributes:
        table: the task's table, or None where each run draws its own.
        given: a checked Start, or None.
        program, shapes: what the compiled functions and the probes need to know; ``shapes`` also has the experiments,
            with probes that are settled.
        n_train: number of train rows of every run [runs].
    """

    table: Table | None
    given: Given | None
    program: Program
    shapes: Shapes
    n_train: np.ndarray


def structure_of(
    template: Any, stacked: Any, start: Start | None, rows: int, cpu: bool, left_out: np.ndarray | int = 0
) -> Structure:
    """Return what runs share.

    Args:
        template: the experiment of the first run.
        stacked: all experiments as one pytree, leaves [runs].
        rows: train rows are padded to at least so many.
        left_out: how many rows of every run do not train although the split says so [runs].

    Raises:
        SpecError: if parts do not fit each other, or a combination of numbers leaves no train rows, ...
    """
    task = template.task
    with telling("task", task, "signature"):
        signature = checked_signature(task)
    with telling("task", task, "table"):
        table = None if task.drawn else enumerated(task, signature, template.dtype)
    check_draws(stacked, template, signature)
    parts = parts_of(task)
    check_inputs(template, Shapes(None, signature, False, template))
    code = own_code(template)
    expected = initial_shapes(template, signature, code)
    kept = carried_shapes(template, signature, code)
    checked = None if start is None else given(start, table, expected, template.optimizer, kept)
    whole = checked_counts(stacked, template, parts, checked)
    n_train = whole - left_out
    check_batch(template, n_train)
    noisy, stochastic = is_noisy(stacked, start), bool(np.any(stacked.model.stochastic()))
    sizes = padded(max(int(whole.max()), rows), cpu, most_rows(signature.inputs))
    uneven = int(n_train.min()) < sizes[0]
    program = Program(signature, *sizes, noisy, stochastic, code, uneven)
    shapes = settled(Shapes(expected, signature, noisy, template, (int(n_train.min()), int(whole.max())), stacked))
    check_fit(shapes.experiment, shapes)
    check_traced(program, shapes.runs, table, checked, shapes)
    return Structure(table, checked, program, shapes, n_train)


def settled(shapes: Shapes) -> Shapes:
    """Return what is known of runs whose probes have decided what they leave to them, see ``Probe.settled``."""

    def of(experiment: Any) -> Any:
        return experiment.replace(probes=tuple(probe.settled(shapes) for probe in experiment.probes))

    return shapes._replace(experiment=of(shapes.experiment), runs=of(shapes.runs))


def is_noisy(stacked: Any, start: Start | None) -> bool:
    """Return whether any run has corrupted labels."""
    noise = float(np.max(stacked.task.label_noise))
    if noise > 0 and stacked.task.endless:
        raise SpecError("task.label_noise", noise, "0 where every update draws rows of its own")
    if noise > 0 and start is not None and start.train_rows is not None:
        raise SpecError("task.label_noise", noise, "0 for given train_rows: give corrupted labels as train_labels")
    return noise > 0 or (start is not None and start.train_labels is not None)


def checked_counts(stacked: Any, template: Any, parts: Parts, checked: Given | None) -> np.ndarray:
    """Return the number of train rows of every run."""
    batch = template.batch_size
    if template.task.endless:
        return fresh_counts(stacked, batch, parts, checked)
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
    return counts


def check_batch(template: Any, counts: np.ndarray) -> None:
    """Raise SpecError where a mini-batch has more rows than train."""
    batch = template.batch_size
    if batch is not None and batch > counts.min():
        raise SpecError("batch_size", batch, f"at most the number of train rows, {counts.min()}")


def fresh_counts(stacked: Any, batch: int | None, parts: Parts, checked: Given | None) -> np.ndarray:
    """Return the number of train rows where every update draws its own: those of one update."""
    if batch is None:
        raise SpecError("batch_size", Missing(), "the number of rows that an update draws, where task.fresh is true")
    if parts.count(TRAIN):
        raise SpecError("task", Words("endless rows and a part that always trains"), "parts of a table that only tests")
    if checked is not None and checked.order is not None:
        raise SpecError("start.train_rows", Words("rows"), "nothing, where every update draws rows of its own")
    return np.full(np.shape(stacked.task.train_fraction), batch)


def most_rows(inputs: Inputs) -> int:
    """Return the most rows per tile on a CPU."""
    if not isinstance(inputs, Tokens) or inputs.width <= FEW_TOKENS:
        return CPU_TILE
    return max(VECTOR, min(CPU_TILE, CPU_TOKENS // inputs.width // VECTOR * VECTOR))


def padded(most: int, cpu: bool, tile: int | None = None) -> tuple[int, int]:
    """Return the number of rows that train rows are padded to, and the rows per tile.

    Tiles divide the rows evenly, so that the last is not mostly padding. Padding what is padded changes nothing.

    Args:
        tile: the most rows of one; None: ``CPU_TILE``.
    """
    tile = CPU_TILE if tile is None else tile
    if not cpu or most <= tile * 3 // 2:
        return most, most
    tiles = -(-most // tile)
    tile = -(-most // (tiles * VECTOR)) * VECTOR
    return tiles * tile, tile


def initial_shapes(template: Any, signature: Any, code: str) -> Any:
    """Return shapes and dtypes of the parameters, without computing them.

    Args:
        code: ``own_code`` of the experiment.
    """
    with jax.enable_x64(True), telling("model", template.model, "initial"):
        shapes = drawn.eval_shape(template.model, signature, template.dtype, code)
    check_params(template.model, shapes)
    return shapes


def carried_shapes(template: Any, signature: Any, code: str) -> Any:
    """Return shapes and dtypes of what the model carries beside its parameters."""
    with jax.enable_x64(True), telling("model", template.model, "initial_state"):
        return carried.eval_shape(template.model, signature, template.dtype, code)


# Only ever asked for shapes. JAX remembers those of equal structure and code: an experiment that is resumed, forked, or
# run with other numbers is not traced again.
@partial(jax.jit, static_argnums=(1, 2, 3))
def drawn(model: Any, signature: Any, dtype: str, code: str) -> Any:
    return model.start(jax.random.key(0), signature, dtype)


@partial(jax.jit, static_argnums=(1, 2, 3))
def carried(model: Any, signature: Any, dtype: str, code: str) -> Any:
    return model.initial_state(signature, dtype)
