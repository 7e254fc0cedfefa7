"""Draw a run's split outside the engine."""

import jax
import jax.numpy as jnp

from grokdyn.tasks.split import draw_split


def drawn(task, split=0, noise=1):
    """Return the split and label noise of a task for the seeds of the two streams."""
    labels = jnp.asarray(task.table().labels)
    keys = jax.random.key(split), jax.random.key(noise)
    return draw_split(jax.tree.map(jnp.asarray, task), labels, task.signature().outputs, *keys)
