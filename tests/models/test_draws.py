"""Arrays drawn as vectors are those of ``jax.random``."""

import jax
import numpy as np
import pytest

from grokdyn.models import draws

pytestmark = pytest.mark.as_users
KEY = jax.random.key(5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_are_those_of_jax(dtype, x64):
    # Two draws of one shape are one program of the reference; the empty one between them tells where each begins.
    kinds = {
        "uniform": (lambda key, shape: draws.uniform(key, shape, dtype, 0.3), (2, 3, 4)),
        "normal": (lambda key, shape: draws.normal(key, shape, dtype).then(lambda x: x * 3), (40, 50)),
        "truncated": (lambda key, shape: draws.truncated_normal(key, shape, dtype).then(lambda x: x / 3), (5, 7)),
    }
    references = {
        "uniform": lambda key, shape: jax.random.uniform(key, shape, dtype, -0.3, 0.3),
        "normal": lambda key, shape: jax.random.normal(key, shape, dtype) * 3,
        "truncated": lambda key, shape: jax.random.truncated_normal(key, -2, 2, shape, dtype) / 3,
    }
    keys = iter(jax.random.split(KEY, 3 * len(kinds)))
    found, expected = {}, {}
    for i in range(3):
        for kind, (draw, shape) in kinds.items():
            key, shape = next(keys), shape if i != 1 else (0, 3)
            found[f"{kind}_{i}"], expected[f"{kind}_{i}"] = draw(key, shape), references[kind](key, shape)
    for name, array in jax.jit(lambda: draws.together(found))().items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_array_equal(array, expected[name])


def test_a_tree_without_draws_is_itself():
    assert draws.together({"a": 1.0}) == {"a": 1.0}
