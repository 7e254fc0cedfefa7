"""What holds for every component: its numbers are traced, and its results keep the dtype they were asked for."""

import jax
import numpy as np

from tests.cases import changed


def arrays(component):
    """Return the component with numbers as float64 and int64, as the engine stacks them."""
    return jax.tree.map(np.asarray, component)


def assert_numbers_are_traced(evaluate, component):
    """Check that one trace serves all numbers, and that traced numbers do what the same ones fixed do.

    One program has both: most of it is the same.

    Returns:
        What ``evaluate`` gives for the component and for the component with other numbers.
    """
    other, traces = arrays(changed(component)), []

    @jax.jit
    def both(component):
        traces.append(component)
        return evaluate(component), evaluate(other)

    found = [both(component) for component in (arrays(component), other)]
    assert len(traces) == 1
    jax.tree.map(assert_same, *found[1])
    return found[0][0], found[1][0]


def assert_same(found, fixed):
    """Check arrays for equality, floats to a rounding or two: XLA folds what it knows, such as a division by 1."""
    found, fixed = np.asarray(found), np.asarray(fixed)
    eps = np.finfo(fixed.dtype).eps if np.issubdtype(fixed.dtype, np.floating) else 0
    np.testing.assert_allclose(found, fixed, rtol=4 * eps, atol=2 * eps * np.abs(fixed).max(initial=0))


def assert_dtype(tree, dtype):
    """Check that every float array of a tree has the dtype."""
    found = {leaf.dtype for leaf in jax.tree.leaves(tree) if jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating)}
    assert found <= {np.dtype(dtype)}, found
