"""The random streams of a run, and the table that it draws from one of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.tasks.base import Table
from grokdyn.tasks.fit import read
from grokdyn.tasks.signature import Signature

STREAMS = ("init", "split", "noise", "batch", "probe")


def stream(experiment: Any, name: str) -> jax.Array:
    """Return the key of a named random stream of the run."""
    own = getattr(experiment.seeds, name)
    seed = experiment.seed if own is None else own
    return jax.random.fold_in(jax.random.key(seed), STREAMS.index(name))


def split_keys(experiment: Any) -> tuple[jax.Array, jax.Array]:
    """Return the keys of the split and of the table, where each run draws its own."""
    split_key, table_key = jax.random.split(stream(experiment, "split"))
    return split_key, table_key


def drawn_table(task: Any, key: jax.Array, signature: Signature, dtype: str) -> Table:
    """Return the table that a run draws, as arrays of the types that training reads."""
    return read(jax.tree.map(jnp.asarray, Table(*task.draw(key))), signature, dtype)
