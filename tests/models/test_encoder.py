"""The encoder layer against a naive transcription that computes every token, its initialisation, its dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.models.dropout import Dropout
from grokdyn.models.encoder import TORCH_NAMES
from grokdyn.tasks.base import Signature

pytestmark = pytest.mark.usefixtures("x64")
V, D, HEADS, FF, OUT = 11, 12, 3, 20, 7
MODEL = gd.Encoder(d_model=D, heads=HEADS, ff=FF)


def parameters(seed=0, dtype="float64"):
    """Return random parameters, none of them 0 or 1."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: MODEL.start(jax.random.key(0), Signature(V, 2, OUT, V * V), jnp.float64))
    return {name: (0.5 * rng.normal(size=w.shape)).astype(dtype) for name, w in shapes.items()}


def tokens(width=2, rows=40):
    return np.random.default_rng(1).integers(0, V, (rows, width)).astype(np.int32)


def naive(params, inputs, xp=np):
    """PyTorch's layer, sequence by sequence and token by token, with the logits of the last."""
    names = {theirs: params[ours] for ours, theirs in TORCH_NAMES.items()}

    def linear(x, name):
        return x @ names[f"{name}.weight"] + names[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / xp.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
        return x * names[f"{name}.weight"] + names[f"{name}.bias"]

    layer = "transformer.layers.0"
    x = names["embedding.weight"][inputs]  # [rows, tokens, d]
    qkv = x @ names[f"{layer}.self_attn.in_proj_weight"] + names[f"{layer}.self_attn.in_proj_bias"]
    parts = []
    for head in range(HEADS):
        width = D // HEADS
        q, k, v = (qkv[..., part * D + head * width : part * D + (head + 1) * width] for part in range(3))
        scores = q @ xp.swapaxes(k, 1, 2) / xp.sqrt(width)
        weights = xp.exp(scores)
        parts.append(weights / weights.sum(-1, keepdims=True) @ v)
    x = norm(x + linear(xp.concatenate(parts, axis=-1), f"{layer}.self_attn.out_proj"), f"{layer}.norm1")
    x = norm(x + linear(xp.maximum(linear(x, f"{layer}.linear1"), 0), f"{layer}.linear2"), f"{layer}.norm2")
    return linear(x, "linear")[:, -1]


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 3e-5)])
def test_it_is_the_naive_layer_at_the_last_token(dtype, rtol, width):
    params, inputs = parameters(dtype=dtype), tokens(width)
    found = jax.jit(MODEL.forward)(params, inputs).logits
    exact = naive(parameters(), inputs)
    np.testing.assert_allclose(found, exact, rtol=rtol, atol=rtol * np.abs(exact).max())
    assert found.dtype == dtype


def test_gradients_are_those_of_the_naive_layer():
    params, inputs = parameters(), tokens()
    target = np.random.default_rng(2).normal(size=(len(inputs), OUT))
    found = jax.jit(jax.grad(lambda p: jnp.sum(target * MODEL.forward(p, inputs).logits)))(params)
    exact = jax.jit(jax.grad(lambda p: jnp.sum(target * naive(p, inputs, jnp))))(jax.tree.map(jnp.asarray, params))
    for name in exact:
        np.testing.assert_allclose(found[name], exact[name], rtol=1e-9, atol=1e-11 * np.abs(exact[name]).max())


def test_activations_are_those_of_the_last_token():
    params, inputs = parameters(), tokens()
    output = jax.jit(MODEL.forward)(params, inputs)
    shapes = {name: value.shape for name, value in output.activations.items()}
    rows = len(inputs)
    assert shapes == {
        "attention": (rows, 2, HEADS),
        "resid_mid": (rows, D),
        "hidden": (rows, FF),
        "resid_post": (rows, D),
    }
    np.testing.assert_allclose(output.activations["attention"].sum(1), 1, rtol=1e-12)
    final = output.activations["resid_post"] @ params["W_U"] + params["b_U"]
    np.testing.assert_allclose(final, output.logits, rtol=1e-12)


def test_it_starts_as_pytorch_does():
    """Bounds of the uniform draws, and their spread: std b/sqrt(3), with an error of 1/sqrt(2n) relative."""
    model = gd.Encoder()
    params = jax.jit(lambda: model.start(jax.random.key(0), Signature(113, 2, 113, 12544), "float32"))()
    bounds = {
        "W_QKV": np.sqrt(6 / 512),
        "W_O": 128**-0.5,
        "W_in": 128**-0.5,
        "b_in": 128**-0.5,
        "W_out": 2048**-0.5,
        "b_out": 2048**-0.5,
        "W_U": 128**-0.5,
        "b_U": 128**-0.5,
    }
    for name, bound in bounds.items():
        w = np.asarray(params[name], np.float64)
        assert np.abs(w).max() <= bound
        assert np.abs(w).max() > bound * (1 - 20 / w.size)
        assert abs(w.std() / (bound / np.sqrt(3)) - 1) < 5 / np.sqrt(2 * w.size)
    assert abs(np.std(params["W_E"]) - 1) < 5 / np.sqrt(2 * 113 * 128)
    assert np.abs(params["W_E"]).max() > 3
    for name in ("b_QKV", "b_O", "shift_1", "shift_2"):
        assert not np.any(params[name])
    for name in ("scale_1", "scale_2"):
        assert np.all(params[name] == 1)
    assert sum(w.size for w in params.values()) == 113 * 128 + 4 * 128 * 129 + 2 * 128 * 2048 + 2176 + 512 + 113 * 129


def test_pytorchs_names_are_read():
    params = parameters()
    theirs = {TORCH_NAMES[name]: w if name == "W_E" else w.T for name, w in params.items()}
    found = gd.interop.from_torch(MODEL, {f"init.{name}": w for name, w in theirs.items()}, prefix="init.")
    assert all(np.array_equal(found[name], params[name]) for name in params)
    theirs.pop("linear.bias")
    with pytest.raises(gd.SpecError, match="arrays embedding"):
        gd.interop.from_torch(MODEL, theirs)


def test_dropout_acts_in_all_four_places_and_only_with_a_key():
    params, inputs = parameters(), tokens()
    model = MODEL.replace(dropout=0.3)
    forward = jax.jit(model.forward)
    measured = forward(params, inputs).logits
    assert np.array_equal(measured, jax.jit(MODEL.forward)(params, inputs).logits)
    one, two = (forward(params, inputs, jax.random.key(i)).logits for i in (0, 1))
    assert not np.allclose(one, measured)
    assert not np.allclose(one, two)
    # With one of the paths cut, each place still changes the output: weights, a, hidden, out.
    for cut in ({"W_out": 0, "b_out": 0}, {"W_O": 0, "b_O": 0}):
        quiet = params | {name: 0 * params[name] for name in cut}
        assert not np.allclose(forward(quiet, inputs, jax.random.key(0)).logits, forward(quiet, inputs).logits)
    places = []

    class Spy(Dropout):
        def __call__(self, x, place):
            places.append((place, x.shape))
            return super().__call__(x, place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grokdyn.models.encoder.Dropout", Spy)
        arrays = jax.tree.map(jnp.asarray, params)
        jax.eval_shape(lambda: model.forward(arrays, jnp.asarray(inputs), jax.random.key(0)))
    rows = len(inputs)
    assert places == [(0, (rows, 2, HEADS)), (1, (rows, D)), (2, (rows, FF)), (3, (rows, D))]


def test_a_share_of_zero_drops_nothing():
    params, inputs = parameters(), tokens()
    dropped = jax.jit(MODEL.forward)(params, inputs, jax.random.key(0)).logits
    np.testing.assert_allclose(dropped, jax.jit(MODEL.forward)(params, inputs).logits, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": gd.Encoder(d_model=10, heads=4)}, r"model\.heads: got 4; allowed: a divisor of d_model, 10"),
        (
            {"task": gd.SparseParity(), "model": gd.Encoder()},
            r"model\.kind: got inputs that are no tokens",
        ),
    ],
)
def test_mistakes_are_told(changes, message):
    base = {"task": gd.ModularArithmetic(p=5), "loss": gd.MSE(), "optimizer": gd.SGD(), "steps": 1}
    with pytest.raises(gd.SpecError, match=message):
        gd.run(gd.Experiment(**(base | changes)))
