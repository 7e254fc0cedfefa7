"""Tensors in groups: their rates and decays against PyTorch's rule, a clip of all together, what does not fit."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.plan import cohorts as plan
from grokdyn.spec import base
from tests import cases
from tests.optim.landscape import START, followed, slope

pytestmark = pytest.mark.usefixtures("x64")
ADAMW = gd.AdamW(learning_rate=0.1, weight_decay=0.5, clip_norm=0.7)


def test_each_group_has_its_own_rate_and_decay_and_the_clip_is_of_all():
    groups = gd.Groups(inner=ADAMW, groups=(gd.Group(match="M", learning_rate=0.02, weight_decay=0.0),))
    rate = np.concatenate([np.full(12, 0.02), np.full(3, 0.1)])
    decay = np.concatenate([np.zeros(12), np.full(3, 0.5)])
    w, m, v, path = START, 0.0, 0.0, []
    for t in range(6):
        g = slope(w)
        g = g * min(1, 0.7 / np.linalg.norm(g))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = m / (1 - 0.9 ** (t + 1)) / (np.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-8)
        w = w - rate * (step + decay * w)
        path.append(w)
    np.testing.assert_allclose(followed(groups), path, rtol=1e-11)


def test_a_rate_of_zero_freezes_to_the_bit_whatever_is_around():
    frozen = gd.Groups(inner=ADAMW, groups=(gd.Group(match="[v]", learning_rate=0.0),))
    found = followed(gd.SAM(inner=gd.GrokfastEMA(inner=frozen)))
    np.testing.assert_array_equal(found[:, 12:], np.broadcast_to(START[12:], (6, 3)))
    assert np.all(found[-1, :12] != START[:12])


def test_groups_are_written_and_read_as_tables():
    raw = {
        "kind": "groups",
        "inner": {"kind": "sgd", "learning_rate": 0.1},
        "groups": [{"match": "W_0", "learning_rate": 0.0}],
    }
    experiment = base.check(cases.tiny(optimizer=raw))
    exact = gd.Groups(inner=gd.SGD(learning_rate=0.1), groups=(gd.Group(match="W_0", learning_rate=0.0),))
    assert experiment.optimizer == exact
    assert gd.Experiment.from_toml(experiment.to_toml()) == experiment


GROUP = (gd.Group(match="W_0", learning_rate=0.0),)


@pytest.mark.parametrize(
    ("optimizer", "told"),
    [
        (gd.Groups(inner=ADAMW, groups=()), r"groups: got \(\); allowed: a list, not empty, of tables of match"),
        (gd.Groups(inner=ADAMW, groups=(gd.Group(match="W_0"),)), r"groups\[0\].match: got 'W_0'; allowed: a group"),
        (gd.Groups(inner=gd.Muon(), groups=GROUP), "inner: got 'muon'; allowed: an optimizer of one rate"),
        (gd.Groups(inner=gd.SAM(inner=ADAMW), groups=GROUP), "inner: got 'sam'"),
        (gd.Groups(inner=ADAMW, groups=(gd.Group(match="Q", learning_rate=0.0),)), r"groups\[0\].match: got 'Q'"),
        (gd.Groups(inner=ADAMW, groups=(*GROUP, gd.Group(match="W*", weight_decay=0.0))), "groups: got W_0 in 'W_0'"),
    ],
)
def test_what_does_not_fit_is_told(optimizer, told):
    with pytest.raises(gd.SpecError, match=f"optimizer.{told}"):
        plan.cohorts([base.check(cases.tiny(optimizer=optimizer))], None, jax.local_devices()[:1])
