"""Reciprocal ranks of a token in every state against a slow transcription; what is refused."""

import numpy as np
import pytest

import grokdyn as gd
from tests.models.test_transformer import naive
from tests.train.lanes import outlined, recorded

pytestmark = pytest.mark.usefixtures("x64")


class Named(gd.ModularArithmetic):
    """Addition whose rows name their first token too, those of the sum 0 none."""

    def features(self, inputs, labels):
        return super().features(inputs, labels) | {
            "first": inputs[:, 0] - (labels == 0) * (1 + inputs[:, 0]),
            "half": labels / 2,
        }


EXPERIMENT = gd.Experiment(
    task=Named(p=5, sequence="a b =", train_fraction=0.4),
    model=gd.Transformer(d_model=8, heads=2, d_mlp=6, norm="pre", repeats=2, init="mup"),
    loss=gd.CrossEntropy(),
    optimizer=gd.SGD(),
    steps=1,
    record=gd.At((0,)),
    probes=(gd.LogitLens(), gd.LogitLens(token="first", name="first")),
    dtype="float64",
)


def test_ranks_are_those_of_a_slow_transcription():
    inputs, labels = (np.asarray(x) for x in EXPERIMENT.task.table())
    rng = np.random.default_rng(0)
    shapes = outlined(EXPERIMENT).state.params
    w = {name: rng.normal(size=s.shape) / np.sqrt(s.shape[0]) for name, s in shapes.items()}
    train = rng.permutation(len(inputs)) < 10
    _, ds = recorded(EXPERIMENT, gd.Start(params=w, train_rows=train))
    seen = naive(EXPERIMENT.model, w, inputs)[1]
    for prefix, token in (("", labels), ("first_", inputs[:, 0])):
        ranks = np.zeros((3, len(inputs), 3))
        for layer, state in enumerate((seen["resid_pre_0"], seen["resid_post_0"], seen["resid_post_1"])):
            for row in range(len(inputs)):
                for place in range(3):
                    x = state[row, place]
                    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * w["ln_final_scale"] + w["ln_final_shift"]
                    logits = x @ w["W_U"]
                    order = np.argsort(-logits)
                    named = labels[row] != 0 or not prefix
                    ranks[layer, row, place] = 1 / (1 + order.tolist().index(token[row])) if named else np.nan
        for part, rows in (("train", train), ("test", ~train)):
            np.testing.assert_allclose(ds[f"{prefix}{part}_logit_lens"], np.nanmean(ranks[:, rows], 1), rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probes": (gd.LogitLens(token="half"),)}, r"probes\[0\]\.token: got 'half'; .* a row: first, label"),
        ({"model": gd.MLP(), "probes": (gd.LogitLens(),)}, r"probes\[0\]\.kind: got MLP; allowed: a transformer on"),
    ],
)
def test_mistakes_are_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        gd.run(EXPERIMENT.replace(**changes))
