"""The MLP against a dense twin in float64 numpy; its initial weights against their distributions."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.initializers import INITS
from grokdyn.tasks.base import Signature
from tests.contract import assert_dtype

pytestmark = pytest.mark.usefixtures("x64")
P = 7
TASK = gd.ModularArithmetic(p=P)
SIGNATURE = TASK.signature()
TOKENS = TASK.table().inputs
CODES = np.concatenate([np.eye(P)[TOKENS[:, 0]], np.eye(P)[TOKENS[:, 1]]], axis=1)
erf = np.vectorize(math.erf)
PHI = {
    "relu": lambda z: np.maximum(z, 0),
    "square": lambda z: z**2,
    "tanh": np.tanh,
    "exp": np.exp,
    "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
    "gelu_tanh": lambda z: z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2,
    "erf": erf,
    "identity": lambda z: z,
}


def dense(params, x, phi, factors):
    """Return logits and hidden layers of the textbook network."""
    hidden, depth = [], len(factors) - 1
    for layer, factor in enumerate(factors):
        x = factor * (x @ params[f"W_{layer}"]) + params.get(f"b_{layer}", 0)
        hidden.append(x)
        x = x if layer == depth else phi(x)
    return x, hidden


def started(model, dtype="float64", seed=0, signature=SIGNATURE):
    return model.start(jax.random.key(seed), signature, dtype)


def forward(model, params, inputs):
    return jax.jit(model.forward)(params, jnp.asarray(inputs))


def test_every_activation_is_tested():
    assert PHI.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize(
    ("activation", "hidden", "bias", "dtype"),
    [
        *((activation, (6, 5), True, "float64") for activation in PHI),
        *((activation, (8,), False, "float32") for activation in PHI),
        ("identity", (), True, "float64"),
    ],
)
def test_a_network_is_its_dense_twin(activation, hidden, bias, dtype):
    model = gd.MLP(hidden=hidden, activation=activation, bias=bias)
    params = started(model, dtype)
    exact = {name: np.asarray(w, np.float64) for name, w in params.items()}
    logits, inner = dense(exact, CODES, PHI[activation], [1.0] * (len(hidden) + 1))
    output = forward(model, params, TOKENS)
    # Sums of at most 8 products of numbers below 1 in every layer: a few roundings of values of order 1.
    tolerance = {"rtol": 50 * np.finfo(dtype).eps, "atol": 50 * np.finfo(dtype).eps}
    np.testing.assert_allclose(output.logits, logits, **tolerance)
    for layer in range(len(hidden)):
        np.testing.assert_allclose(output.activations[f"pre_{layer}"], inner[layer], **tolerance)
        np.testing.assert_allclose(output.activations[f"hidden_{layer}"], PHI[activation](inner[layer]), **tolerance)
    assert_dtype((params, output), dtype)


@pytest.mark.parametrize(
    ("init", "factors"),
    [
        ("ntk", (1 / np.sqrt(2 * P), 1 / np.sqrt(6), 1 / np.sqrt(4))),
        ("mup", (1 / np.sqrt(2 * P), 1 / np.sqrt(6), 1 / 4)),
        ("torch", (1, 1, 1)),
    ],
)
def test_the_parameterisation_scales_every_layer(init, factors):
    model = gd.MLP(hidden=(6, 4), activation="tanh", init=init, bias=True)
    params = {name: w + 0.1 for name, w in started(model).items()}
    logits, _ = dense(params, CODES, np.tanh, factors)
    np.testing.assert_allclose(forward(model, params, TOKENS).logits, logits, rtol=1e-12, atol=1e-14)


def test_tokens_and_their_one_hot_codes_give_the_same():
    model = gd.MLP(hidden=(8,), bias=True)
    params = started(model)
    by_token = forward(model, params, TOKENS).logits
    by_code = forward(model, params, CODES).logits
    np.testing.assert_allclose(by_token, by_code, rtol=1e-14, atol=1e-15)


def test_gradients_through_the_gather_are_those_of_the_product():
    model = gd.MLP(hidden=(8,), activation="square")
    params = started(model)

    @jax.jit
    def total(inputs):
        return jax.grad(lambda w: jnp.sum(jnp.sin(model.forward(w, inputs).logits)))(params)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13),
        total(jnp.asarray(TOKENS)),
        total(jnp.asarray(CODES)),
    )


def test_a_network_of_vectors_takes_their_length():
    model = gd.MLP(hidden=(3,))
    params = started(model, signature=Signature(0, 5, 2, 10))
    assert {name: w.shape for name, w in params.items()} == {"W_0": (5, 3), "W_1": (3, 2)}


def moments(values):
    """Return mean and standard deviation of draws, each with its standard error, the latter from the fourth moment."""
    x = np.asarray(values, np.float64).ravel()
    deviation = x.std()
    kurtosis = np.mean((x - x.mean()) ** 4) / deviation**4
    return x.mean(), deviation / np.sqrt(x.size), deviation, deviation * np.sqrt((kurtosis - 1) / (4 * x.size))


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ("torch", lambda fan_in, width: 1 / np.sqrt(3 * fan_in)),
        ("lecun", lambda fan_in, width: 1 / np.sqrt(fan_in)),
        ("gromov", lambda fan_in, width: 0.5 / (2 * width) ** (1 / 3)),
        ("ntk", lambda fan_in, width: 1.0),
        ("mup", lambda fan_in, width: 1.0),
        ("normal", lambda fan_in, width: 1.0),
    ],
)
def test_initial_weights_have_the_stated_spread(init, expected):
    width = 300
    signature = gd.ModularArithmetic(p=97).signature()
    params = started(gd.MLP(hidden=(width,), init=init), signature=signature)
    for name, fan_in in (("W_0", 2 * 97), ("W_1", width)):
        mean, mean_error, deviation, error = moments(params[name])
        assert abs(mean) < 4 * mean_error
        assert abs(deviation - expected(fan_in, width)) < 4 * error


def test_every_init_is_tested():
    assert set(INITS) == {"torch", "lecun", "gromov", "ntk", "mup", "normal"}


def test_torch_weights_and_biases_fill_their_bounds():
    params = started(gd.MLP(hidden=(300,), bias=True), signature=gd.ModularArithmetic(p=97).signature())
    for layer, fan_in in ((0, 2 * 97), (1, 300)):
        for name in (f"W_{layer}", f"b_{layer}"):
            largest = np.abs(params[name]).max() * np.sqrt(fan_in)
            # The largest of n uniform draws misses the bound by more than 10/n once in e^10.
            assert 1 - 10 / params[name].size < largest <= 1


def test_lecun_weights_are_cut_at_two_deviations_of_the_normal():
    W = started(gd.MLP(hidden=(300,), init="lecun"))["W_0"]
    assert np.abs(W).max() * np.sqrt(2 * P) < 2 / 0.8796
    assert np.abs(W).max() * np.sqrt(2 * P) > 2 / 0.8797 * 0.98


def test_other_inits_start_with_biases_of_zero():
    params = started(gd.MLP(hidden=(5,), bias=True, init="lecun"))
    assert not np.any(params["b_0"])
    assert not np.any(params["b_1"])


def test_layers_and_seeds_have_draws_of_their_own():
    model = gd.MLP(hidden=(14, 14), bias=True)
    params, others = started(model), started(model, seed=1)
    W = {name: w for name, w in params.items() if name.startswith("W")}
    assert W["W_0"].shape == W["W_1"].shape
    for a, b in itertools.combinations(W.values(), 2):
        assert not np.intersect1d(a, b).size
    assert all(not np.intersect1d(params[name], others[name]).size for name in params)


def test_init_scale_multiplies_all_parameters_and_output_scale_the_logits():
    model = gd.MLP(hidden=(8,), bias=True)
    params, scaled = started(model), started(model.replace(init_scale=3.0))
    assert all(np.array_equal(3 * params[name], scaled[name]) for name in params)
    logits = forward(model, params, TOKENS).logits
    assert np.array_equal(forward(model.replace(output_scale=0.25), params, TOKENS).logits, logits / 4)


def test_pytorch_matrices_are_transposed_and_layers_sorted_by_number():
    rng = np.random.default_rng(0)
    depth = 11
    model = gd.MLP(hidden=(3,) * depth, bias=True)
    shapes = [(3, 2 * P), *[(3, 3)] * (depth - 1), (P, 3)]
    weights = [rng.normal(size=shape) for shape in shapes]
    biases = [rng.normal(size=shape[0]) for shape in shapes]
    order = [10, 2, 0, 11, 1, 3, 4, 5, 6, 7, 8, 9]
    arrays = {f"init.layers.{i}.weight": weights[i] for i in order} | {
        f"init.layers.{i}.bias": biases[i] for i in order
    }
    params = gd.interop.from_torch(model, {**arrays, "test_acc": np.zeros(3)}, prefix="init.")
    for i in range(depth + 1):
        assert np.array_equal(params[f"W_{i}"], weights[i].T)
        assert np.array_equal(params[f"b_{i}"], biases[i])
    expected = jax.eval_shape(lambda: started(model))
    assert {name: w.shape for name, w in params.items()} == {name: w.shape for name, w in expected.items()}


@pytest.mark.parametrize("bias", [False, True])
def test_pytorch_arrays_of_another_model_are_refused(bias):
    arrays = {"layers.0.weight": np.zeros((8, 14))}
    with pytest.raises(gd.SpecError, match=r"1 arrays named \*\.weight"):
        gd.interop.from_torch(gd.MLP(hidden=(8,), bias=bias), arrays)
    arrays |= {"layers.1.weight": np.zeros((7, 8)), "layers.0.bias": np.zeros(8)}
    with pytest.raises(gd.SpecError, match=r"1 arrays named \*\.bias"):
        gd.interop.from_torch(gd.MLP(hidden=(8,), bias=bias), arrays)
