"""How many rows probes look at where no number is given: planned alone, as what is compiled is then the same."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.checks.names import names_of_kinds
from grokdyn.engine.plan import cohorts as plan
from grokdyn.spec import base
from tests import cases


def planned(*experiments):
    (cohort,) = plan.cohorts([base.check(experiment) for experiment in experiments], None, jax.local_devices()[:1])
    return cohort


@pytest.mark.parametrize(("p", "table", "train"), [(7, 49, 24), (11, 64, 60), (13, 64, 64)])
def test_without_a_number_it_is_64_or_all_there_are(p, table, train):
    task = gd.ModularArithmetic(p=p, train_fraction=0.5)
    found = planned(cases.tiny(task=task, probes=(gd.Predictions(), gd.Laziness(part="train"))))
    assert found.template.probes == (gd.Predictions(rows=table), gd.Laziness(rows=train, part="train"))
    assert found.experiments.probes == found.template.probes
    assert found.variables["prediction"].coordinates["row"].size == table


def test_of_runs_with_several_numbers_of_rows_it_is_what_all_have():
    several = [cases.tiny(task=gd.ModularArithmetic(p=7, train_fraction=share)) for share in (0.5, 0.3, 0.9)]
    probes = gd.Predictions(part="train"), gd.Predictions(part="test", name="other"), gd.Predictions(rows=7, name="own")
    found = planned(*(one.replace(probes=probes) for one in several)).template.probes
    assert [probe.rows for probe in found] == [14, 5, 7]


@pytest.mark.parametrize(("points", "rows"), [(20, 8), (300, 100)])
def test_around_points_it_is_100_or_all_that_each_part_has(points, rows):
    task = gd.MultiIndex(dimension=3, points=points, train_fraction=0.6)
    found = planned(cases.tiny(task=task, loss=gd.MSE(), probes=(gd.LocalComplexity(vertices=4),)))
    assert [probe.rows for probe in found.template.probes] == [rows]


def test_too_few_rows_or_none_of_that_name_are_told_as_ever():
    for changes, words in (
        ({"task.train_points": 1, "probes": (gd.CausalTracing(part="train"),)}, "rows: got 2; allowed: at most 1"),
        ({"probes": (gd.CausalTracing(part="rest"),)}, "part: got 'rest'; allowed: one of table, train, test"),
    ):
        model = gd.Transformer(d_model=4, heads=1, d_mlp=4)
        with pytest.raises(gd.SpecError, match=words):
            planned(cases.tiny(model=model).replace(**changes))


def test_names_are_those_of_the_package_on_any_table():
    shapes = planned(cases.tiny(task=gd.ModularArithmetic(p=5))).shapes
    assert names_of_kinds(shapes)["prediction"] is gd.Predictions
    assert np.max(gd.Predictions().settled(shapes).variables(shapes)["prediction"].coordinates["row"]) == 24
