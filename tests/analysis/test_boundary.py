"""Boundaries that are known in closed form, found again from noisy runs."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit

import grokdyn as gd
from grokdyn.analysis.boundary import choice, found
from grokdyn.analysis.boundary.answers import WINDOW, asked, limited, signed
from grokdyn.analysis.boundary.line import line
from grokdyn.analysis.boundary.surface import EXPECTED, Runs, Surface, cosines, deviations, evaluated, fit, given_scales
from grokdyn.analysis.checks import ArgumentError

SEEDS = 4


class Plane:
    """P(yes) = 1 / (1 + exp(eta)), eta the height above a curve over the width of the transition, in cells."""

    def __init__(self, n, width, bend=0.25):
        self.n, self.width, self.bend = n, width, bend

    def curve(self, u):
        u = u / (self.n - 1)
        return (0.35 + self.bend * np.sin(2.5 * u) + 0.1 * u) * (self.n - 1)

    def eta(self, at):
        return (at[:, 1] - self.curve(at[:, 0])) / self.width

    def line(self, points=100):
        u = np.linspace(0, self.n - 1, points)
        return np.stack([u, self.curve(u)], axis=1)

    def reply(self, at, rng):
        """Return answers of runs at places."""
        return np.where(self.eta(at) < rng.logistic(size=len(at)), -1.0, 1.0)


def searched(plane, seed, budget, batch):
    """Search the boundary as ``gd.boundary`` does; return the last fit and the runs' places."""
    rng = np.random.default_rng(seed)
    size = (plane.n, plane.n)
    at = np.repeat(choice.coarse(size), SEEDS, axis=0).astype(float)
    sign = plane.reply(at, rng)
    while True:
        answers = [signed("q", sign)]
        fits = found.fitted(at, answers, size)
        if found.known_to(fits) <= 0.5 or len(at) + batch * SEEDS > budget:
            return fits[0], at
        cells = choice.following([f.surface for f in fits], found.seen(at, answers, SEEDS), SEEDS, batch)
        more = np.repeat(np.asarray(cells)[:, :2], SEEDS, axis=0).astype(float)
        at, sign = np.concatenate([at, more]), np.concatenate([sign, plane.reply(more, rng)])


def off(plane, fitted):
    """Return how far the fitted line is from the true one along it, in cells, and in standard errors."""
    at = plane.line()
    eta = fitted.surface.at(at)
    return np.abs(eta) / np.hypot(*fitted.surface.slope(at).T), np.abs(eta) / fitted.surface.error(at)


@pytest.mark.parametrize(("width", "share"), [(0.05, 0.95), (1.0, 0.5)])
def test_a_search_finds_a_known_boundary_to_half_a_cell_with_a_part_of_the_runs(width, share):
    plane = Plane(16, width)
    fitted, at = searched(plane, 0, 400, 16)
    distance, _ = off(plane, fitted)
    assert len(at) <= 400 < 16 * 16 * SEEDS / 2
    assert np.quantile(distance, share) < 0.5  # where the transition is as wide as a cell, by its own standard error


def covered(repetitions):
    """Return whether the band holds the whole known line, and the share of it in the pointwise band, of each search."""
    plane = Plane(12, 1.0)
    whole, share = [], []
    for seed in range(repetitions):
        fitted, _ = searched(plane, seed, 260, 16)
        _, errors = off(plane, fitted)
        whole.append(errors.max() < fitted.line.critical)
        share.append((errors < 1.96).mean())
    return np.asarray(whole), np.asarray(share)


def test_the_pointwise_band_of_a_few_searches_covers_the_line():
    _, share = covered(2)
    assert share.mean() + 2 * share.std() / np.sqrt(2) > 0.9


@pytest.mark.slow
def test_bands_of_500_searches_cover_a_known_line_as_often_as_they_say():
    whole, share = covered(500)
    assert 0.93 <= share.mean() <= 0.97  # the band of a point, along the line
    assert whole.mean() >= 0.93  # that of the whole line is wide, 0.98 here: points of a line go together


def runs_of(plane, cells, seeds=3, seed=0):
    at = np.repeat(cells, seeds, axis=0).astype(float)
    sign = plane.reply(at, np.random.default_rng(seed))
    answers = signed("q", sign)
    return Runs(at, answers.low, answers.high, np.ones(len(at)))


def test_the_slope_and_bend_of_the_posterior_are_its_derivatives():
    runs = runs_of(Plane(8, 1.0), choice.coarse((8, 8)))
    times = runs._replace(low=np.linspace(-1, 1, len(runs.at)), high=np.linspace(-0.5, 1.5, len(runs.at)))
    for which, noise in ((runs, 0.0), (times, -0.7)):
        rows = cosines(which.at, (8, 8)) * deviations((8, 8), EXPECTED)
        mean = np.random.default_rng(1).normal(size=rows.shape[1]) / 10
        _, slope, bend = evaluated(which, rows, mean, noise)
        step = 1e-5 * np.eye(len(mean))
        ends = [[evaluated(which, rows, mean + sign * e, noise) for sign in (1, -1)] for e in step]
        np.testing.assert_allclose(slope, [(a[0] - b[0]) / 2e-5 for a, b in ends], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(-bend, [(a[1] - b[1]) / 2e-5 for a, b in ends], rtol=1e-5, atol=1e-5)


def test_the_fit_is_that_of_a_dense_gaussian_process():
    runs = runs_of(Plane(8, 1.0), choice.coarse((8, 8)))
    surface = given_scales(runs, cosines(runs.at, (8, 8)), (8, 8), EXPECTED)
    rows = surface.rows(runs.at)
    prior = rows @ rows.T
    eta = np.zeros(len(prior))
    yes = (runs.high <= 0).astype(float)
    for _ in range(50):  # Rasmussen and Williams 2006, algorithm 3.1
        p = expit(-eta)
        w = p * (1 - p)
        b = w * eta + (p - yes)
        root = np.sqrt(w)
        inner = np.eye(len(eta)) + root[:, None] * prior * root
        eta = prior @ (b - root * np.linalg.solve(inner, root * (prior @ b)))
    variance = np.diag(prior - prior * root @ np.linalg.solve(inner, (prior * root).T))
    np.testing.assert_allclose(surface.at(runs.at), eta, atol=2e-5)
    np.testing.assert_allclose(surface.error(runs.at) ** 2, variance, rtol=1e-4)


def test_points_of_a_line_stand_for_its_length():
    radius, n = 4.1, 13
    at = np.stack(np.meshgrid(*[np.linspace(0, n - 1, 40)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    bowl = np.sum((at - 6) ** 2, axis=1) - radius**2
    empty = Surface((n, n), EXPECTED, np.zeros(0), np.eye(0), 0.0)
    mean = np.linalg.lstsq(empty.rows(at), bowl, rcond=None)[0]
    made = line(Surface((n, n), EXPECTED, mean, np.eye(len(mean)), 0.0))
    assert made.length.sum() == pytest.approx(2 * np.pi * radius, rel=0.03)
    np.testing.assert_allclose(np.hypot(*(made.at - 6).T), radius, atol=0.02)
    slope = Surface((n, n), EXPECTED, mean, np.eye(len(mean)), 0.0).slope(made.at)
    np.testing.assert_allclose(slope, 2 * (made.at - 6), atol=0.1)


def timed(n=7, seeds=3, level=100.0, steps=400):
    """Return a Dataset of times T, log T = log(level) + (u - v) / 4 + noise, recorded every tenth step."""
    rng = np.random.default_rng(0)
    x, y = np.linspace(0, 1, n), np.geomspace(1, 100, n)
    u, v = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    log = np.log(level) + (u - v)[..., None] / 4 + 0.3 * rng.logistic(size=(n, n, seeds))
    step = np.arange(0, steps + 1, 10)
    reached = (step >= np.exp(log)[..., None]).astype(float)
    return xr.Dataset(
        {"test_accuracy": (("a", "b", "seed", "step"), reached), "status": (("a", "b", "seed"), np.zeros(log.shape))},
        {"a": x, "b": y, "step": step, "seed": range(seeds)},
        {"axes": "a b seed"},
    )


def test_the_contour_of_a_median_time_counts_censored_runs_as_what_they_are():
    made = gd.analysis.boundary(timed(), "test_accuracy >= 0.9 within 100", x="a", y="b")
    diagonal = made.line_x * 6 - np.log(made.line_y) / np.log(100) * 6
    assert np.abs(diagonal).max() < 1.0
    assert made.attrs["runs"] == 7 * 7 * 3
    inside = made.surface.sel(question=made.question[0])
    assert float(inside.sel(a=0.0, b=100.0)) < 0 < float(inside.sel(a=1.0, b=1.0))


def test_times_outside_of_the_window_tell_only_on_which_side_they_are():
    edge = np.log(WINDOW)
    low, high = limited(np.array([-5.0, 0, 90, 150, 900, np.nan]), np.array([5.0, 10, 110, np.inf, 950, np.nan]), 100.0)
    np.testing.assert_allclose(low, [-np.inf, -np.inf, np.log(0.9), np.log(1.5), edge, np.nan])
    np.testing.assert_allclose(high, [-edge, -edge, np.log(1.1), np.inf, np.inf, np.nan])


def test_a_grid_and_its_single_points_have_the_same_boundary():
    ds = timed()
    flat = ds.stack(run=("a", "b", "seed")).reset_index("run").transpose("run", "step").assign_attrs(axes="run")
    one, other = (gd.analysis.boundary(d, "test_accuracy >= 0.9", x="a", y="b") for d in (ds, flat))
    np.testing.assert_array_equal(one.surface, other.surface)


def test_of_several_classes_each_is_told_from_all_others():
    u, v = np.meshgrid(np.arange(10), np.arange(10), indexing="ij")
    train = np.where(u < 5, 1.0, 0.0)[..., None] * [0, 1, 1, 1]
    test = np.where((u < 5) & (v < 5), 1.0, 0.0)[..., None] * [0, 0, 0, 1]
    dims = ("a", "b", "step")
    ds = xr.Dataset(
        {"train_accuracy": (dims, train), "test_accuracy": (dims, test)},
        {"a": range(10), "b": range(10), "step": [0, 10, 100, 1000]},
        {"axes": "a b"},
    )
    made = gd.analysis.boundary(ds, "phase", "a", "b")
    assert list(made.question.values) == ["grokking", "memorization", "confusion"]
    confused = made.isel(point=made.of.values == 2)
    assert np.abs(confused.line_x - 4.5).max() < 0.5
    one = gd.analysis.boundary(ds, "phase is confusion", "a", "b")
    np.testing.assert_array_equal(one.surface[0], made.surface[2])


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("test_accurracy >= 0.9", "no such variable"),
        ("test_accuracy", "a condition such as"),
        ("test_accuracy >= 0.9 within soon", "a number of steps above 0"),
        ("test_accuracy >= 0.9 within 400", "a level below the 400 steps"),
        ("test_accuracy >= 0.5 after test_accuracy >= 0.2", "a delay needs a level"),
        ("phase is grocking", "phase is one of"),
        ("test_accuracy >= 2", "all 147 runs answer no"),
        (7, "expected one such as"),
    ],
)
def test_a_question_that_cannot_be_is_told_in_a_line(question, told):
    with pytest.raises(ArgumentError, match=told) as caught:
        gd.analysis.boundary(timed(), question, "a", "b")
    assert "\n" not in str(caught.value)


def test_questions_are_read_in_words():
    about = asked("test_loss <= 0.1 after train_loss <= 0.1 within 2e3")
    assert about[1:4] == ("test_loss <= 0.1", "train_loss <= 0.1", 2000.0)


def test_a_batch_is_whole_whatever_there_is_and_spreads():
    plane = Plane(16, 0.05)
    size, nodes = (16, 16), choice.coarse((16, 16))
    runs = runs_of(plane, nodes)
    surface = fit(runs, size)
    yes = np.where(plane.eta(nodes.astype(float)) < 0, 1.0, 0.0)
    chosen = choice.following([surface], choice.Seen(nodes, np.ones(len(nodes), int), yes[None]), 3, 24)
    assert len(chosen) == 24
    fresh = {(i, j) for i, j, repeat in chosen if repeat == 0}
    assert len(fresh) > 18
    assert not fresh & {tuple(node) for node in nodes.tolist()}
    everywhere = np.argwhere(np.ones(size))
    seen = choice.Seen(everywhere, np.full(256, 2), np.where(plane.eta(everywhere * 1.0) < 0, 1.0, 0.0)[None])
    again = choice.following([surface], seen, 3, 24)
    assert len(again) == 24
    assert {repeat for *_, repeat in again} >= {2}
