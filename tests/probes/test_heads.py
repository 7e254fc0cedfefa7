"""Maps of attention, likeness of heads and induction scores against slow transcriptions, row by row without padding."""

import functools
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import grokdyn as gd
from tests.models.test_transformer import naive

pytestmark = pytest.mark.usefixtures("x64")
EXPERIMENT = gd.Experiment(
    task=gd.Algorithmic(algorithm="first", lengths=(1, 3), longer=(5,), rows=6, fresh=False),
    model=gd.Transformer(layers=2, d_model=8, heads=2, d_mlp=6, norm="pre", padded=True),
    loss=gd.CrossEntropy(),
    optimizer=gd.SGD(),
    steps=1,
    record=gd.At((0,)),
    probes=(
        gd.AttentionMaps(rows=7),
        gd.HeadLikeness(rows=24),
        gd.AttentionMaps(rows=6, part="length_5", name="long"),
        gd.InductionScore(length=3, strings=5),
    ),
    dtype="float64",
)


def rows_of(model, params, inputs):
    """Return the attention [layer, query, key, head] of every row, its tokens alone."""
    found = []
    for row in inputs:
        seen = naive(model, params, row[None, row >= 0])[1]
        found.append(np.stack([seen[f"attention_{layer}"][0] for layer in range(2)]))
    return found


@functools.cache
def measured():
    """Return the table, parameters, the same with even weights of attention, and what every probe measures of both."""
    key = jax.random.key(3)

    @jax.jit
    def found():
        task, inputs = EXPERIMENT.task, EXPERIMENT.task.draw(key).inputs
        params = EXPERIMENT.model.start(key, task.signature(), "float64")
        params |= {name: 3 * w for name, w in params.items() if name[:3] in ("W_Q", "W_K")}
        even = params | {name: 0 * w for name, w in params.items() if name[:3] == "W_Q"}
        seen = []
        for w in (params, even):
            view = SimpleNamespace(experiment=EXPERIMENT, params=w, key=key, inputs=inputs)
            seen.append([probe.measure(view) for probe in EXPERIMENT.probes])
        return inputs, params, seen

    return jax.device_get(found())


def test_maps_are_means_over_the_rows_with_a_token_there():
    inputs, params, (found, _) = measured()
    width, attention = inputs.shape[1], rows_of(EXPERIMENT.model, params, inputs)
    for maps, places in ((found[0], [24 * i // 7 for i in range(7)]), (found[2], range(18, 24))):
        for query in range(width):
            known = [attention[r] for r in places if width - query <= attention[r].shape[1]]
            one = maps["attention_map"][:, :, query]
            if not known:
                assert np.all(np.isnan(one))
                continue
            total = np.zeros_like(one)
            for own in known:
                n = own.shape[1]
                total[:, :, width - n :] += np.moveaxis(own[:, query - (width - n)], -1, 1)
            np.testing.assert_allclose(one, total / len(known), rtol=1e-10, atol=1e-14)


def test_heads_are_as_alike_as_a_slow_transcription_of_every_row_says():
    inputs, params, (found, even) = measured()
    attention = rows_of(EXPERIMENT.model, params, inputs)
    for layer in range(2):
        cosines, entropies = [], [[], []]
        for one in attention:
            a, b = one[layer, ..., 0].ravel(), one[layer, ..., 1].ravel()
            cosines.append(a @ b / np.sqrt(a @ a * (b @ b)))
            for head in range(2):
                for weights in one[layer, ..., head]:
                    entropies[head].append(-sum(w * np.log(w) for w in weights if w > 0))
        np.testing.assert_allclose(found[1]["head_cosine"][layer], np.mean(cosines), rtol=1e-10)
        np.testing.assert_allclose(found[1]["entropy_spread"][layer], np.std(np.mean(entropies, axis=1)), rtol=1e-8)
    assert np.all(found[1]["head_cosine"] < 0.999)
    np.testing.assert_allclose(even[1]["head_cosine"], 1, rtol=1e-12)


def test_the_induction_score_is_the_weight_on_what_stood_behind_a_token():
    """Of heads whose every weight is even it is the mean of 1 / (position + 1); of others their own."""
    _, params, (found, even) = measured()
    vocabulary = EXPERIMENT.task.signature().inputs.vocabulary
    once = np.asarray(jax.random.randint(jax.random.key(3), (5, 3), 0, vocabulary, "int32"))
    attention = rows_of(EXPERIMENT.model, params, np.concatenate([once, once], 1))
    expected = np.mean([[one[:, i, i - 2] for i in (3, 4, 5)] for one in attention], axis=(0, 1))
    np.testing.assert_allclose(found[3]["induction_score"], expected, rtol=1e-10)
    np.testing.assert_allclose(even[3]["induction_score"], np.mean([1 / 4, 1 / 5, 1 / 6]), rtol=1e-10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probes": (gd.InductionScore(length=4),)}, r"probes\[0\]\.length: got 4; allowed: at most 3, half of the 7"),
        ({"model.heads": 1, "probes": (gd.HeadLikeness(rows=3),)}, r"probes\[0\]\.kind: got 1 head; allowed: a trans"),
        ({"model.attention": "linear"}, r"probes\[0\]\.kind: got linear attention; allowed: softmax"),
        ({"probes": (gd.AttentionMaps(rows=99),)}, r"probes\[0\]\.rows: got 99; allowed: at most 24"),
        (
            {"model": gd.MLP(), "task": gd.ModularArithmetic(p=5), "probes": (gd.InductionScore(),)},
            r"probes\[0\]\.kind: got MLP; allowed: a transformer on tokens",
        ),
    ],
)
def test_mistakes_are_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        gd.run(EXPERIMENT.replace(**changes))
