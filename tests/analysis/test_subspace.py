"""The dimension of updates against dense second moments."""

import numpy as np
import pytest
import xarray as xr

from grokdyn.analysis import update_subspace


def dataset(weights):
    weights = np.asarray(weights, float)
    step = 10 * np.arange(weights.shape[1])
    return xr.Dataset({"weight": (("seed", "step", "entry"), weights)}, {"step": step}, {"axes": "seed"})


def test_it_is_that_of_the_second_moment_of_updates():
    rng = np.random.default_rng(0)
    weights = np.cumsum(rng.normal(size=(3, 8, 5)) * [3, 2, 1, 0.1, 0.1], axis=1)
    weights[2, 6:] = np.nan
    found = update_subspace(dataset(weights), share=0.8)
    for seed, until in enumerate((8, 8, 6)):
        d = np.diff(weights[seed, :until], axis=0)
        l = np.linalg.eigvalsh(sum(np.outer(x, x) for x in d))[::-1]
        assert float(found.participation[seed]) == pytest.approx(l.sum() ** 2 / (l @ l))
        assert float(found.dimension[seed]) == next(k for k in range(1, 6) if l[:k].sum() >= 0.8 * l.sum())


def test_a_line_has_one_dimension_and_rest_has_none():
    line = np.arange(6)[:, None] * np.array([1.0, 2.0, -1.0])
    found = update_subspace(dataset([line, np.ones((6, 3))]))
    assert found.dimension.values[0] == 1
    assert found.participation.values[0] == pytest.approx(1)
    assert np.isnan(found.dimension.values[1])


def test_what_does_not_fit_is_told():
    ds = dataset(np.zeros((1, 3, 2)))
    with pytest.raises(ValueError, match="expected one of its own"):
        update_subspace(ds.assign(loss=ds.weight.sum("entry")), "loss")
    with pytest.raises(ValueError, match="share"):
        update_subspace(ds, share=2)
