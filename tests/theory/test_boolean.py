"""Coefficients against sums over the cube, the interpolator against weighted least squares in exact fractions."""

from fractions import Fraction
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from grokdyn.theory import boolean


def subsets(d):
    return [subset for k in range(d + 1) for subset in combinations(range(d), k)]


def index(subset):
    return sum(2**i for i in subset)


def polynomial(**terms):
    """Return {subset: coefficient} of terms such as x01=-1.25."""
    return {tuple(int(i) for i in name[1:]): value for name, value in terms.items()}


def terms(table):
    """Return {subset: coefficient} of a table, zeros left out."""
    d = boolean.dimension(table)
    found = boolean.coefficients(table)
    return {s: round(found[index(s)], 9) for s in subsets(d) if abs(found[index(s)]) > 1e-9}


@pytest.mark.parametrize("d", [0, 1, 2, 5])
def test_coefficients_are_means_of_products(d):
    x, table = boolean.cube(d), np.random.default_rng(d).standard_normal((3, 2**d))
    told = np.zeros_like(table)
    for subset in subsets(d):
        told[:, index(subset)] = np.mean(table * np.prod(x[:, list(subset)], axis=1), axis=1)
    np.testing.assert_allclose(boolean.coefficients(table), told, atol=1e-14)
    np.testing.assert_allclose(boolean.values(told), table, atol=1e-14)


def test_the_transform_is_exact_for_whole_numbers_and_the_same_in_jax():
    table = np.random.default_rng(0).integers(-1000, 1000, (2, 2**10))
    found = boolean.coefficients(table)
    np.testing.assert_array_equal(boolean.values(found), table)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(jax.jit(boolean.coefficients)(jnp.asarray(table)), found)
    single = jax.jit(jax.vmap(boolean.coefficients))(jnp.asarray(table, jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_array_equal(single, found)  # sums below 2^24


def test_profiles_stability_and_influence_are_those_of_their_definitions():
    d, rho = 4, 0.3
    x, table = boolean.cube(d), np.random.default_rng(1).standard_normal(2**d)
    c = boolean.coefficients(table)
    np.testing.assert_allclose(boolean.degree_profile(c).sum(), np.mean(table**2))
    same = np.sum(x[:, None] == x, axis=2)
    chance = ((1 + rho) / 2) ** same * ((1 - rho) / 2) ** (d - same) / 2**d
    np.testing.assert_allclose(boolean.stability(c, rho), table @ chance @ table)
    for k in range(d):
        moved = table[np.arange(2**d) & ~(1 << k)]
        np.testing.assert_allclose(boolean.influences(c)[k], np.mean((table - moved) ** 2) / 2)


def test_a_frozen_coordinate_is_substituted_and_its_influence_is_the_error():
    d, k = 5, 2
    x, table = boolean.cube(d), np.random.default_rng(2).standard_normal((2, 2**d))
    c = boolean.coefficients(table)
    told = boolean.minimum_degree(table, boolean.frozen(x, k))
    np.testing.assert_allclose(told, table[:, np.arange(2**d) & ~(1 << k)], atol=1e-12)
    errors = boolean.held_out(table, boolean.frozen(x, k))
    np.testing.assert_allclose(errors.unseen, 4 * boolean.influences(c)[:, k])
    np.testing.assert_allclose(errors.cube, 2 * boolean.influences(c)[:, k])
    votes = boolean.majority(x)
    wrong = np.mean(np.sign(boolean.minimum_degree(votes, boolean.frozen(x, k))) != votes)
    np.testing.assert_allclose(wrong, boolean.influences(boolean.coefficients(votes))[k] / 2)


# Unseen errors and interpolators of the three holdouts, derived by hand.
REPLACED = {
    "threesym": (polynomial(x0=-1.25, x1=1.5, x2=1.0), ["01", "12", "02"], 19.25),
    "2parity": (polynomial(x0=1, x1=1) | {(): -1}, ["01"], 16.0),
    "cyclic3": (polynomial(x0=-1, x1=-1, x2=-1, x01=1, x12=1, x02=1) | {(): 1}, ["012"], 64.0),
}


@pytest.mark.parametrize("name", REPLACED)
def test_the_holdouts_of_the_paper_have_their_interpolators(name):
    x = boolean.cube(15)
    function, seen = boolean.UNSEEN[name]
    table = function(x)
    new, old, error = REPLACED[name]
    told = {s: v for s, v in terms(table).items() if s not in {tuple(map(int, o)) for o in old}} | new
    assert terms(boolean.minimum_degree(table, seen(x))) == pytest.approx(told)
    assert boolean.held_out(table, seen(x)).unseen == pytest.approx(error)


def lexicographic(table, seen, d, scale=10**12):
    """Return the least sum of scale^|T| c_T^2 that interpolates, in fractions: off by some 100 / scale."""
    x = boolean.cube(d)
    rows = np.flatnonzero(seen)
    sets = subsets(d)
    A = [[Fraction(int(np.prod(x[r, list(s)]))) for s in sets] for r in rows]
    weight = [Fraction(1, scale ** len(s)) for s in sets]
    K = [[sum(p * w * q for p, w, q in zip(one, weight, other, strict=True)) for other in A] for one in A]
    dual = solved(K, [Fraction(float(table[r])) for r in rows])
    c = np.zeros(2**d)
    for j, s in enumerate(sets):
        c[index(s)] = float(weight[j] * sum(y * row[j] for y, row in zip(dual, A, strict=True)))
    return boolean.values(c)


def solved(K, y):
    """Solve by elimination, exactly."""
    rows = [[*row, value] for row, value in zip(K, y, strict=True)]
    for i in range(len(rows)):
        pivot = next(r for r in range(i, len(rows)) if rows[r][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for r in range(len(rows)):
            if r != i:
                rows[r] = [v - rows[r][i] * w for v, w in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


@pytest.mark.parametrize("seed", range(6))
def test_the_interpolator_of_any_seen_points_is_the_limit_of_weighted_least_squares(seed):
    generator, d = np.random.default_rng(seed), 4
    table, seen = generator.standard_normal(2**d), generator.random(2**d) < generator.uniform(0.2, 0.9)
    seen[3] = True
    found = boolean.minimum_degree(table, seen)
    np.testing.assert_array_equal(found[seen], table[seen])
    np.testing.assert_allclose(found, lexicographic(table, seen, d), atol=1e-8)


def test_coordinates_that_the_seen_points_do_not_depend_on_only_pass_through():
    """Seen by x_1, x_2, x_4 of 5 alone; the same by all coordinates at once, and a batch as its members."""
    d, generator = 5, np.random.default_rng(3)
    x, tables = boolean.cube(d), generator.standard_normal((2, 2**d))
    seen = (x[:, 1] == x[:, 4]) | (x[:, 2] == -1)
    assert boolean.dependent(seen) == [1, 2, 4]
    found = boolean.minimum_degree(tables, seen)
    whole = boolean._interpolation(seen) @ tables[:, seen].T
    np.testing.assert_allclose(found, whole.T, atol=1e-12)
    np.testing.assert_array_equal(found[1], boolean.minimum_degree(tables[1], seen))
    np.testing.assert_array_equal(boolean.minimum_degree(tables, np.ones(2**d, bool)), tables)
    assert np.isnan(boolean.held_out(tables, np.ones(2**d, bool)).unseen).all()


@pytest.mark.parametrize("seed", range(6))
def test_monotone_seen_points_need_no_matrices(seed):
    """All points that are better than some drawn ones, better being +1 for some coordinates and -1 for the others."""
    d, generator = 5, np.random.default_rng(seed)
    x, table = boolean.cube(d), generator.standard_normal(2**d)
    better = generator.choice([-1, 1], d)
    seen = np.any(
        [np.all(better * (x - one) >= 0, axis=1) for one in x[generator.integers(2**d, size=1 + seed // 2)]], 0
    )
    found = boolean.minimum_degree(table, seen)
    np.testing.assert_allclose(found, boolean._interpolation(seen) @ table[seen], atol=1e-9)


@pytest.mark.parametrize("weight", [0, 2, 4])
def test_light_points_determine_the_polynomial_of_their_degree(weight):
    x = boolean.cube(6)
    found = boolean.minimum_degree(boolean.parity(x), boolean.light(x, weight))
    profile = boolean.degree_profile(boolean.coefficients(found))
    np.testing.assert_array_equal(profile[weight + 1 :], 0)
    # In the bits b the parity is sum_j (-2)^j e_j(b), and e_j(b) has no values below weight j: cut after `weight`.
    bits = np.sum(x < 0, axis=1)
    binomials = np.array([[np.prod((b - np.arange(j)) / np.arange(1, j + 1)) for j in range(weight + 1)] for b in bits])
    np.testing.assert_allclose(found, binomials @ (-2.0) ** np.arange(weight + 1), atol=1e-8)
    np.testing.assert_allclose(
        found, boolean._interpolation(boolean.light(x, weight)) @ boolean.parity(x)[boolean.light(x, weight)], atol=1e-8
    )


def test_named_functions_are_their_formulas_at_a_point():
    x = np.array([[1, -1, -1, 1, -1], [-1, -1, -1, 1, 1]])
    assert boolean.staircase(x).tolist() == [1 - 1 + 1 + 1 - 1, -1 + 1 - 1 - 1 - 1]
    assert boolean.weighted_pairs(x).tolist() == [-1 + 2 - 3 - 4, 1 + 2 - 3 + 4]
    assert boolean.alternating(x).tolist() == [1 + 2 + 3 - 4 - 5 - 6, 1 - 2 + 3 - 4 - 5 + 6]
    assert boolean.majority(x).tolist() == [-1, -1]
    assert boolean.majority(x[:, :2]).tolist() == [1, -1]
    assert boolean.cyclic3(x).tolist() == [1 + 1 + 1 - 1 + 1, -1 + 1 - 1 - 1 + 1]


def test_the_pointer_is_read_with_its_highest_bit_first():
    x = np.array([[1, -1, 1, 1, 1, -1], [1, 1, 1, 1, 1, -1]])  # pointers 2 and 3 at 1, 1, 1, -1
    assert boolean.pointer_value(x, 2, 2).tolist() == [-1, -1]
    assert boolean.pointer_value(x, 2, 2, boolean.majority).tolist() == [1, -1]
    assert boolean.pointer_value(x, 2, 3, boolean.majority, cyclic=True).tolist() == [1, 1]
    assert boolean.pointer_value(x, 2, 1, lambda v: np.min(v, axis=-1)).tolist() == [1, -1]
    with pytest.raises(ValueError, match="pointer: got 3 for 6 coordinates"):
        boolean.pointer_value(x)


def test_lists_and_every_kind_of_number_are_tables():
    assert boolean.coefficients([1, -1, -1, 1]).tolist() == [0, 0, 0, 1]  # x_0 x_1
    assert boolean.coefficients(np.array([True, False])).tolist() == [0.5, 0.5]
    ones = np.ones(2**9)
    for kind in (np.int8, np.uint8, np.float16):
        assert boolean.coefficients(ones.astype(kind))[0] == 1
        assert jax.jit(boolean.coefficients)(jnp.asarray(ones, kind))[0] == 1
    assert boolean.minimum_degree([5, 6, 7, 8], [True, False, False, False]).tolist() == [5, 5, 5, 5]


def test_mistakes_are_told():
    with pytest.raises(ValueError, match=r"table: got shape \(6,\)"):
        boolean.coefficients(np.ones(6))
    with pytest.raises(ValueError, match="seen: got 0 true"):
        boolean.minimum_degree(np.ones(4), np.zeros(4, bool))
    with pytest.raises(ValueError, match="depends on 13 coordinates"):
        boolean.minimum_degree(np.ones(2**13), boolean.parity(boolean.cube(13)) > 0)
