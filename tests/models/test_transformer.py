"""The transformer against a naive transcription of every variant, its two paths, its initialisation, its dropout."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import grokdyn as gd
from grokdyn.engine.plan.fit import refuse
from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.dropout import Dropout
from grokdyn.models.positions import POSITIONS
from grokdyn.models.transformer_params import INITS
from grokdyn.models.transformer_pass import embedded
from grokdyn.tasks.base import Signature
from grokdyn.tasks.shapes import Shapes
from grokdyn.tasks.signature import Classes, Tokens
from tests import cases
from tests.train.lanes import taken_apart

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
    "answers": SMALL.replace(layers=2, norm="pre", activation="gelu", answers=2, **BIASES),
    "rotary": SMALL.replace(layers=2, positions="rotary", attention="linear", **BIASES),
    "alibi": SMALL.replace(repeats=2, re_embed=True, positions="alibi", norm="pre"),
    "t5": SMALL.replace(layers=2, positions="t5", causal=False, init="mup"),
}


def parameters(model, seed=0):
    """Return random parameters, none of them 0 or 1."""
    rng = np.random.default_rng(seed)
    signature = Signature(Tokens(V, T), Classes(V, answers=model.answers), V * V)
    shapes = jax.eval_shape(lambda: model.start(jax.random.key(0), signature, jnp.float64))
    return {name: 0.5 * rng.normal(size=w.shape) for name, w in shapes.items()}


def tokens(rows=40):
    return np.random.default_rng(1).integers(0, V, (rows, T)).astype(np.int32)


def gelu(z, xp):
    if xp is np:
        return z * (1 + np.vectorize(math.erf)(z / np.sqrt(2))) / 2
    return z * (1 + jax.scipy.special.erf(z / np.sqrt(2))) / 2


PHI = {
    "relu": lambda z, xp: xp.maximum(z, 0),
    "square": lambda z, xp: z * z,
    "tanh": lambda z, xp: xp.tanh(z),
    "exp": lambda z, xp: xp.exp(z),
    "gelu": gelu,
    "gelu_tanh": lambda z, xp: z * (1 + xp.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2,
    "identity": lambda z, xp: z,
    "erf": lambda z, xp: np.vectorize(math.erf)(z) if xp is np else jax.scipy.special.erf(z),
}


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

    def placed(x):
        T, D = x.shape[1:]
        if model.positions == "learned":
            return x + params["W_pos"][:T]
        if model.positions == "sinusoidal":
            angles = [[i / 10000 ** ((j - j % 2) / D) for j in range(D)] for i in range(T)]
            return x + np.array([[np.cos(a) if j % 2 else np.sin(a) for j, a in enumerate(row)] for row in angles])
        return x

    if model.tied:
        params = params | {"W_U": params["W_E"].T}
    x, seen = placed(params["W_E"][inputs]), {}
    T, D = x.shape[1:]
    for place in range(model.layers * model.repeats):
        layer = place % model.layers
        if model.re_embed and place and layer == 0:
            p = xp.exp(linear(norm(x, "ln_final", "pre"), "U", readout=True))
            x = placed(p / p.sum(-1, keepdims=True) @ params["W_E"])
        y = norm(x, "ln1", "pre", f"_{layer}")
        q, k, v = (linear(y, f"{name}_{layer}") for name in "QKV")
        if model.positions == "rotary":
            q, k = (xp.stack([of_place(x[:, i], i, D // model.heads, xp) for i in range(T)], 1) for x in (q, k))
        width, rows_of = D // model.heads, []
        attention = np.zeros((len(inputs), T, T, model.heads)) if xp is np else None
        for i in range(T):
            last, heads = i + 1 if model.causal else T, []
            for h in range(model.heads):
                own = slice(h * width, (h + 1) * width)
                scores = xp.sum(q[:, i, None, own] * k[:, :last, own], -1)
                scores = scores / (width if model.init == "mup" else np.sqrt(width))
                scores = scores + xp.array([by_distance(model, params, i - t, h) for t in range(last)])
                weights = scores
                if model.attention == "softmax":
                    weights = xp.exp(scores - scores.max(-1, keepdims=True))
                    weights = weights / weights.sum(-1, keepdims=True)
                if attention is not None:
                    attention[:, i, :last, h] = weights
                heads.append(xp.sum(weights[:, :, None] * v[:, :last, own], 1))
            rows_of.append(xp.concatenate(heads, -1))
        mid = norm(x + linear(xp.stack(rows_of, 1), f"O_{layer}"), "ln1", "post", f"_{layer}")
        seen |= {f"resid_pre_{place}": x, f"attention_{place}": attention, f"resid_mid_{place}": mid}
        x = mid
        if model.d_mlp:
            z = linear(norm(mid, "ln2", "pre", f"_{layer}"), f"in_{layer}")
            hidden = PHI[model.activation](z, xp)
            x = norm(mid + linear(hidden, f"out_{layer}"), "ln2", "post", f"_{layer}")
            seen |= {f"pre_{place}": z, f"hidden_{place}": hidden}
        seen[f"resid_post_{place}"] = x
    return linear(norm(x, "ln_final", "pre"), "U", readout=True), seen


def of_place(x, i, width, xp):
    """Return queries or keys [rows, D] of position i as complex numbers turned head by head, rotary's definition."""
    z = x[:, ::2] + 1j * x[:, 1::2]
    j = np.arange(z.shape[1]) % (width // 2)
    z = z * np.exp(1j * i / 10000 ** (2 * j / width))
    return xp.stack([z.real, z.imag], -1).reshape(x.shape)


def by_distance(model, params, distance, head):
    """Return what a head's score gets for a token so far back; heads are powers of two, and so few tokens that every
    distance has an entry of its own.
    """
    if model.positions == "alibi":
        return -abs(distance) * 2.0 ** (-8 * (head + 1) / model.heads)
    if model.positions != "t5":
        return 0.0
    return params["W_rel"][abs(distance) + (16 if distance < 0 and not model.causal else 0), head]


@pytest.mark.parametrize("name", MODELS)
def test_every_path_is_the_naive_model(name):
    """Logits and activations at the token read out, by either path; activations at every position."""
    model = MODELS[name]
    params, inputs = parameters(model), tokens()
    exact, seen = naive(model, params, inputs)

    @jax.jit
    def all_of(params, inputs):
        paths = [model.replace(path=path).forward(params, inputs) for path in ("answer", "full")]
        return paths, model.activations(params, inputs)

    paths, everywhere = all_of(params, inputs)
    for found in paths:
        close(found.logits, read_out(model, exact))
        assert found.activations.keys() == seen.keys()
        for key, value in found.activations.items():
            close(value, seen[key][:, -model.answers])
    assert everywhere.keys() == seen.keys()
    for key, value in everywhere.items():
        close(value, seen[key])


def read_out(model, logits):
    """Return the logits after every token at the answers' tokens."""
    return logits[:, -1] if model.answers == 1 else logits[:, -model.answers :]


OPTIONS = {
    "layers": st.integers(1, 3),
    "heads": st.sampled_from((1, 2, 4)),
    "d_mlp": st.sampled_from((0, FF)),
    "activation": st.sampled_from(tuple(ACTIVATIONS)),
    "norm": st.sampled_from(("none", "pre", "post")),
    "positions": st.sampled_from(POSITIONS),
    "attention": st.sampled_from(("softmax", "linear")),
    "repeats": st.integers(1, 2),
    "re_embed": st.booleans(),
    "causal": st.booleans(),
    "attention_bias": st.booleans(),
    "mlp_bias": st.booleans(),
    "unembedding_bias": st.booleans(),
    "tied": st.booleans(),
    "init": st.sampled_from(INITS),
    "answers": st.integers(1, T),
}
ALL = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@ALL
@given(options=st.fixed_dictionaries(OPTIONS), rows=st.sampled_from((1, 12, 40)))
def test_all_paths_of_every_combination_of_options_are_the_naive_model(options, rows):
    """Logits, activations and gradients; 12 rows have more tokens than the vocabulary, 40 than its pairs too."""
    model = SMALL.replace(**options)
    # Small weights: three layers of squares amplify the rounding of large ones.
    params, inputs = {name: 0.4 * w for name, w in parameters(model).items()}, tokens(rows)
    exact, seen = naive(model, params, inputs)
    exact, slopes = read_out(model, exact), []
    target = np.random.default_rng(2).normal(size=exact.shape)
    for path in ("answer", "full", "auto"):
        other = model.replace(path=path)
        logits, back, activations = jax.vjp(lambda p, m=other: m.forward(p, inputs)[:2], params, has_aux=True)
        close(logits, exact, 1e-11)
        assert activations.keys() == seen.keys()
        for key, value in activations.items():
            close(value, seen[key][:, -model.answers], 1e-11)
        slopes.append(back(jnp.asarray(target))[0])
    for key, slope in slopes[0].items():
        close(slope, np.asarray(slopes[1][key]), 1e-9)
        close(slope, np.asarray(slopes[2][key]), 1e-9)


@pytest.mark.parametrize("name", ["post", "mup", "answers"])
def test_gradients_of_every_path_are_those_of_the_naive_model(name):
    model, inputs = MODELS[name], tokens(15)
    params = jax.tree.map(jnp.asarray, parameters(model))
    several = (model.answers,) if model.answers > 1 else ()
    target = np.random.default_rng(2).normal(size=(len(inputs), *several, V))

    def gradient(logits_of):
        return jax.jit(jax.grad(lambda p: jnp.sum(target * logits_of(p))))(params)

    exact = gradient(lambda p: read_out(model, naive(model, p, inputs, jnp)[0]))
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
    stream = embedded(model, params, jnp.asarray(tokens(rows)).T, "auto")
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
    for change, message in (
        ({"layers": 1}, "state_dict: got also blocks.1.attn.W_Q, .*; allowed: arrays embed.W_E"),
        ({"layers": 3}, "state_dict: got no blocks.2.attn.W_Q"),
        ({"heads": 4}, r"state_dict.blocks.0.attn.W_Q: got shape \(2, 4, 8\); allowed: shape \(4, 2, 8\)"),
        ({"d_mlp": 9}, r"state_dict.blocks.0.mlp.W_in: got shape \(10, 8\); allowed: shape \(9, 8\)"),
        ({"d_model": 6}, r"state_dict.embed.W_E: got shape \(8, 11\); allowed: shape \(6, any\)"),
        ({"norm": "pre"}, "model: got a model with norms or further biases; allowed: one without ln1_scale_0"),
    ):
        with pytest.raises(gd.SpecError, match=message):
            gd.interop.from_torch(model.replace(**change), theirs)
    with pytest.raises(gd.SpecError, match=r"state_dict: got no embed.W_E, .*\(prefix = 'init\.'\?\)"):
        gd.interop.from_torch(model, {f"init.{name}": w for name, w in theirs.items()})


def test_names_are_read_of_what_a_model_has():
    """No positions, no MLP, a tied embedding; a tensor of a kind that numpy does not have."""
    model = SMALL.replace(positions="none", d_mlp=0, tied=True)
    params = parameters(model)
    heads = {name: params[f"W_{name}_0"].T.reshape(HEADS, D // HEADS, D) for name in "QKV"}
    theirs = {"embed.W_E": params["W_E"].T, "blocks.0.attn.W_O": params["W_O_0"].T}
    theirs |= {f"blocks.0.attn.W_{name}": w for name, w in heads.items()}
    found = gd.interop.from_torch(model, theirs | {"embed.W_E": Bfloat16(params["W_E"].T)})
    assert found.keys() == params.keys()
    assert all(np.array_equal(found[name], params[name]) for name in params if name != "W_E")
    assert np.array_equal(found["W_E"], np.float32(params["W_E"]))


class Bfloat16:
    """What a tensor of that dtype offers."""

    dtype = "torch.bfloat16"

    def __init__(self, values):
        self.values = values

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return Float32(self.values)

    def numpy(self):
        raise TypeError("Got unsupported ScalarType BFloat16")


class Float32(Bfloat16):
    def numpy(self):
        return np.float32(self.values)


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


TWO = gd.ModularArithmetic(p=5, sequence="<eos> a op b = c", label_noise=0.25)


@pytest.mark.slow
def test_two_answers_are_trained_and_right_together():
    """The loss is the mean over both, against the naive model; a row is right where both are; one label is noisy."""
    experiment = cases.tiny(
        task=TWO,
        model=gd.Transformer(d_model=8, heads=2, d_mlp=12, answers=2, init_scale=3.0),
        loss=gd.CrossEntropy(precision="float64"),
        optimizer=gd.SGD(learning_rate=0.5),
        dtype="float64",
        record=gd.At((0, 1)),
        probes=(gd.Loss(), gd.Accuracy(), gd.UpdateNorm(), gd.AttentionEntropy(), gd.FourierPower(), gd.Neurons()),
        steps=1,
    )
    found, run = gd.run(experiment), taken_apart(experiment)
    labels, inputs = np.asarray(run.lane.split.labels), np.asarray(run.table.inputs)
    train = np.asarray(run.rows.index[run.rows.counts])
    test = np.setdiff1d(np.arange(25), train)

    def losses(params, rows):
        logits = naive(experiment.model, params, inputs[rows], jnp)[0][:, -2:]
        log_p = logits - jax.scipy.special.logsumexp(logits, axis=-1, keepdims=True)
        return -jnp.take_along_axis(log_p, labels[rows][..., None], axis=-1), logits

    for part, rows in (("train", train), ("test", test)):
        loss, logits = losses(run.state.params, rows)
        np.testing.assert_allclose(found[f"{part}_loss"][0], loss.mean(), rtol=1e-12)
        right = np.all(np.argmax(logits, axis=-1) == labels[rows], axis=1)
        assert found[f"{part}_accuracy"][0] == right.mean()
    slope = jax.grad(lambda p: losses(p, train)[0].mean())(run.state.params)
    size = np.sqrt(sum(np.sum(np.square(g)) for g in slope.values()))
    np.testing.assert_allclose(found.update_norm[0], 0.5 * size, rtol=1e-10)
    clean = np.asarray(run.table.labels)
    assert np.all(labels[:, 1] == clean[:, 1])
    assert set(np.flatnonzero(labels[:, 0] != clean[:, 0])) <= set(np.flatnonzero(run.lane.split.corrupted))
    assert run.lane.split.corrupted.sum() == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": gd.Transformer(d_model=10)}, r"model\.heads: got 4; allowed: a divisor of d_model, 10"),
        (
            {"task": gd.SparseParity(), "model": gd.Transformer()},
            r"model\.kind: got inputs that are no tokens",
        ),
        ({"model": gd.Transformer(norm="rms")}, r"model\.norm: got 'rms'; allowed: one of none, pre, post"),
        ({"model": gd.Transformer(answers=2)}, r"model\.answers: got 2; allowed: 1, as many as a row of this task has"),
        ({"task": TWO}, r"model\.answers: got 1; allowed: 2, as many"),
        (
            {"task": TWO, "model": gd.MLP()},
            r"model\.kind: got rows with 2 answers; allowed: a model",
        ),
        (
            {"task": TWO, "model": gd.Transformer(answers=2), "probes": ("loss", "logits")},
            r"probes\[1\]\.kind: got rows with 2 answers; allowed: a probe that serves several answers",
        ),
    ],
)
def test_mistakes_are_told(changes, message):
    base = {
        "task": gd.ModularArithmetic(p=5),
        "model": gd.Transformer(),
        "loss": gd.MSE(),
        "optimizer": gd.SGD(),
        "steps": 1,
    }
    with pytest.raises(gd.SpecError, match=message):
        gd.run(gd.Experiment(**(base | changes)))


def test_an_embedding_can_be_tied_only_to_its_own_tokens():
    with pytest.raises(gd.SpecError, match=r"model\.tied: got True; allowed: false: 3 classes, 5 tokens"):
        refuse("model", SMALL.replace(tied=True).conflicts(Shapes(None, Signature(5, 2, 3, 25), False, None)))
