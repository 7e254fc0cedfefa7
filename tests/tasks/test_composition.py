"""Facts and compositions against a program that follows them one by one; shares of wrong steps; what is refused."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.parts import parts_of
from tests.tasks.draws import HASHED

pytestmark = pytest.mark.usefixtures("x64")
SMALL = gd.Composition(entities=7, relations=6, facts=4, unseen=2, inferred=17, tested=9)


def rows_of(task, seed=0):
    """Return the rows of every part as lists of tokens, and their labels."""
    table, parts = jax.device_get(jax.jit(task.draw)(jax.random.key(seed, impl=HASHED))), parts_of(task)
    found = {}
    for name in parts.roles:
        those = parts.mask(name)
        found[name] = [[int(t) for t in row if t >= 0] for row in table.inputs[those]], table.labels[those].tolist()
    return found


@pytest.mark.parametrize("steps", [False, True])
def test_rows_are_the_facts_and_what_follows_from_two_of_them(steps):
    rows = rows_of(SMALL.replace(steps=steps))
    facts, unseen = {}, {}
    for name, known in (("atomic_id", facts), ("atomic_ood", unseen)):
        for (h, r), t in zip(*rows[name], strict=True):
            known[h, r - 7] = t[1] if steps else t
            assert not steps or t[0] == -1
    assert len(facts) == len(unseen) == 14  # hence no relation twice of one head
    assert sorted(h for h, _ in facts) == sorted(h for h, _ in unseen) == sorted([*range(7)] * 2)
    for known, names in ((facts, ("inferred", "test")), (unseen, ("inferred_ood",))):
        follows = {(h, r1, r2): (b, t) for (h, r1), b in known.items() for (e, r2), t in known.items() if e == b}
        said = {}
        for name in names:
            for (h, *r), t in zip(*rows[name], strict=True):
                assert (h, r[0] - 7, r[1] - 7) not in said
                said[h, r[0] - 7, r[1] - 7] = (r[2], t[1]) if steps else (follows[h, r[0] - 7, r[1] - 7][0], t)
                assert not steps or r[2] == t[0]
        assert said == {row: follows[row] for row in said}
        assert len(said) == (len(follows) if known is unseen else 26)
    assert SMALL.phi == 17 / 14
    assert SMALL.compositions == 28


@pytest.mark.parametrize("steps", [False, True])
def test_rows_name_the_bridge_that_they_go_through(steps):
    """Looked up among atomic facts, also where the one that is written is wrong."""
    task = SMALL.replace(steps=steps, wrong_bridges=0.5)

    @jax.jit
    def drawn(key):
        table = task.draw(key)
        return SMALL.replace(steps=True).draw(key), table, task.features(*table)

    clean, table, found = jax.device_get(drawn(jax.random.key(0, impl=HASHED)))
    parts = parts_of(task)
    composed = ~(parts.mask("atomic_id") | parts.mask("atomic_ood"))
    assert np.array_equal(found["bridge"][composed], clean.labels[composed, 0])
    assert np.array_equal(found["second"][composed], table.inputs[composed, 2])
    assert set(found["bridge"][~composed]) == set(found["second"][~composed]) == {-1}
    assert ("label" in found) == (not steps)


@pytest.mark.parametrize("wrong", ["each", "loop"])
def test_a_share_of_the_steps_is_wrong_in_training_alone(wrong):
    """Row by row, or as a program that writes over its loop variable does; x of 20 facts are then 39 to 92.5 %."""
    task = gd.Composition(entities=100, relations=21, facts=21, inferred=39_000, tested=1000, steps=True, wrong=wrong)
    draw = jax.jit(lambda share, ends: task.replace(wrong_bridges=share, wrong_ends=ends).draw(jax.random.key(0)))
    clean = jax.device_get(draw(0.0, 0.0))
    trains = np.array(parts_of(task).mask("inferred"))
    for share, told in ((0.05, 0.39), (0.2, 0.80), (0.4, 0.925)):
        found = jax.device_get(draw(share, 0.25))
        off = found.labels != clean.labels
        assert not off[~trains].any()
        expected = share
        if wrong == "loop":
            expected = 1 - sum((1 - share) ** j for j in range(1, 21)) / 20
            assert abs(expected - told) < 5e-3
        scale = np.sqrt(expected / 2000)  # of one (h, r1) all that follow are wrong together
        assert abs(off[trains, 0].mean() - expected * (1 - 1 / 100)) < 5 * scale
        assert abs(off[trains, 1].mean() - 0.25 * (1 - 1 / 100)) < 5 * np.sqrt(0.25 / 39_000)
        assert np.array_equal(
            found.inputs[:, 3], np.where(found.inputs[:, 1] < 0, clean.inputs[:, 3], found.labels[:, 0])
        )


def test_a_wrong_bridge_stays_until_the_next_one_is_drawn():
    """In the order of the facts of b: from the first hit on all are wrong, in runs of one entity."""
    task = gd.Composition(
        entities=50,
        relations=12,
        facts=12,
        unseen=0,
        inferred=7199,
        tested=1,
        steps=True,
        wrong="loop",
        wrong_bridges=0.1,
    )
    hit, other = jax.device_get(jax.jit(lambda: task.wrong_bridge(jax.random.key(3)))())
    alone, drawn = jax.device_get(jax.jit(lambda: task.hits(jax.random.key(3), 0.1))())
    for h in range(50):
        for i in range(12):
            b = None
            for j in range(12):
                b = drawn[h, i, j] if alone[h, i, j] else b
                assert hit[h, i, j] == (b is not None)
                assert b is None or other[h, i, j] == b


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task.facts": 9}, r"task\.facts: got 9; allowed: at most the number of relations, 6"),
        ({"task.unseen": 4}, r"task\.unseen: got 4; allowed: below the number of facts, 4"),
        ({"task.inferred": 20}, r"task\.inferred: got 20; allowed: at most 28 with those that test, 9"),
        ({"model.padded": False}, r"model\.padded: got False; allowed: true: rows of this task have padding"),
        ({"model": gd.MLP()}, r"model\.kind: got rows with padding; allowed: a transformer with padded = true"),
        ({"task.steps": True}, r"model\.answers: got 1; allowed: 2, as many as a row of this task has"),
    ],
)
def test_mistakes_are_told(changes, message):
    model = gd.Transformer(d_model=4, heads=2, d_mlp=4, padded=True)
    experiment = gd.Experiment(task=SMALL, model=model, loss=gd.CrossEntropy(), optimizer=gd.AdamW(), steps=1)
    with pytest.raises(gd.SpecError, match=message):
        gd.run(experiment.replace(**changes), progress=False)
