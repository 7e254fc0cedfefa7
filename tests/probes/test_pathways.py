"""Pathways through experts against lists, a dynamic programme and cosines in plain numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.probes.pathways import edit_distances
from tests import cases
from tests.train.lanes import recorded

P, ROWS, SHARE, LOSS = 5, 12, 0.6, 1.6
MODEL = gd.Transformer(layers=3, d_model=8, heads=2, d_mlp=4, experts=4)


def programme(a, b):
    """Return the edit distance of two sequences."""
    best = np.zeros((len(a) + 1, len(b) + 1), int)
    best[:, 0], best[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i, j in itertools.product(range(1, len(a) + 1), range(1, len(b) + 1)):
        same = a[i - 1] == b[j - 1]
        best[i, j] = min(best[i - 1, j] + 1, best[i, j - 1] + 1, best[i - 1, j - 1] + (not same))
    return best[-1, -1]


def test_edit_distances_are_those_of_the_dynamic_programme():
    rng = np.random.default_rng(0)
    words, lengths = rng.integers(0, 4, (20, 7)).astype(np.int32), np.append(rng.integers(0, 8, 18), [0, 7])
    found = np.asarray(edit_distances(jnp.asarray(words), jnp.asarray(lengths, jnp.int32)))
    texts = [list(word[:n]) for word, n in zip(words, lengths, strict=True)]
    np.testing.assert_array_equal(found, [[programme(a, b) for b in texts] for a in texts])
    assert programme("kitten", "sitting") == 3


@pytest.fixture(scope="module")
def measured():
    task = gd.ModularArithmetic(p=P, train_fraction=0.8)
    experiment = cases.tiny(
        task=task,
        model=MODEL,
        probes=("accuracy", gd.Pathways(rows=ROWS, share=SHARE, memorised=LOSS)),
        steps=1,
        record=gd.At((0,)),
        dtype="float64",
    )
    with jax.enable_x64(True):
        shapes = jax.eval_shape(lambda: MODEL.start(jax.random.key(0), task.signature(), jnp.float64))
    rng = np.random.default_rng(1)
    params = {name: 0.7 * rng.standard_normal(w.shape) for name, w in shapes.items()}
    rows = rng.permutation(P * P)[:20]
    with jax.enable_x64(True):
        x = task.table().inputs[rows[:ROWS]]
        logits, seen = jax.jit(lambda params: (MODEL.forward(params, x).logits, MODEL.activations(params, x)))(params)
    seen = {name: np.asarray(value) for name, value in seen.items()}
    z = np.asarray(logits) - np.asarray(logits).max(1, keepdims=True)
    losses = np.log(np.exp(z).sum(1)) - z[np.arange(ROWS), task.table().labels[rows[:ROWS]]]
    _, found = recorded(experiment, gd.Start(params=params, train_rows=rows))
    return found, params, seen, losses <= LOSS


def weights(seen):
    """Return the mean router probabilities [layers, rows, experts]: of all tokens, in the last layer of the last."""
    return np.stack([seen["router_0"].mean(1), seen["router_1"].mean(1), seen["router_2"][:, -1]])


def test_the_distance_is_the_mean_over_pairs_of_memorised_rows(measured):
    found, _, seen, known = measured
    assert 2 < known.sum() < ROWS
    assert int(found.pathway_rows) == known.sum()
    words = []
    for row in np.flatnonzero(known):
        word = []
        for layer, g in enumerate(weights(seen)[:, row]):
            total = 0.0
            for expert in np.argsort(-g, kind="stable"):
                word.append((layer, expert))
                total += g[expert]
                if total > SHARE:
                    break
        words.append(word)
    assert len({len(word) for word in words}) > 1
    exact = np.mean([programme(a, b) for a, b in itertools.combinations(words, 2)])
    assert float(found.pathway_distance) == pytest.approx(exact, rel=1e-12)


def test_consistency_is_that_of_the_mean_vectors_of_successive_layers(measured):
    found, params, seen, known = measured
    e = [weights(seen)[layer] @ params[f"W_router_{layer}"].T for layer in range(3)]
    norm = [np.sqrt((one**2).sum(1)) for one in e]
    cosines = np.array([(e[i] * e[i + 1]).sum(1) / norm[i] / norm[i + 1] for i in range(2)])
    exact = 1 - cosines.mean(0) / (cosines.max(0) + 1e-8)
    assert float(found.pathway_cosine) == pytest.approx(cosines[:, known].mean(), rel=1e-10)
    assert float(found.pathway_consistency) == pytest.approx(exact[known].mean(), rel=1e-10)


def test_a_network_without_experts_has_no_pathways():
    with pytest.raises(gd.SpecError, match="several experts"):
        gd.run(cases.tiny(probes=("pathways",)))
