"""Kernels of infinite width against quadrature, Monte Carlo over weights and wide networks; their flow as descent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import grokdyn as gd
from grokdyn.theory import infinite_width as wide

PHI = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0)),
    "erf": (special.erf, lambda z: 2 / np.sqrt(np.pi) * np.exp(-(z**2))),
    "square": (np.square, lambda z: 2 * z),
    "identity": (lambda z: z, np.ones_like),
}
X = np.array([[1.0, 0.0, 0.5], [-0.3, 0.8, 0.2], [0.9, 0.1, 0.4], [-2.0, 0.1, 1.0]])


def by_angle(phi, k, c, q):
    """E of functions that grow as z^n, n = 0 or 1 where positive, by the angle: exact by Gauss and Legendre."""
    turn = np.arccos(np.clip(c / np.sqrt(k * q), -1, 1))
    low, high = turn - np.pi / 2, np.pi / 2  # where both are positive
    t, w = np.polynomial.legendre.leggauss(40)
    t, w = low + (high - low) * (t + 1) / 2, w * (high - low) / 2
    radius = 2 if phi(2.0) == 2 else 1  # E r^2 = 2
    return radius * np.sum(w * phi(np.sqrt(k) * np.cos(t)) * phi(np.sqrt(q) * np.cos(t - turn))) / (2 * np.pi)


def by_nodes(phi, k, c, q):
    """E over N(0, [[k, c], [c, q]]) by Gauss and Hermite."""
    z, w = np.polynomial.hermite_e.hermegauss(120)
    w = w / np.sqrt(2 * np.pi)
    a = np.sqrt(k) * z[:, None]
    b = c / np.sqrt(k) * z[:, None] + np.sqrt(max(q - c**2 / k, 0)) * z[None, :]
    return w @ (phi(a) * phi(b)) @ w


@pytest.mark.parametrize("activation", PHI)
@pytest.mark.parametrize(("k", "c", "q"), [(1.0, 0.3, 2.0), (0.7, -0.6, 0.6), (1.3, 1.3, 1.3), (0.5, 0.0, 3.0)])
def test_expectations_are_those_of_quadrature(activation, k, c, q):
    quadrature = by_angle if activation == "relu" else by_nodes
    found = wide.CLOSED[activation](*(np.array(value) for value in (k, c, q)))
    for told, phi in zip(found, PHI[activation], strict=True):
        np.testing.assert_allclose(told, quadrature(phi, k, c, q), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("activation", PHI)
@pytest.mark.parametrize("layers", [wide.ntk_layers(2, 1.4, 0.3), wide.standard_layers((3, 10), 1.2, 0.5)])
def test_two_layers_are_means_over_a_million_weights(activation, layers):
    """Within 4 standard errors: outputs at step 0, and the products of gradients by every tensor of weights."""
    rng, (first, last) = np.random.default_rng(0), layers
    phi, slope = PHI[activation]
    x, y = X[:2], X[2:]
    W = np.sqrt(first.weight / 3) * rng.standard_normal((3, 10**6))
    b = np.sqrt(first.bias) * rng.standard_normal(10**6)
    h = [rows @ W + b for rows in (x, y)]
    value, slopes = (
        (lambda draws: (draws.mean(-1), 4 * draws.std(-1) / 1e3))(f(h[0])[:, None] * f(h[1])[None])
        for f in (phi, slope)
    )
    gram = x @ y.T / 3
    found = wide.kernels(x, y, layers, activation)
    moves = last.weight * (first.weight_moves * gram + first.bias_moves)
    told = (
        (found.covariance, last.weight * value[0] + last.bias, last.weight * value[1]),
        (
            found.tangent,
            last.weight_moves * value[0] + last.bias_moves + moves * slopes[0],
            last.weight_moves * value[1] + abs(moves) * slopes[1],
        ),
    )
    for exact, mean, error in told:
        assert np.all(np.abs(exact - mean) <= error + 1e-12)


@pytest.mark.parametrize("activation", PHI)
def test_deeper_layers_are_means_over_a_million_units_of_the_layer_below(activation):
    """Units of layer l are drawn with the covariance that the recursion gives them; five layers of two inputs."""
    rng, layers, (phi, slope) = np.random.default_rng(1), wide.ntk_layers(5, 1.1, 0.4), PHI[activation]
    x = X[:2]
    for depth in range(2, 6):
        below, above = (wide.kernels(x, x, layers[:place], activation) for place in (depth - 1, depth))
        z = np.linalg.cholesky(below.covariance) @ rng.standard_normal((2, 10**6 // 4))
        draws, slopes = phi(z[0]) * phi(z[1]), slope(z[0]) * slope(z[1])
        own, error = 1.21 * draws.mean() + 0.16, 1.21 * draws.std() / 500
        assert abs(above.covariance[0, 1] - own) < 4 * error + 1e-12
        handed = 1.21 * below.tangent[0, 1]
        told = own + handed * slopes.mean()
        assert abs(above.tangent[0, 1] - told) < 4 * (error + abs(handed) * slopes.std() / 500) + 1e-12
        np.testing.assert_allclose(wide.variances(x, layers[:depth], activation), np.diag(above.covariance), rtol=1e-7)


@pytest.mark.usefixtures("x64")
def test_jax_gives_the_same():
    layers = wide.ntk_layers(3, 1.3, 0.2)
    for activation in PHI:
        exact = wide.kernels(X, X[:2], layers, activation)
        found = jax.jit(lambda x, phi=activation: wide.kernels(x, x[:2], layers, phi))(jnp.asarray(X))
        for told, one in zip(exact, found, strict=True):
            np.testing.assert_allclose(one, told, rtol=1e-7)


def test_an_input_of_length_zero_has_a_kernel():
    found = wide.kernels(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0]]), wide.ntk_layers(3), "relu")
    np.testing.assert_allclose(found.tangent, 0, atol=1e-15)


def test_outputs_in_training_are_those_of_descent_in_function_space():
    """Mean and variance of f_t by pushing every draw of f_0 through the updates f <- f - rate Theta(., X)(f(X) - y)."""
    layers, rng = wide.ntk_layers(2, 1.5, 0.3), np.random.default_rng(2)
    x, y, rate, n = rng.standard_normal((6, 3)), rng.standard_normal((4, 2)), 0.05, 4
    K, T = wide.kernels(x, x, layers), wide.kernels(x, x[:n], layers).tangent
    among = wide.Kernels(K.covariance[:n, :n], K.tangent[:n, :n])
    cross = wide.Kernels(K.covariance[:, :n], T)
    steps = np.array([0, 1, 7, 40])
    left = (1 - rate * wide.modes(among.tangent)[0]) ** steps[:, None]
    found = wide.flow(among, cross, wide.variances(x, layers), y, left)
    M, drift, at = np.eye(6), np.zeros((6, 2)), {}
    step = np.eye(6) - rate * np.pad(T, ((0, 0), (0, 2)))
    for k in range(41):
        at[k] = (drift, np.diag(M @ K.covariance @ M.T))
        M, drift = step @ M, step @ drift + rate * T @ y
    for i, k in enumerate(steps):
        np.testing.assert_allclose(found.mean[i], at[k][0], atol=1e-9)
        np.testing.assert_allclose(found.variance[i], at[k][1], atol=1e-7)
    centred = wide.flow(among, cross, wide.variances(x, layers), y, left, init=False)
    np.testing.assert_array_equal(centred.mean, found.mean)
    assert not centred.variance.any()


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="activation: got 'tanh'; allowed: relu, erf, square, identity"):
        wide.kernels(X, X, wide.ntk_layers(2), "tanh")
    with pytest.raises(ValueError, match="layers: got none"):
        wide.kernels(X, X, ())
    one = wide.kernels(X, X, wide.ntk_layers(2))
    with pytest.raises(ValueError, match="left, cross: got"):
        wide.flow(one, one, np.ones(4), X, np.ones((1, 3)))


WORDS = {
    "two outputs, biases": gd.MLP(hidden=(2048,), init="ntk", bias=True, activation="erf", init_scale=1.3),
    "scaled and rescaled": gd.MLP(hidden=(2048,), init="ntk", output_scale=3.0, rescaled=True),
    "centred": gd.MLP(hidden=(2048,), init="ntk", activation="square", output_scale=3.0, centred=True, rescaled=True),
    "linear, PyTorch's law": gd.MLP(hidden=(), init="torch", bias=True, output_scale=1.5),
    "random features": gd.RandomFeatures(width=4096, gain=1.5, output_scale=1.2),
    "a fixed readout": gd.FixedReadout(width=4096, output_scale=0.7),
}
STEPS = (0, 1, 3, 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORDS)
def test_wide_runs_follow_their_line(name):
    """Mean over 32 draws of the weights within 3 standard errors, on rows of their own part and a corrupted label."""
    model = WORDS[name]
    exp = gd.Experiment(
        task=gd.TeacherStudent(dimension=4, points=24, teacher=gd.MLP(hidden=(4,)), teacher_outputs=2, label_noise=0.2),
        model=model,
        loss=gd.MSE(reduction="sum" if model.output_scale == 1.5 else "mean"),
        optimizer=gd.SGD(learning_rate=0.02),
        steps=10,
        record=gd.At(STEPS),
        probes=("loss",),
        seeds=gd.Seeds(split=0, noise=1),
    )
    draws = {"seed": range(32)}
    if isinstance(model, gd.RandomFeatures):
        draws = {"model.draw": range(32)}
    elif isinstance(model, gd.FixedReadout):
        draws = {"w": {"zip": {"seed": range(32), "model.readout_seed": range(32)}}}
    ds = gd.run(gd.Sweep(exp, draws))
    told, dim = gd.theory.of(exp, STEPS), next(dim for dim in ds.train_loss.dims if dim != "step")
    for variable in ("train_loss", "test_loss"):
        error = ds[variable].std(dim, ddof=1) / 32**0.5
        # Centred networks all start at one loss; float32 is off by 1e-6 of it.
        off = abs(ds[variable].mean(dim) - told[variable]) - 1e-6 * told[variable][0]
        assert bool(np.all(off < 3 * error)), (name, variable, off.values / error.values)


def test_tokens_classes_and_parts_have_their_lines():
    """A linear model on modular addition: descent by hand on one-hot codes, for the rows that the seed draws."""
    task = gd.ModularArithmetic(op="add", p=5, train_fraction=0.6, label_noise=0.2)
    base = gd.Experiment(
        task=task,
        model=gd.MLP(hidden=(), init="lecun", init_scale=0.0),
        loss=gd.MSE(),
        optimizer=gd.SGD(learning_rate=3.0, momentum=0.6),
        steps=20,
        record=gd.At((0, 5, 20)),
        probes=("loss",),
        dtype="float64",
        seed=3,
    )
    told, ds = gd.theory.of(base, (0, 5, 20)), gd.run(base)
    for part in ("train", "test"):
        np.testing.assert_allclose(ds[f"{part}_loss"].values.ravel(), told[f"{part}_loss"], rtol=1e-9)
    boolean = gd.Boolean(function="staircase", dimension=4, seen="frozen", coordinates=(0,), value="-1")
    parts = gd.theory.of(gd.Experiment(task=boolean, model=base.model, loss=gd.MSE(), optimizer=gd.SGD(), steps=5), [5])
    assert {"train_loss", "unseen_loss"} <= set(parts)
