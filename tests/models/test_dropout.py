"""Dropout: what it draws, and what it does with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from grokdyn.models.dropout import LEVELS, Dropout, draw

KEY = jax.random.key(7)


@pytest.mark.parametrize("shape", [(4,), (5, 3), (3, 2, 4), (1,), (0, 3)])
def test_each_threefry_decides_over_four_entries(shape):
    found, size = np.asarray(jax.jit(lambda: draw(KEY, shape))()), int(np.prod(shape))
    expected = [
        half
        for number in range(-(-size // 4))
        for word in jax.random.key_data(jax.random.fold_in(KEY, number)).tolist()
        for half in (word % LEVELS, word // LEVELS)
    ]
    assert (found.shape, found.dtype) == (shape, np.uint16)
    assert found.ravel().tolist() == expected[:size]


def test_draws_are_uniform_and_independent_of_their_neighbours():
    found = np.asarray(draw(KEY, (2**20,)))
    assert stats.chisquare(np.bincount(found >> 8, minlength=256)).pvalue > 1e-4
    assert stats.chisquare(np.bincount(found & 255, minlength=256)).pvalue > 1e-4
    other = np.asarray(draw(jax.random.fold_in(KEY, 1), found.shape))
    for pair in [(found, other), *((found[:-lag], found[lag:]) for lag in (1, 2, 3, 4, 64))]:
        assert abs(np.corrcoef(*pair)[0, 1]) < 5 / np.sqrt(len(pair[0]))


def test_runs_under_vmap_draw_what_they_draw_alone():
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(lambda key: draw(key, (5, 6)))(keys)
    np.testing.assert_array_equal(together, np.stack([draw(key, (5, 6)) for key in keys]))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_its_share(share):
    x = jnp.ones((200, 301), jnp.float32)
    found = np.asarray(jax.jit(lambda share: Dropout(share, jax.random.key(0))(x, 0))(share))
    error = 5 * np.sqrt(share * (1 - share) / x.size)
    assert abs(np.mean(found == 0) - share) < error
    np.testing.assert_allclose(found[found > 0], 1 / (1 - share), rtol=1e-4)
    # No two rows and no two halves share their draws.
    kept = found > 0
    assert abs(np.corrcoef(kept[:, :150].ravel(), kept[:, 150:300].ravel())[0, 1]) < 5 / np.sqrt(30_000)
    assert abs(np.corrcoef(kept[:100].ravel(), kept[100:].ravel())[0, 1]) < 5 / np.sqrt(30_100)
