"""Answers after one state is replaced, against a slow transcription that runs the rest of the network again."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.probes.causal_tracing import traced
from tests.models.test_transformer import naive

pytestmark = pytest.mark.usefixtures("x64")
MODEL = gd.Transformer(layers=2, d_model=8, heads=2, d_mlp=6, norm="pre")
TASK = gd.Composition(entities=5, relations=3, facts=3, inferred=9, tested=4)
EXPERIMENT = gd.Experiment(
    task=TASK,
    model=MODEL.replace(padded=True),
    loss=gd.CrossEntropy(),
    optimizer=gd.SGD(),
    steps=1,
    record=gd.At((0,)),
    probes=(gd.CausalTracing(rows=6, part="inferred"),),
)


def again(model, w, states, layer):
    """Return the answers of the naive model from states before a layer on: the layers before it are left out."""
    later = dict(w)
    for at in range(layer, model.layers):
        later |= {name[:-1] + str(at - layer): value for name, value in w.items() if name.endswith(f"_{at}")}
    # Every state is a token of its own, without positions.
    rows, tokens, d = states.shape
    later["W_E"] = states.reshape(-1, d)
    inputs = np.arange(rows * tokens).reshape(rows, tokens)
    return naive(model.replace(layers=model.layers - layer, positions="none"), later, inputs)[0]


@pytest.mark.parametrize(("answers", "answer"), [(1, 0), (2, 1)])
def test_shares_are_those_of_a_slow_transcription(answers, answer):
    model, rng = MODEL.replace(answers=answers), np.random.default_rng(answers)
    signature = gd.Signature(gd.Tokens(7, 3), gd.Classes(7, answers=answers), 30)
    shapes = jax.eval_shape(lambda: model.start(jax.random.key(0), signature, np.float64))
    scale = {"W_V_0": 3.0, "W_V_1": 3.0, "W_O_0": 3.0, "W_O_1": 3.0, "ln_final_shift": 0.1}
    w = {name: scale.get(name, 0.7) * rng.normal(size=x.shape) for name, x in shapes.items()}
    inputs, partner = rng.integers(0, 7, (30, 3)).astype(np.int32), np.roll(np.arange(30), 1).astype(np.int32)
    found = jax.device_get(jax.jit(lambda w, x: traced(model, w, x, partner, answer))(w, inputs))
    for token, (shares, counted) in enumerate(zip(*found, strict=True)):
        changed = inputs.copy()
        changed[:, token] = inputs[partner, token]
        (clean, own), (other, theirs) = (naive(model, w, x) for x in (inputs, changed))
        best, new = (logits[:, 2 - answer].argmax(-1) for logits in (clean, other))
        rows = best != new
        assert (0 < rows.sum() < 30) == (token <= 2 - answer)
        np.testing.assert_allclose(counted, rows.mean(), rtol=1e-12)
        if not rows.any():
            assert np.isnan(shares).all()
            continue
        for layer in range(2):
            for place in range(3):
                states = own[f"resid_pre_{layer}"].copy()
                states[:, place] = theirs[f"resid_pre_{layer}"][:, place]
                flipped = again(model, w, states, layer)[:, 2 - answer].argmax(-1) != best
                np.testing.assert_allclose(shares[layer, place], flipped[rows].mean(), rtol=1e-12)
                if place < token or (layer == 0 and place != token):
                    assert shares[layer, place] == 0


@pytest.mark.slow
def test_a_run_records_the_shares_of_a_part():
    ds = gd.run(EXPERIMENT, progress=False).isel(step=0)
    assert ds.traced.dims == ("token", "layer", "position")
    assert ds.traced.shape == (3, 2, 3)
    assert np.all((ds.traced_rows >= 0) & (ds.traced_rows <= 1))
    seen = ds.traced.values[np.isfinite(ds.traced.values).all((1, 2))]
    assert np.all(seen[:, 0].max(1) == 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": gd.ModularArithmetic(p=5), "model": gd.MLP()}, r"probes\[0\]\.kind: got MLP; allowed: a transformer"),
        ({"probes": (gd.CausalTracing(rows=6, answer=1),)}, r"probes\[0\]\.answer: got 1; allowed: below 1"),
        ({"probes": (gd.CausalTracing(rows=99, part="test"),)}, r"probes\[0\]\.rows: got 99; allowed: at most 4"),
    ],
)
def test_mistakes_are_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        gd.run(EXPERIMENT.replace(**changes), progress=False)
