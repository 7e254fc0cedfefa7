"""The transformer against a naive transcription of every variant, its two paths, its initialisation, its dropout."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.models.dropout import Dropout
from grokdyn.tasks.base import Signature

pytestmark = pytest.mark.usefixtures("x64")
V, T, D, HEADS, FF = 11, 3, 8, 2, 10
SIGNATURE = Signature(V, T, V, V * V)
SMALL = gd.Transformer(d_model=D, heads=HEADS, d_mlp=FF)
BIASES = {"attention_bias": True, "unembedding_bias": True}
MODELS = {
    "nanda": SMALL,
    "two_layers": SMALL.replace(layers=2),
    "pre": SMALL.replace(layers=2, norm="pre", activation="gelu", init="torch", **BIASES),
    "post": SMALL.replace(layers=2, norm="post", positions="sinusoidal", mlp_bias=False),
    "mup": SMALL.replace(layers=2, init="mup", tied=True, norm="pre", positions="none"),
    "no_mlp": SMALL.replace(layers=2, d_mlp=0, norm="post", attention_bias=True),
    "both_ways": SMALL.replace(layers=2, causal=False, positions="none", **BIASES),
}


def parameters(model, seed=0):
    """Return random parameters, none of them 0 or 1."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: model.initial(jax.random.key(0), SIGNATURE, jnp.float64))
    return {name: 0.5 * rng.normal(size=w.shape) for name, w in shapes.items()}


def tokens(rows=40):
    return np.random.default_rng(1).integers(0, V, (rows, T)).astype(np.int32)


PHI = {"relu": lambda z, xp: xp.maximum(z, 0), "gelu": lambda z, xp: jax.nn.gelu(z, approximate=False)}


def naive(model, params, inputs, xp=np):
    """Return the logits after every token and the activations of every position, head by head and query by query."""

    def linear(x, name, readout=False):
        W, b = params[f"W_{name}"], params.get(f"b_{name}", 0)
        factor = 1 if model.init != "mup" else 1 / len(W) if readout else len(W) ** -0.5
        return factor * x @ W + b

    def norm(x, name, place, suffix=""):
        if model.norm != place:
            return x
        x = (x - x.mean(-1, keepdims=True)) / xp.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * params[f"{name}_scale{suffix}"] + params[f"{name}_shift{suffix}"]

    x, seen = params["W_E"][inputs], {}
    if model.positions == "learned":
        x = x + params["W_pos"]
    if model.positions == "sinusoidal":
        angles = [[i / 10000 ** ((j - j % 2) / D) for j in range(D)] for i in range(T)]
        x = x + np.array([[np.cos(a) if j % 2 else np.sin(a) for j, a in enumerate(row)] for row in angles])
    for layer in range(model.layers):
        y = norm(x, "ln1", "pre", f"_{layer}")
        q, k, v = (linear(y, f"{name}_{layer}") for name in "QKV")
        width, rows_of = D // model.heads, []
        attention = np.zeros((len(inputs), T, T, model.heads)) if xp is np else None
        for i in range(T):
            last, heads = i + 1 if model.causal else T, []
            for h in range(model.heads):
                own = slice(h * width, (h + 1) * width)
                scores = xp.sum(q[:, i, None, own] * k[:, :last, own], -1)
                weights = xp.exp(scores / (width if model.init == "mup" else np.sqrt(width)))
                weights = weights / weights.sum(-1, keepdims=True)
                if attention is not None:
                    attention[:, i, :last, h] = weights
                heads.append(xp.sum(weights[:, :, None] * v[:, :last, own], 1))
            rows_of.append(xp.concatenate(heads, -1))
        mid = norm(x + linear(xp.stack(rows_of, 1), f"O_{layer}"), "ln1", "post", f"_{layer}")
        seen |= {f"resid_pre_{layer}": x, f"attention_{layer}": attention, f"resid_mid_{layer}": mid}
        x = mid
        if model.d_mlp:
            z = linear(norm(mid, "ln2", "pre", f"_{layer}"), f"in_{layer}")
            hidden = PHI[model.activation](z, xp)
            x = norm(mid + linear(hidden, f"out_{layer}"), "ln2", "post", f"_{layer}")
            seen |= {f"pre_{layer}": z, f"hidden_{layer}": hidden}
        seen[f"resid_post_{layer}"] = x
    if model.tied:
        params = params | {"W_U": params["W_E"].T}
    return linear(norm(x, "ln_final", "pre"), "U", readout=True), seen


@pytest.mark.parametrize("name", MODELS)
def test_every_path_is_the_naive_model(name):
    """Logits and activations at the last token, by either path; activations at every position."""
    model = MODELS[name]
    params, inputs = parameters(model), tokens()
    exact, seen = naive(model, params, inputs)
    for path in ("answer", "full"):
        found = jax.jit(model.replace(path=path).forward)(params, inputs)
        close(found.logits, exact[:, -1])
        assert found.activations.keys() == seen.keys()
        for key, value in found.activations.items():
            close(value, seen[key][:, -1])
    everywhere = jax.jit(model.activations)(params, inputs)
    assert everywhere.keys() == seen.keys()
    for key, value in everywhere.items():
        close(value, seen[key])


@pytest.mark.parametrize("name", ["pre", "post", "mup"])
def test_gradients_of_every_path_are_those_of_the_naive_model(name):
    model, inputs = MODELS[name], tokens(15)
    params = jax.tree.map(jnp.asarray, parameters(model))
    target = np.random.default_rng(2).normal(size=(len(inputs), V))

    def gradient(logits_of):
        return jax.jit(jax.grad(lambda p: jnp.sum(target * logits_of(p))))(params)

    exact = gradient(lambda p: naive(model, p, inputs, jnp)[0][:, -1])
    for path in ("answer", "full"):
        found = gradient(lambda p, path=path: model.replace(path=path).forward(p, inputs).logits)
        for key in exact:
            close(found[key], exact[key], 1e-10)


def close(found, exact, rtol=1e-12):
    assert found.shape == exact.shape
    np.testing.assert_allclose(found, exact, rtol=rtol, atol=rtol * max(1, np.abs(exact).max()))


def test_the_paths_agree_in_float32_to_rounding():
    params, inputs = parameters(SMALL), tokens()
    narrow = {name: w.astype(np.float32) for name, w in params.items()}
    exact = naive(SMALL, params, inputs)[0][:, -1]
    for path in ("answer", "full"):
        found = jax.jit(SMALL.replace(path=path).forward)(narrow, inputs).logits
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, rtol=3e-5, atol=3e-6 * np.abs(exact).max())


CHOICES = [(4, "none", False), (5, "none", True), (12, "pre", False), (13, "pre", True)]


@pytest.mark.parametrize(("rows", "norm", "tabled"), CHOICES)
def test_tables_are_used_where_they_save_products(rows, norm, tabled):
    """Three tokens a row against 11 tokens and 3 positions; behind a norm, against their 33 pairs and 3 more."""
    model = SMALL.replace(norm=norm)
    params = jax.tree.map(jnp.asarray, parameters(model))
    stream = model.embedded(params, jnp.asarray(tokens(rows)).T, "auto")
    assert hasattr(stream, "table") == tabled


def test_the_last_layer_is_computed_at_the_last_token_alone():
    model = SMALL.replace(layers=2)
    params, inputs = jax.tree.map(jnp.asarray, parameters(model)), tokens()
    for path, computed in (("answer", (T, 1)), ("full", (T, T))):
        found = jax.eval_shape(lambda path=path: model.passed(params, jnp.asarray(inputs), Dropout(0.0, None), path)[1])
        assert (len(found["hidden_0"]), len(found["hidden_1"])) == computed


def spread_of(params, name):
    """Return the standard deviation of a parameter, its largest entry, and the relative error of the former."""
    w = np.asarray(params[name], np.float64)
    return w.std(), np.abs(w).max(), 5 / np.sqrt(2 * w.size)


@pytest.mark.parametrize("init", ["nanda", "torch", "mup"])
def test_it_starts_as_documented(init):
    model = gd.Transformer(norm="pre", init=init, **BIASES)
    params = jax.jit(lambda: model.start(jax.random.key(0), Signature(114, 3, 114, 12769, 1), "float32"))()
    for name in params:
        if name.startswith("ln"):
            assert np.all(params[name] == ("scale" in name))
            continue
        std, largest, error = spread_of(params, name)
        bound = (512 if "out" in name else 128) ** -0.5
        if init == "torch" and name not in ("W_E", "W_pos"):
            assert abs(std * np.sqrt(3) / bound - 1) < error
            assert largest <= bound
        elif name.startswith("b_"):
            assert largest == 0
        else:
            expected = 1 if init != "nanda" else 114**-0.5 if name == "W_U" else 128**-0.5
            assert abs(std / expected - 1) < error
            assert largest > 2.2 * expected
    assert not np.array_equal(params["W_Q_0"], params["W_K_0"])


def test_the_default_is_nandas_size():
    params = jax.eval_shape(lambda: gd.Transformer().start(jax.random.key(0), Signature(114, 3, 114, 1, 1), "float32"))
    assert sum(w.size for w in params.values()) == 2 * 114 * 128 + 3 * 128 + 4 * 128**2 + 2 * 128 * 512 + 512 + 128


def test_nandas_names_are_read():
    model = SMALL.replace(layers=2)
    params = parameters(model)
    theirs = {"embed.W_E": params["W_E"].T, "pos_embed.W_pos": params["W_pos"], "unembed.W_U": params["W_U"]}
    for layer in (0, 1):
        block = f"blocks.{layer}"
        for part in "QKV":
            w = params[f"W_{part}_{layer}"]
            heads = [w[:, h * D // HEADS : (h + 1) * D // HEADS].T for h in range(HEADS)]
            theirs[f"{block}.attn.W_{part}"] = np.stack(heads)
        theirs[f"{block}.attn.W_O"] = params[f"W_O_{layer}"].T
        theirs[f"{block}.attn.mask"] = np.tri(T)
        for part in ("in", "out"):
            theirs[f"{block}.mlp.W_{part}"] = params[f"W_{part}_{layer}"].T
            theirs[f"{block}.mlp.b_{part}"] = params[f"b_{part}_{layer}"]
    found = gd.interop.from_torch(model, {f"init.{name}": w for name, w in theirs.items()}, prefix="init.")
    assert found.keys() == params.keys()
    assert all(np.array_equal(found[name], params[name]) for name in params)
    theirs.pop("unembed.W_U")
    with pytest.raises(gd.SpecError, match="arrays embed"):
        gd.interop.from_torch(model, theirs)


def test_dropout_acts_in_all_places_and_only_with_a_key(monkeypatch):
    model = SMALL.replace(layers=2, dropout=0.3)
    params, inputs = jax.tree.map(jnp.asarray, parameters(model)), tokens()
    forward = jax.jit(model.forward)
    measured = forward(params, inputs).logits
    np.testing.assert_allclose(measured, jax.jit(SMALL.replace(layers=2).forward)(params, inputs).logits, rtol=1e-12)
    one, two = (forward(params, inputs, jax.random.key(i)).logits for i in (0, 1))
    assert not np.allclose(one, measured)
    assert not np.allclose(one, two)
    places = []

    class Spy(Dropout):
        def __call__(self, x, place):
            places.append((place, x.shape))
            return super().__call__(x, place)

    monkeypatch.setattr("grokdyn.models.transformer.Dropout", Spy)
    jax.eval_shape(lambda: model.forward(params, jnp.asarray(inputs), jax.random.key(0)))
    rows = len(inputs)
    drawn = [((T, T, rows, HEADS), (T, rows, D), (T, rows, FF), (T, rows, D))]
    drawn.append(((1, T, rows, HEADS), (1, rows, D), (1, rows, FF), (1, rows, D)))
    assert places == list(enumerate(itertools.chain(*drawn)))


def test_dropout_keeps_the_mean():
    """The logits of a network that is linear in what is dropped, averaged over draws, are those without."""
    model = SMALL.replace(activation="identity", dropout=0.2)
    params, inputs = parameters(model), tokens(3)
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: model.forward(params, inputs, key).logits))(keys))
    error = 5 * drawn.std(0) / np.sqrt(len(keys))
    assert np.all(np.abs(drawn.mean(0) - model.forward(params, inputs).logits) < error)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": gd.Transformer(d_model=10)}, r"model\.heads: got 4; allowed: a divisor of d_model, 10"),
        ({"task": gd.SparseParity(), "model": gd.Transformer()}, r"model\.kind: got 'transformer'.*has no tokens"),
        ({"model": gd.Transformer(norm="rms")}, r"model\.norm: got 'rms'; allowed: one of none, pre, post"),
    ],
)
def test_mistakes_are_told(changes, message):
    base = {"task": gd.ModularArithmetic(p=5), "loss": gd.MSE(), "optimizer": gd.SGD(), "steps": 1}
    with pytest.raises(gd.SpecError, match=message):
        gd.run(gd.Experiment(**(base | changes)))


def test_an_embedding_can_be_tied_only_to_its_own_tokens():
    with pytest.raises(gd.SpecError, match=r"model\.tied: got True; allowed: false: 3 classes, 5 tokens"):
        SMALL.replace(tied=True).initial(jax.random.key(0), Signature(5, 2, 3, 25), jnp.float64)
