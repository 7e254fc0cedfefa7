"""Arrays drawn as vectors are those of ``jax.random``."""

import jax
import numpy as np
import pytest

from grokdyn.models import draws

pytestmark = pytest.mark.as_users
KEY = jax.random.key(5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_are_those_of_jax(dtype, x64):
    shapes = [(2, 3, 4), (0, 3), (40, 50)]
    keys = jax.random.split(KEY, 3 * len(shapes))
    found, expected = {}, {}
    for i, shape in enumerate(shapes):
        a, b, c = keys[3 * i : 3 * i + 3]
        found |= {
            f"uniform_{i}": draws.uniform(a, shape, dtype, 0.3),
            f"normal_{i}": draws.normal(b, shape, dtype).then(lambda x: x * 3),
            f"truncated_{i}": draws.truncated_normal(c, shape, dtype).then(lambda x: x / 3),
        }
        expected |= {
            f"uniform_{i}": jax.random.uniform(a, shape, dtype, -0.3, 0.3),
            f"normal_{i}": jax.random.normal(b, shape, dtype) * 3,
            f"truncated_{i}": jax.random.truncated_normal(c, -2, 2, shape, dtype) / 3,
        }
    for name, array in jax.jit(lambda: draws.together(found))().items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_array_equal(array, expected[name])


def test_a_tree_without_draws_is_itself():
    assert draws.together({"a": 1.0}) == {"a": 1.0}
