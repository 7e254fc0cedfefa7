"""Where the hand-written sides begin: parameters and train rows of every run."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from grokdyn.tasks.base import Table
from grokdyn.tasks.streams import split_keys


class Beginning(NamedTuple):
    """Step 0 of several runs.

    Attributes:
        params: name -> float [runs, ...].
        rows: int32 [runs, n], the train rows of the table.
        table: inputs and labels of all rows.
    """

    params: dict[str, np.ndarray]
    rows: np.ndarray
    table: Table


def begin(experiment: Any, runs: int) -> Beginning:
    """Draw the parameters and train rows of several runs from the experiment's own distributions."""
    task, model = experiment.task, experiment.model
    signature = task.signature()
    with jax.enable_x64(True):  # models draw in float64, then round
        keys = jax.random.split(jax.random.key(experiment.seed), runs)
        start = jax.jit(jax.vmap(lambda key: model.start(key, signature, experiment.dtype)))
        params = jax.device_get(start(keys))
    rng = np.random.default_rng(experiment.seed)
    n = int(jax.tree.map(np.asarray, task).train_count(signature.rows))
    rows = np.stack([rng.permutation(signature.rows)[:n] for _ in range(runs)])
    return Beginning(params, rows.astype(np.int32), table_of(experiment))


def table_of(experiment: Any) -> Table:
    """Return the task's table; of one that every run draws for itself, that of the experiment's seed."""
    task = experiment.task
    if not task.drawn:
        return task.table()
    with jax.enable_x64(True):
        return jax.device_get(jax.jit(lambda: Table(*task.draw(split_keys(experiment)[1])))())
