"""What an output depends on, through loops, branches and calls."""

import jax
import jax.numpy as jnp
import pytest

from grokdyn.train.liveness import needed


def scanned(a, b, c, xs):
    """a is carried, b only grows a carry that nobody reads, c is not used but captured."""

    def body(carry, x):
        unused = jnp.sin(c)
        del unused
        return (carry[0] + a * x, carry[1] * b), carry[0]

    (total, _), _ = jax.lax.scan(body, (a, b), xs)
    return total


def looped(a, b, c, xs):
    def body(i, carry):
        return carry[1] + xs[i], carry[0], carry[2] * c

    return jax.lax.fori_loop(jnp.int32(0), jnp.int32(b), body, (a, a, c))[0]


def branched(a, b, c, xs):
    return jax.lax.cond(a > 0, lambda: (b, c), lambda: (xs[0], c))[0]


def called(a, b, c, xs):
    return jax.jit(lambda x, y: (x * xs.sum(), y * c))(a, b)[0]


CASES = [(scanned, "a xs"), (looped, "a b xs"), (branched, "a b xs"), (called, "a xs")]


@pytest.mark.parametrize(("function", "inputs"), CASES)
def test_what_is_needed_is_told_exactly(function, inputs):
    jaxpr = jax.make_jaxpr(function)(1.0, 2.0, 3.0, jnp.ones(4)).jaxpr
    found = needed(jaxpr, [True])
    assert [name for name, need in zip(["a", "b", "c", "xs"], found, strict=True) if need] == inputs.split()
    assert not any(needed(jaxpr, [False]))
