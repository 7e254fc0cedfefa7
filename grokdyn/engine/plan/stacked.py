"""Experiments of one structure as one pytree of columns."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from grokdyn.losses.base import Loss
from grokdyn.models.base import Model
from grokdyn.optim.base import AnyOptimizer
from grokdyn.spec.foreign import foreign_numbers

# The parts of an experiment whose numbers meet arrays of the run's dtype, and what they are.
ROUNDED, MEETS_ARRAYS = ("model", "loss", "optimizer"), (Model, Loss, AnyOptimizer)


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
