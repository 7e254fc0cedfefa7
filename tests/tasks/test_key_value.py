"""Facts told in several forms against a program that reads them; counts, nesting, what is refused."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.parts import parts_of
from tests.tasks.test_composition import rows_of

pytestmark = pytest.mark.usefixtures("x64")
S, R, A, F, K, N = 9, 3, 5, 4, 2, 4
SMALL = gd.KeyValueFacts(subjects=S, relations=R, answers=A, forms=F, multiplicity=K, asked=N)


def read(row, words):
    """Return subject, relation and form of a row; form F is that of questions."""
    *head, s, end = row
    if words == "own":
        assert end == S + R * (F + 1)
        return (s, *divmod(head[0] - S, F + 1))
    form, r = head
    assert end == S + R + F + 1
    return s, r - S, form - S - R


@pytest.mark.parametrize("words", ["own", "shared"])
def test_every_fact_is_told_in_some_forms_and_asked_for_in_one_of_its_own(words):
    rows = {}
    for name, (tokens, labels) in rows_of(SMALL.replace(words=words)).items():
        rows[name] = [(*read(row, words), label) for row, label in zip(tokens, labels, strict=True)]
    told = rows["told"]
    values = {(s, r): label for s, r, _, label in told}
    assert sorted(values) == [(s, r) for s in range(S) for r in range(R)]
    assert all(label // A == r for (_, r), label in values.items())
    assert len({label % A for label in values.values()}) > 2
    for name, those in rows.items():
        assert all(values[s, r] == label for s, r, _, label in those)  # in whatever form
        assert all((form == F) == (name != "told") for _, _, form, _ in those)
    forms = {fact: sorted(form for s, r, form, _ in told if (s, r) == fact) for fact in values}
    assert all(len(set(used)) == K for used in forms.values())
    assert {form for used in forms.values() for form in used} == set(range(F))
    asked, held = ({s for s, *_ in rows[name]} for name in ("asked", "held_out"))
    assert len(asked) == N
    assert asked | held == set(range(S))
    assert not asked & held
    assert {name: len(those) for name, those in rows.items()} == {"told": S * R * K, "asked": N * R, "held_out": 15}


def test_a_fact_told_oftener_is_told_in_the_same_forms_and_others():
    few, many = (rows_of(SMALL.replace(multiplicity=k)) for k in (1, F))
    assert {tuple(row) for row in few["told"][0]} < {tuple(row) for row in many["told"][0]}
    assert [few[name] for name in ("asked", "held_out")] == [many[name] for name in ("asked", "held_out")]
    assert parts_of(SMALL).roles == {"told": "train", "asked": "train", "held_out": "test"}


def test_answers_are_uniform_and_runs_differ():
    task = SMALL.replace(subjects=3000, asked=1000)
    draw = jax.jit(task.draw)
    first, other = (jax.device_get(draw(jax.random.key(seed))) for seed in (0, 1))
    facts = first.labels[: 3000 * R * K : K]
    counts = np.bincount(facts, minlength=R * A)
    assert abs(counts - 3000 / A).max() < 5 * np.sqrt(3000 / A)
    assert (first.labels != other.labels).mean() > 0.5
    assert abs(first.inputs[3000 * R * K :: R, 1][:1000].mean() - 1500) < 5 * 3000 / np.sqrt(12 * 1000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"multiplicity": 5}, r"task\.multiplicity: got 5; allowed: at most the number of forms, 4"),
        ({"asked": 9}, r"task\.asked: got 9; allowed: below the number of subjects, 9: others' questions test"),
        ({"words": "none"}, r"task\.words: got 'none'; allowed: "),
    ],
)
def test_mistakes_are_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        gd.run(
            gd.Experiment(
                task=SMALL.replace(**changes),
                model=gd.Transformer(d_model=4, heads=2, d_mlp=4),
                loss=gd.CrossEntropy(),
                optimizer=gd.AdamW(),
                steps=1,
            ),
            progress=False,
        )
