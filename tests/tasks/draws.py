"""Draw a run's split outside the engine."""

import jax
import jax.numpy as jnp

from grokdyn.tasks.split import draw_split, with_noise


def tabled(task, seed=0):
    """Return the table of a task, drawn if it is random."""
    return task.draw(jax.random.key(seed)) if task.drawn else task.table()


def drawn(task, split=0, noise=1):
    """Return the split and label noise of a task for the seeds of the two streams."""
    labels = jnp.asarray(tabled(task, split).labels)
    task = jax.tree.map(jnp.asarray, task)
    clean = draw_split(task, labels, jax.random.key(split))
    return with_noise(task, clean, task.signature().classes, jax.random.key(noise))
