"""The flow in rows against that of all weights, its transition, and descent, which nears it as its rate falls."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import grokdyn as gd
from grokdyn.theory import diagonal

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 8))
CLASSES = np.eye(3)[RNG.integers(3, size=5)]
SLOPES = {
    "cross-entropy": diagonal.softmax(CLASSES),
    "squares": diagonal.squares(RNG.standard_normal((5, 2)), 10.0),
}
TIMES = np.array([0.0, 0.1, 1.0, 7.0, 40.0])


@pytest.mark.parametrize("loss", SLOPES)
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_the_flow_in_rows_is_that_of_all_weights(loss, decay):
    slope, alpha = SLOPES[loss], 0.7
    outputs = slope(np.zeros((5, 1))).shape[1]

    def rate(_, both):
        u, v = both.reshape(2, 8, outputs)
        gradient = X.T @ slope(X @ (u**2 - v**2))
        return np.stack([-2 * u * gradient - decay * u, 2 * v * gradient - decay * v]).ravel()

    told = solve_ivp(rate, (0, 40), np.full(16 * outputs, alpha), "LSODA", TIMES, rtol=1e-10, atol=1e-12)
    u, v = told.y.T.reshape(len(TIMES), 2, 8, outputs).swapaxes(0, 1)
    found = diagonal.flow(X, slope, TIMES, alpha, decay)
    np.testing.assert_allclose(found.w, u**2 - v**2, atol=3e-7)
    product = np.broadcast_to(alpha**2 * np.exp(-2 * decay * TIMES)[:, None, None], u.shape)
    np.testing.assert_allclose(u * v, product, rtol=1e-6)


def test_weights_turn_sparse_at_log_alpha_over_decay():
    """lambda t* - log alpha is one number for all alpha: test accuracy .85 on the sign of 3 of 400 coordinates."""
    experiment = sparse(400, 72, 0.03)
    times = np.arange(0, 200, 5)
    found = []
    for alpha in (1.0, 4.0):
        line = gd.theory.of(experiment.replace(**{"model.init_scale": alpha}), 100 * times)
        crossed = int(np.argmax(line.test_accuracy.values >= 0.85))
        low, high = line.test_accuracy.values[crossed - 1 : crossed + 1]
        at = times[crossed - 1] + 5 * (0.85 - low) / (high - low)
        found.append(0.03 * at - np.log(alpha))
        assert float(line.train_accuracy[2]) == 1
        assert float(line.test_accuracy[2]) < 0.75
        assert float(line.test_accuracy[-1]) > 0.97
    assert np.ptp(found) < 0.06, found


def sparse(dimension, points, decay):
    return gd.Experiment(
        task=gd.SparseSign(dimension=dimension, points=points + 400, train_points=points),
        model=gd.Diagonal(),
        loss=gd.CrossEntropy(precision="float64"),
        optimizer=gd.SGD(learning_rate=0.01, weight_decay=decay),
        steps=200,
        record=gd.At((0, 50, 200)),
        probes=("loss", "accuracy"),
        dtype="float64",
    )


@pytest.mark.parametrize("loss", [gd.CrossEntropy(precision="float64"), gd.MSE()])
def test_descent_is_off_the_flow_by_its_rate(loss):
    """Halved steps halve the distance of the losses of three seeds, to a tenth."""
    base = sparse(20, 8, 0.2).replace(loss=loss)
    coarse = base.replace(steps=100, record=gd.At((50, 100)), **{"optimizer.learning_rate": 0.01})
    fine = base.replace(steps=200, record=gd.At((100, 200)), **{"optimizer.learning_rate": 0.005})
    told = [gd.theory.of(fine.replace(seed=seed), (100, 200)) for seed in range(3)]
    off = []
    for one in (coarse, fine):
        runs = gd.run(gd.Sweep(one, {"seed": range(3)}))
        off.append([runs[name].values - [line[name].values for line in told] for name in ("train_loss", "test_loss")])
    np.testing.assert_allclose(np.linalg.norm(off[0]) / np.linalg.norm(off[1]), 2, rtol=0.1)
    assert np.max(np.abs(off[1])) < 0.01


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="times: got"):
        diagonal.flow(X, SLOPES["squares"], np.array([1.0, 0.5]), 1.0)
    wrong = sparse(20, 8, 0.1).replace(model=gd.Diagonal(output_scale=2.0))
    with pytest.raises(gd.SpecError, match=r"model\.output_scale: got 2\.0; allowed: 1\.0, .* diagonal linear"):
        gd.theory.of(wrong, (0, 1))


def test_sparse_signs_are_those_of_the_sum_of_the_first_coordinates():
    import jax

    with jax.enable_x64(True):
        draw = jax.jit(gd.SparseSign(dimension=9, points=2000, active=5).draw)
        x, y = (np.asarray(part) for part in draw(jax.random.key(0)))
    assert set(np.unique(x)) == {-1, 1}
    np.testing.assert_array_equal(y, x[:, :5].sum(1) > 0)
    assert np.all(np.abs(x.mean(0)) < 4 / 2000**0.5)
    with pytest.raises(gd.SpecError, match=r"task\.active: got 4; allowed: an odd number"):
        gd.Sweep(sparse(20, 8, 0.1).replace(task=gd.SparseSign(active=4)), {})
