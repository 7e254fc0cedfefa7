"""Arrays drawn as vectors are those of ``jax.random``."""

import jax
import numpy as np
import pytest

from grokdyn.models import draws

KEY = jax.random.key(5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (6,), (3, 5), (2, 3, 4), (0, 3)])
def test_draws_are_those_of_jax(shape, dtype, x64):
    pairs = [
        (draws.uniform(KEY, shape, dtype, 0.3), jax.random.uniform(KEY, shape, dtype, -0.3, 0.3)),
        (draws.normal(KEY, shape, dtype), jax.random.normal(KEY, shape, dtype)),
        (draws.truncated_normal(KEY, shape, dtype, 2), jax.random.truncated_normal(KEY, -2, 2, shape, dtype)),
        (draws.words(KEY, shape), jax.random.bits(KEY, shape, "uint32")),
    ]
    for found, expected in pairs:
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
