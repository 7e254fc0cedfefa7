"""Ensembles by a loop over rows and pairs of rows."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.analysis.checks import ArgumentError

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 25)
LOGITS = RNG.standard_normal((5, 25)) + 0.5 * (2 * LABELS - 1)


def slow(scores):
    right = pairs = wins = 0
    for i in range(25):
        right += (scores[i] > 0) == (LABELS[i] == 1)
        for j in range(25):
            if LABELS[i] == 1 and LABELS[j] == 0:
                pairs, wins = pairs + 1, wins + (scores[i] > scores[j])
    return right / 25, wins / pairs


def test_an_ensemble_and_its_members_are_those_of_a_loop():
    found = gd.analysis.ensemble(LOGITS, LABELS)
    mean = [sum(LOGITS[r, i] for r in range(5)) / 5 for i in range(25)]
    np.testing.assert_allclose((found.accuracy, found.auc), slow(mean), rtol=1e-14)
    np.testing.assert_allclose(np.stack([found.accuracies, found.aucs], axis=1), [slow(z) for z in LOGITS], rtol=1e-14)
    alone = gd.analysis.ensemble(LOGITS[:1], LABELS)
    assert (alone.accuracy, alone.auc) == (alone.accuracies[0], alone.aucs[0])


@pytest.mark.parametrize(
    ("logits", "labels", "told"),
    [
        (LOGITS[0], LABELS, r"logits: got shape \(25,\); expected \[runs, rows\]"),
        (LOGITS, LABELS[:3], r"labels: got shape \(3,\); expected \(25,\)"),
        (LOGITS, 2 * LABELS, "labels: expected 0 or 1"),
        (np.where(LOGITS > 2, np.nan, LOGITS), LABELS, "logits: got nan"),
    ],
)
def test_what_does_not_fit_is_refused(logits, labels, told):
    with pytest.raises(ArgumentError, match=told):
        gd.analysis.ensemble(logits, labels)
