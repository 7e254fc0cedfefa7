"""Values of entities and which of two is larger, against a program that looks them up; what is refused."""

import numpy as np
import pytest

import grokdyn as gd
from tests.tasks.test_composition import rows_of

pytestmark = pytest.mark.usefixtures("x64")
SMALL = gd.Comparison(entities=7, attributes=2, values=4, unseen=3, pairs=8, tested=3)


def test_rows_are_the_values_and_which_of_two_is_larger():
    """Tokens: 4 values, 2 times less, equal and more, 7 entities, 2 attributes."""
    rows = rows_of(SMALL)
    seen, unseen = ({tuple(row): v for row, v in zip(*rows[name], strict=True)} for name in ("atomic_id", "atomic_ood"))
    assert len(seen) == 2 * 4
    assert sorted([*seen, *unseen]) == [(e, a) for e in range(10, 17) for a in (17, 18)]
    found = {}
    for known, names in ((seen, ("inferred", "test")), (unseen, ("inferred_ood",))):
        for name in names:
            said = {tuple(row): word for row, word in zip(*rows[name], strict=True)}
            assert {(a, other, e) for a, e, other in said} == set(said)
            for (a, e, other), word in said.items():
                assert word == 4 + 3 * (a - 17) + 1 + np.sign(known[e, a] - known[other, a])
            found[name] = said
    assert [len(found[name]) for name in ("inferred", "test", "inferred_ood")] == [16, 6, 12]
    assert not set(found["inferred"]) & set(found["test"])
    assert SMALL.phi == 2.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unseen": 1}, r"task\.unseen: got 1; allowed: 0, or from 2 to 5"),
        ({"pairs": 10}, r"task\.pairs: got 10; allowed: at most 12 with those that test, 3"),
    ],
)
def test_mistakes_are_told(changes, message):
    model = gd.Transformer(d_model=4, heads=2, d_mlp=4, padded=True)
    experiment = gd.Experiment(task=SMALL, model=model, loss=gd.CrossEntropy(), optimizer=gd.AdamW(), steps=1)
    with pytest.raises(gd.SpecError, match=message):
        gd.run(experiment.replace(task=SMALL.replace(**changes)), progress=False)
