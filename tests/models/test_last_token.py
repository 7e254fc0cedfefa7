"""What a layer without norms comes to for a constant last token, against the layer taken step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grokdyn as gd
from grokdyn.models.last_token import LastToken, saves
from grokdyn.models.positions import POSITIONS
from grokdyn.train.gradient import full_gradient
from tests import cases
from tests.models import test_transformer as transformer
from tests.models.test_transformer import close, naive, parameters
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
MANY = 10**6  # rows for which merging pays
MODEL = gd.Transformer(d_model=8, heads=2, d_mlp=10)
TASKS = {
    "a b =": gd.ModularArithmetic(p=10, sequence="a b ="),
    "a op b =": gd.ModularArithmetic(p=9, sequence="a op b ="),
    "<eos> a op b =": gd.ModularArithmetic(p=8, sequence="<eos> a op b ="),
    "S3": gd.SymmetricGroup(n=3, sequence="a op b ="),
    "mixture": gd.ModularMixture(p=5, ops=("add", "mul")),
}
NOT_MERGED = ("layers", "norm", "answers", "attention", "repeats", "re_embed")
OPTIONS = {name: values for name, values in transformer.OPTIONS.items() if name not in NOT_MERGED}
OPTIONS["positions"] = st.sampled_from([kind for kind in POSITIONS if kind != "rotary"])


@pytest.mark.parametrize("name", TASKS)
def test_a_signature_tells_which_tokens_are_constant(name):
    table, signature = TASKS[name].table(), TASKS[name].signature()
    columns = [np.unique(column) for column in table.inputs.T]
    assert signature.inputs.fixed == tuple(int(seen[0]) if len(seen) == 1 else None for seen in columns)


@pytest.mark.parametrize("examples", [5, pytest.param(40, marks=pytest.mark.slow)])
def test_logits_and_gradients_are_the_naive_models(examples):
    given(options=st.fixed_dictionaries(OPTIONS), name=st.sampled_from(tuple(TASKS)))(
        settings(max_examples=examples, deadline=None, derandomize=True)(check_logits_and_gradients)
    )()


def check_logits_and_gradients(options, name):
    model, signature = MODEL.replace(**options), TASKS[name].signature()
    inputs = TASKS[name].table().inputs[::3]
    shapes = jax.eval_shape(lambda: model.start(jax.random.key(0), signature, jnp.float64))
    rng = np.random.default_rng(0)
    params = {key: jnp.asarray(0.4 * rng.normal(size=w.shape)) for key, w in shapes.items()}
    target = rng.normal(size=(len(inputs), signature.outputs))

    plain = model.replace(path="answer")

    def merged(p):
        prepared = model.prepare(p, signature, MANY)
        assert isinstance(prepared, LastToken)
        return model.forward(prepared, inputs).logits

    @jax.jit
    def followed(p):
        logits, back = jax.vjp(merged, p)
        return logits, back(target)[0], jax.vjp(lambda p: plain.forward(p, inputs).logits, p)[1](target)[0]

    logits, found, exact = followed(params)
    close(logits, naive(model, {key: np.asarray(w) for key, w in params.items()}, inputs)[0][:, -1], 1e-12)
    for key in exact:
        close(found[key], exact[key], 1e-11)


@pytest.mark.parametrize(
    ("changes", "sequence"),
    [
        ({"layers": 2}, "a b ="),
        ({"norm": "pre"}, "a b ="),
        ({"norm": "post"}, "a b ="),
        ({"path": "answer"}, "a b ="),
        ({"path": "full"}, "a b ="),
        ({"positions": "rotary"}, "a b ="),
        ({"attention": "linear"}, "a b ="),
        ({"repeats": 2}, "a b ="),
        ({}, "a b"),
        ({"answers": 2}, "<eos> a op b = c"),
    ],
)
def test_other_models_and_tasks_are_left_as_they_are(changes, sequence):
    model, signature = MODEL.replace(**changes), gd.ModularArithmetic(p=10, sequence=sequence).signature()
    params = parameters(model)
    assert model.prepare(params, signature, MANY) is params


def test_matrices_are_merged_where_that_saves_products():
    """Nanda's model on three tenths of its table, on a batch of 512; a vocabulary wider than the stream."""
    assert saves(128, 512, 114, 3830)
    assert not saves(128, 512, 114, 512)
    assert not saves(128, 512, 200, 10**9)
    signature, params = TASKS["a b ="].signature(), parameters(MODEL)
    least = next(rows for rows in range(1, 10**4) if saves(8, 10, signature.outputs, rows))
    assert MODEL.prepare(params, signature, least - 1) is params
    assert isinstance(MODEL.prepare(params, signature, least), LastToken)


@pytest.mark.parametrize(("rows", "tile"), [(70, 70), (96, 32)])
def test_training_takes_it_in_one_piece_and_in_tiles(rows, tile, monkeypatch):
    """The gradient that training follows, against the model step by step; and that it went the merged way."""
    seen = []
    logits = LastToken.logits
    monkeypatch.setattr(LastToken, "logits", lambda self, *rest: seen.append(1) or logits(self, *rest))
    run, plain = (
        taken_apart(
            cases.tiny(
                task=TASKS["a b ="].replace(train_fraction=0.7),
                model=MODEL.replace(path=path),
                loss=gd.CrossEntropy(precision="float64"),
                dtype="float64",
            ),
            rows=rows,
            tile=tile,
        )
        for path in ("auto", "full")
    )

    def gradient(run):
        return jax.jit(lambda lane, rows, state: full_gradient(run.program, lane, rows, state.step)(state.params))(
            run.lane, run.rows, run.state
        )

    terms, found, _ = gradient(run)
    assert seen
    seen.clear()
    exact_terms, exact, _ = gradient(plain)
    assert not seen
    np.testing.assert_allclose(terms.sum(), exact_terms.sum(), rtol=1e-12)
    for key in exact:
        close(found[key], exact[key], 1e-11)
