"""The cost of not fitting the tail against exact fractions, published figures and drawn train sets."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from grokdyn.theory import long_tail


@pytest.mark.parametrize("times", [0, 1, 2, 5])
def test_tau_count_and_mass_are_their_sums_in_fractions(times):
    p = [Fraction(k, 15) for k in (1, 2, 4, 8, 0)]
    chance = [comb(5, times) * q**times * (1 - q) ** (5 - times) for q in p]
    mass = sum(c * q for c, q in zip(chance, p, strict=True))
    table = np.array(p, float)
    found = long_tail.level(table, 5, times)
    assert found.count == pytest.approx(float(sum(chance)))
    assert found.mass == pytest.approx(float(mass))
    assert long_tail.tau(table, 5, times) == pytest.approx(float(mass / sum(chance)))
    assert long_tail.cost(table, 5, times, 4, unfitted=0.5) == pytest.approx(float(mass) * 0.75 / 2)


# Zipf frequencies with as many examples as subpopulations: n tau_1, singletons / n, their mass.
ZIPF = {1000: (0.559, 0.209, 0.117), 50_000: (0.472, 0.170, 0.080)}


@pytest.mark.parametrize("n", ZIPF)
def test_zipf_frequencies_have_the_known_tail(n):
    p, (first, singletons, mass) = long_tail.zipf(n), ZIPF[n]
    assert n * long_tail.tau(p, n, 1) == pytest.approx(first, abs=6e-4)
    found = long_tail.level(p, n, 1)
    assert (found.count / n, found.mass) == pytest.approx((singletons, mass), abs=6e-4)
    # Good and Turing: what was never seen among n weighs nearly what was seen once, per example.
    assert long_tail.level(p, n - 1, 0).mass == pytest.approx(found.count / n)


def test_equal_frequencies_cost_the_same_at_every_level():
    p = long_tail.zipf(40, exponent=0)
    assert [long_tail.tau(p, 40, times) for times in (0, 1, 7, 40)] == pytest.approx([1 / 40] * 4)


@pytest.mark.parametrize(("unfitted", "told"), [((), 0.189), ((1,), 0.295), ((1, 2), None)])
def test_drawn_train_sets_have_the_expected_error(unfitted, told):
    p, draws = long_tail.zipf(1000), 400
    expected = long_tail.error(p, 1000, 10, unfitted)
    found = long_tail.simulated(p, 1000, 10, np.random.default_rng(0), unfitted, draws)
    assert abs(found.mean() - expected) < 4 * found.std(ddof=1) / np.sqrt(draws)
    # Known from 200 draws.
    assert told is None or expected == pytest.approx(told, abs=2e-3)


def test_a_prior_weighs_its_draws_by_how_likely_they_make_what_was_seen():
    """Draws of lists: tau_1 is the ratio of means over all, the mean frequency of what is seen once."""
    generator, n = np.random.default_rng(1), 30
    lists = long_tail.normalised(generator.choice([0.2, 1.0, 10.0], size=(4000, 12)))
    seen = np.array([generator.multinomial(n, p) for p in lists])
    once = seen == 1
    found = long_tail.tau(lists, n, 1)
    # Totals of each draw, whose ratio is what is estimated.
    top, below = np.sum(lists * once, axis=1), once.sum(axis=1)
    error = np.std(top - found * below, ddof=1) / np.sqrt(len(lists)) / below.mean()
    assert abs(top.sum() / below.sum() - found) < 4 * error
    assert long_tail.tau(lists[:1], n, 1) == pytest.approx(long_tail.tau(lists[0], n, 1))


def test_the_ends_are_exact_and_large_sizes_do_not_underflow():
    assert long_tail.tau(np.array([1.0, 0.0]), 5, 5) == 1
    assert long_tail.tau(np.array([1.0, 0.0]), 5, 0) == 0
    assert np.isnan(long_tail.tau(np.array([1.0, 0.0]), 5, 3))
    assert 0 < long_tail.tau(np.array([0.5, 0.5]), 10**6, 1) < 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: long_tail.zipf(0), "subpopulations: got 0"),
        (lambda: long_tail.normalised([1, -1]), "weights: got"),
        (lambda: long_tail.normalised([0, 0]), "weights: got"),
        (lambda: long_tail.tau(np.array([0.5]), 3, 4), "times: got 4"),
        (lambda: long_tail.tau(np.array([2.0]), 3, 1), "outside"),
        (lambda: long_tail.cost(np.array([1.0]), 3, 1, 0), "classes: got 0"),
    ],
)
def test_mistakes_are_told(call, message):
    with pytest.raises(ValueError, match=message):
        call()
