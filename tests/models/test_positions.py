"""Positions against their published facts, attention over many tokens against that over few, what must not matter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.models import attention
from grokdyn.models.attention import Scores, attend
from grokdyn.models.positions import alibi, buckets, slopes, turned
from grokdyn.tasks.signature import Classes, Reals, Sequences, Signature, Tokens

pytestmark = pytest.mark.usefixtures("x64")
SMALL = gd.Transformer(layers=2, d_model=8, heads=2, d_mlp=6)
RNG = np.random.default_rng(0)


def started(model, inputs=None, rows=5):
    """Return random parameters, none of them 0, and the rows of a signature."""
    inputs = Tokens(7, 6) if inputs is None else inputs
    targets = Classes(7) if isinstance(inputs, Tokens) else Reals(2)
    shapes = jax.eval_shape(lambda: model.start(jax.random.key(0), Signature(inputs, targets, 10), jnp.float64))
    params = {name: jnp.asarray(0.5 * RNG.normal(size=w.shape)) for name, w in shapes.items()}
    if isinstance(inputs, Tokens):
        return params, RNG.integers(0, 7, (rows, inputs.width)).astype(np.int32)
    return params, RNG.normal(size=(rows, *inputs.shape))


def test_alibis_slopes_are_those_of_the_paper():
    assert np.array_equal(slopes(8), 2.0 ** -np.arange(1, 9))
    assert np.allclose(slopes(12), [*2.0 ** -np.arange(1, 9), *2.0 ** -np.array([0.5, 1.5, 2.5, 3.5])])
    assert np.array_equal(slopes(1), [2.0**-8])
    found = alibi(2, 4, 2)
    assert found.shape == (2, 4, 2)
    assert np.array_equal(found[1, :, 0], [-3 / 16, -2 / 16, -1 / 16, 0])


def test_t5s_buckets_are_those_of_the_paper():
    last = buckets(1, 400, causal=True)[0][::-1]  # by distance
    assert (last[15], last[16], last[127], last[128], last[399]) == (15, 16, 31, 31, 31)
    assert np.all(np.diff(last) >= 0)
    both = buckets(300, 300, causal=False)
    assert np.array_equal(both[0, 1:8] - 16, both[1:8, 0])
    assert (both[8, 0], both[299, 0], both[0, 299]) == (8, 15, 31)
    assert np.all(buckets(3, 3, causal=True)[0] == 0)


def test_scores_of_turned_vectors_know_distances_alone():
    q, k = RNG.normal(size=(2, 1, 1, 8))
    one, other = (np.sum(turned(q, i, 2) * turned(k, j, 2)) for i, j in ((5, 3), (12, 10)))
    assert one == pytest.approx(float(other), rel=1e-12)
    assert one != pytest.approx(float(np.sum(turned(q, 5, 2) * turned(k, 4, 2))), rel=1e-3)
    np.testing.assert_allclose(np.linalg.norm(turned(q, 9, 2)), np.linalg.norm(q), rtol=1e-12)


def test_without_positions_a_string_of_one_token_is_the_same_everywhere():
    model = SMALL.replace(positions="none")
    params, _ = started(model)
    found = jax.jit(model.activations)(params, np.full((1, 6), 3, np.int32))
    np.testing.assert_allclose(found["resid_post_1"], found["resid_post_1"][:, :1].repeat(6, 1), rtol=1e-12)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_many_tokens_are_read_as_few_are(causal, linear, monkeypatch):
    queries, tokens, rows, d = 3, 5, 4, 6
    q, k, v = (jnp.asarray(RNG.normal(size=(n, rows, d))) for n in (queries, tokens, tokens))
    there = jnp.asarray([[0, 1, 1, 1], [0, 0, 1, 1], *[[1] * rows] * 3], bool)
    how = Scores(2, 0.7, causal, linear, jnp.asarray(RNG.normal(size=(queries, tokens, 2))), there)
    last, plain = (q[-1:], how._replace(bias=how.bias[-1:])), (q, how._replace(bias=None, there=None))
    for asked, by in ((q, how), last, plain):
        few = attend(asked, k, v, by, lambda x: 2 * x)
        with monkeypatch.context() as patched:
            patched.setattr(attention, "FEW", 0)
            many = attend(asked, k, v, by, lambda x: 2 * x)
        for one, other in zip(few, many, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("kind", "few"), [("learned", 0), ("rotary", 16), ("t5", 0), ("alibi", 16)])
def test_a_token_is_blind_to_those_after_it(kind, few, monkeypatch):
    monkeypatch.setattr(attention, "FEW", few)
    monkeypatch.setattr(attention, "FEW_PAIRS", few**2)
    model = SMALL.replace(positions=kind, repeats=2)
    params, inputs = started(model)
    changed = np.concatenate([inputs[:, :4], (inputs[:, 4:] + 1) % 7], axis=1)
    last = jax.jit(lambda x: model.activations(params, x)["resid_post_3"])
    one, other = np.asarray(last(inputs)), np.asarray(last(changed))
    assert np.array_equal(one[:, :4], other[:, :4])
    assert not np.any(np.all(one[:, 4:] == other[:, 4:], axis=-1))


@pytest.mark.parametrize("changes", [{}, {"attention": "linear", "norm": "pre", "attention_bias": True}])
def test_padding_changes_nothing(changes):
    """Vectors of zeros in front of a sequence, seen by no token of it; positions are relative ones."""
    model = SMALL.replace(positions="alibi", **changes)
    params, inputs = started(model, Sequences(4, 3))
    padded = np.concatenate([np.zeros((len(inputs), 3, 3)), inputs], axis=1)
    moved = np.concatenate([inputs[:, :1] + 1e-9, inputs[:, 1:]], axis=1)

    @jax.jit
    def found(params, inputs, padded, moved):
        logits = [model.replace(path=path).forward(params, padded).logits for path in ("answer", "full")]
        others = [model.forward(params, x).logits for x in (inputs, moved)]
        return logits, others, model.activations(params, padded)["attention_1"]

    long, (short, other), seen = found(params, inputs, padded, moved)
    for logits in long:
        np.testing.assert_allclose(logits, short, rtol=1e-12)
    assert not np.any(seen[:, 3:, :3])
    assert np.any(seen[:, -1, 3:])
    assert not np.array_equal(other, short)


@pytest.mark.parametrize("kind", ["learned", "rotary"])
def test_tokens_behind_padding_are_read_as_if_it_were_not_there(kind):
    """Also where training shifts positions; one answer, or several of which the first may stand on padding."""
    model = SMALL.replace(positions=kind, norm="pre", shift=2 * (kind == "learned"), answers=2)
    params, inputs = started(model, Tokens(7, 4))
    blank = np.concatenate([np.full((len(inputs), 3), -1, np.int32), inputs], axis=1)
    longer = dict(params)
    if kind == "learned":
        longer["W_pos"] = jnp.concatenate([params["W_pos"], jnp.full((3, 8), 1e9)])

    @jax.jit
    def found(params, longer):
        key = jax.random.key(0)
        short = [model.forward(params, inputs, key).logits, model.forward(params, inputs[:, -1:]).logits[:, -1]]
        blanks = np.concatenate([np.full((len(inputs), 6), -1, np.int32), inputs[:, -1:]], axis=1)
        ways, pairs = (
            [model.replace(path=path, padded=True) for path in ("answer", "full")],
            ((blank, key), (blanks, None)),
        )
        return short, [[way.forward(longer, x, k).logits for x, k in pairs] for way in ways]

    (short, alone), long = found(params, longer)
    for whole, single in long:
        np.testing.assert_allclose(whole, short, rtol=1e-12)
        np.testing.assert_allclose(single[:, -1], alone, rtol=1e-12)


def test_shifted_rows_read_later_codes_and_measured_ones_the_first():
    """Every row in training is the row with W_pos from its own place on; all places come up."""
    plain = SMALL.replace(layers=1, d_mlp=0)
    model = plain.replace(shift=3)
    params, inputs = started(model, rows=64)
    assert params["W_pos"].shape == (9, 8)

    @jax.jit
    def all_of(params):
        W = params["W_pos"]
        at = [plain.forward(params | {"W_pos": W[place : place + 6]}, inputs).logits for place in range(4)]
        return (
            jnp.stack(at),
            model.forward(params, inputs).logits,
            model.forward(params, inputs, jax.random.key(0)).logits,
        )

    at, measured, trained = all_of(params)
    np.testing.assert_allclose(measured, at[0], rtol=1e-12)
    distance = np.abs(trained - at).max(-1)
    assert np.all(distance.min(0) < 1e-12)
    assert set(distance.argmin(0)) == set(range(4))
    assert model.stochastic()
    assert not plain.stochastic()
    assert model.replace(positions="sinusoidal").places.codes(params, 9).shape == (9, 8)


@pytest.mark.slow
def test_queries_and_keys_can_stay_as_they_are_drawn():
    experiment = gd.Experiment(
        task=gd.ModularArithmetic(p=5, sequence="a b ="),
        model=gd.Transformer(d_model=4, heads=2, d_mlp=0),
        loss=gd.CrossEntropy(),
        optimizer=gd.Groups(
            inner=gd.AdamW(learning_rate=0.01, weight_decay=1.0),
            groups=(gd.Group(match="W_[QK]_*", learning_rate=0.0),),
        ),
        steps=3,
        record=gd.At((0, 3)),
        probes=(gd.WeightNorm(),),
    )
    norms = gd.run(experiment, progress=False).weight_norm_per_tensor
    moved = {str(name): bool(np.ptp(norms.sel(tensor=name).values) > 0) for name in norms.tensor.values}
    assert moved.pop("W_Q_0") is moved.pop("W_K_0") is False
    assert all(moved.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shift": 2, "positions": "rotary"}, r"model\.shift: got 2; allowed: 0: positions are rotary"),
        ({"positions": "rotary", "d_model": 6}, r"model\.positions: got 'rotary'; allowed: another: .* odd width, 3"),
        ({"re_embed": True, "repeats": 2}, r"model\.re_embed: got True; allowed: false: 2 classes, 7 tokens"),
        ({"attention": "linear"}, r"probes\[0\]\.kind: got linear attention; allowed: softmax attention"),
        ({"positions": "rope"}, r"model\.positions: got 'rope'; allowed: one of learned, sinusoidal, none, rotary"),
    ],
)
def test_mistakes_are_told(changes, message):
    class Two(gd.Task):
        """Tokens in two classes."""

        def signature(self):
            return Signature(Tokens(7, 2), Classes(2), 9)

        def table(self):
            return gd.Table(np.zeros((9, 2), np.int32), np.zeros(9, np.int32))

    model, probes = SMALL.replace(**changes), (gd.AttentionEntropy(),)
    with pytest.raises(gd.SpecError, match=message):
        gd.run(gd.Experiment(task=Two(), model=model, loss=gd.MSE(), optimizer=gd.SGD(), steps=1, probes=probes))
