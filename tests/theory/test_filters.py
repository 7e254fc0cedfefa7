"""Filters against steps made one by one, and where they go."""

import numpy as np
import pytest

from grokdyn.theory import filters
from grokdyn.theory.linear import learning_curves

L = np.array([0.0, 0.01, 0.3, 1.0, 2.5])


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_descent_is_steps_made_one_by_one(momentum, decay):
    """Two starts and two targets of each mode tell p and h apart."""
    rate, steps = 0.3, np.array([0, 1, 2, 7, 60])
    found = filters.descent(L, steps[:, None], rate, momentum, decay)
    for start, best in ((1.0, 0.0), (0.0, 1.0)):
        w, b, at = np.full_like(L, start), np.zeros_like(L), {}
        for step in range(61):
            at[step] = w
            b = momentum * b + L * (w - best) + decay * w
            w = w - rate * b
        told = np.stack([at[step] for step in steps])
        np.testing.assert_allclose(found.left if start else found.fitted, told, atol=1e-9)


def test_small_steps_are_the_flow_and_late_ones_ridge():
    times = np.array([[0.5], [4.0]])
    flow, small = filters.flow(L, times, 0.1), filters.descent(L, times / 1e-5, 1e-5, decay=0.1)
    for one, other in zip(flow, small, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    late = filters.descent(L, np.array(20_000), 0.3, 0.9, decay=0.1)
    for one, other in zip(late, filters.ridge(L, 0.1), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    np.testing.assert_array_equal(filters.ridge(L, 0.0).fitted, L > 0)


def test_momentum_that_is_none_is_refused():
    with pytest.raises(ValueError, match="momentum: got 1"):
        filters.descent(L, np.array(3), 0.1, 1.0)


def test_errors_of_a_decayed_student_end_at_those_of_ridge():
    """Levi et al. (2023): no noise, no start; train and test error by the moments of Marchenko and Pastur's law."""
    ratio, decay = 2.0, 0.01
    told = learning_curves(np.array([4000.0]), ratio, rate=0.2, decay=decay)
    # Leading order in decay^2: E l (decay / l)^2 / a and E (decay / l)^2, inverse moments 1 / (a - 1), a / (a - 1)^3.
    np.testing.assert_allclose(told.train, decay**2 / (ratio - 1) / ratio, rtol=0.15)
    np.testing.assert_allclose(told.test, decay**2 * ratio / (ratio - 1) ** 3, rtol=0.3)
