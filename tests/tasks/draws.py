"""Draw a run's split outside the engine."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl

from grokdyn.tasks.split import draw_split, with_noise


def tabled(task, seed=0, kind=None):
    """Return the table of a task, drawn if it is random, from keys of a kind, by default those of a run."""
    return task.draw(jax.random.key(seed, impl=kind)) if task.drawn else task.table()


def drawn(task, split=0, noise=1, kind=None, table=None):
    """Return the split and label noise of a task for the seeds of the two streams, of its table where that is there."""
    labels = jnp.asarray((tabled(task, split, kind) if table is None else table).labels)
    task = jax.tree.map(jnp.asarray, task)
    clean = draw_split(task, labels, jax.random.key(split, impl=kind))
    return with_noise(task, clean, task.signature().classes, jax.random.key(noise, impl=kind))


def hashed(key, numbers):
    """Return a word of 32 bits for a key and each number: murmur's last step, once with either half of the key."""
    for half in key:
        numbers = numbers ^ half
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            numbers = (numbers ^ (numbers >> shift)) * jnp.uint32(factor)
        numbers = numbers ^ (numbers >> 16)
    return numbers


def bits(key, width, shape):
    numbers = jax.lax.iota(jnp.uint32, int(np.prod(shape))).reshape(shape)
    word = hashed(key, numbers).astype(f"uint{width}")
    return word << 32 | hashed(key + 1, numbers).astype(word.dtype) if width == 64 else word


# For draws whose values do not matter: a program of them is compiled in half the time of one of threefry's.
HASHED = define_prng_impl(
    key_shape=(2,),
    seed=lambda seed: jnp.stack([jnp.uint32(0), jnp.asarray(seed).astype(jnp.uint32)]),
    split=lambda key, shape: bits(key, 32, (*shape, 2)),
    fold_in=lambda key, number: hashed(key, 2 * jnp.asarray(number).astype(jnp.uint32) + jnp.arange(2, dtype="uint32")),
    random_bits=bits,
    name="hashed",
)
