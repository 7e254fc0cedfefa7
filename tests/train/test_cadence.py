"""Probes with a cadence and a name: what they record, when, at no cost in between, and who goes by it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.plan import cohorts as plan
from grokdyn.page.sheet import sheet
from grokdyn.probes.cadence import due, measured_where
from grokdyn.spec import base
from grokdyn.train.step import advance, view_of
from tests import cases
from tests.contract import arrays
from tests.train.lanes import taken_apart

STEPS = 40
STEEP = gd.GradientNorm(every=16, name="steep")
EXPERIMENT = cases.tiny(steps=STEPS, record=gd.Every(5), probes=("loss", "weight_norm"))
TWICE = (
    gd.Loss(),
    STEEP,
    gd.Predictions(rows=4, every=16, name="some"),
    gd.Predictions(rows=6, part="train"),
    gd.WeightNorm(every=8),
)


@pytest.fixture(scope="module")
def run():
    return gd.run(gd.Sweep(EXPERIMENT.replace(probes=TWICE), {"seed": [0, 1]}), progress=False)


@pytest.fixture(scope="module")
def always():
    changed = tuple(probe.replace(every=None) for probe in TWICE)
    return gd.run(gd.Sweep(EXPERIMENT.replace(probes=changed), {"seed": [0, 1]}), progress=False)


def brute(steps, every):
    """Return by hand which records are the first, the last, or the first at or after a multiple."""
    wanted = {0, len(steps) - 1}
    for multiple in range(0, int(steps[-1]) + 1, every):
        wanted.add(next(i for i, step in enumerate(steps) if step >= multiple))
    return [i in wanted for i in range(len(steps))]


@pytest.mark.parametrize("every", [1, 3, 7, 100, 10_000])
@pytest.mark.parametrize("steps", [[0], [0, 5, 10, 12], [3, 4, 50], [0, 1, 2, 4, 9, 18, 40, 90, 200, 600]])
def test_a_probe_measures_at_the_first_record_at_or_after_each_multiple(steps, every):
    found, exact = due(np.asarray(steps), every), brute(steps, every)
    if steps[0] > 0:  # a multiple that lies before the first record is that record's
        exact[0] = True
    assert found.tolist() == exact


@pytest.mark.as_users
def test_what_is_measured_is_as_if_it_always_were_and_the_rest_is_nan(run, always):
    assert run.step.values.tolist() == list(range(0, STEPS + 1, 5))
    for name, own in (("steep_gradient_norm", [0, 20, 35, 40]), ("weight_norm", [0, 10, 20, 25, 35, 40])):
        there = np.isin(run.step, own)
        np.testing.assert_array_equal(run[name].notnull().all("seed"), there)
        np.testing.assert_array_equal(run[name].values[:, there], always[name].values[:, there])
        assert gd.analysis.measured(run, name).step.values.tolist() == own
    assert run.steep_gradient_norm.attrs["every"] == 16
    assert "every" not in run.train_loss.attrs
    np.testing.assert_array_equal(run.train_loss, always.train_loss)
    np.testing.assert_array_equal(run.weight_norm[:, -1], always.weight_norm[:, -1])


def test_a_kind_can_be_there_twice_with_axes_of_its_own(run):
    assert run.some_prediction.dims == ("seed", "step", "some_row")
    assert run.prediction.dims == ("seed", "step", "row")
    assert (run.sizes["some_row"], run.sizes["row"]) == (4, 6)
    with pytest.raises(gd.SpecError, match=r"probes\[1\]: got 'loss'; allowed: each probe once, or under a name"):
        base.check(EXPERIMENT.replace(probes=("loss", {"kind": "loss", "every": 10})))
    read = base.check(EXPERIMENT.replace(probes=[{"kind": "sharpness", "every": 200, "name": "sharp"}]))
    assert read.probes == (gd.Sharpness(every=200, name="sharp"),)
    assert gd.Experiment.from_toml(read.to_toml()) == read
    assert "every" not in base.encode(gd.Loss())  # specs that earlier versions wrote stay the same text


def primitives(jaxpr, inside=False):
    """Yield the names of all operations, and whether a branch holds them."""
    for eqn in jaxpr.eqns:
        yield eqn.primitive.name, inside
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from primitives(inner, inside or eqn.primitive.name == "cond")


@pytest.mark.usefixtures("x64")
def test_under_vmap_the_measurement_stays_in_a_branch():
    """The eigenvalues of Lanczos' matrix are computed nowhere else, and no select takes the branch's place."""
    run = taken_apart(EXPERIMENT.replace(probes=(gd.Loss(), gd.Sharpness(iterations=2, every=16))))
    both = jax.tree.map(lambda x: jnp.stack([x, x]), (run.lane, run.state))

    def trained(lanes, stretches, wanted):
        return jax.vmap(lambda lane: advance(run.program, *lane, run.table, stretches, wanted))(lanes)

    wanted = {"16": jnp.asarray([True, False])}
    found = list(primitives(jax.make_jaxpr(trained)(both, jnp.ones(2, jnp.int32), wanted).jaxpr))
    assert {inside for name, inside in found if name == "eigh"} == {True}


@pytest.mark.usefixtures("x64")
def test_what_is_computed_in_a_branch_stays_in_it():
    run = taken_apart(EXPERIMENT.replace(probes=()))

    def both(wanted):
        view = view_of(run.program, run.lane, run.rows, run.state, run.table)
        first = measured_where(wanted, [gd.Accuracy(every=3)], view)
        return first, measured_where(wanted, [gd.Accuracy(every=4)], view), view.logits.sum()

    first, second, total = jax.jit(both)(True)
    assert first == second
    assert np.isfinite(total)
    assert all(np.isnan(value) for value in jax.jit(both)(False)[0].values())


class Twice(gd.StopRule):
    """One of a user's own, which looks at all records of a run."""

    def needs(self):
        return ("steep_gradient_norm", "train_loss")

    def stops_at(self, steps, records):
        assert not np.isnan(records["steep_gradient_norm"]).any()
        return 2 if len(steps) > 2 else None


@pytest.mark.parametrize(
    ("rule", "step"),
    [
        (gd.When(variable="steep_gradient_norm", threshold=-1e9, records=3), 35),
        (gd.When(variable="train_loss", threshold=-1e9, records=3), 10),
        (gd.Stalled(fitted="train_loss", fitted_at=-1e9, progress="steep_gradient_norm", by=1e9, within=16), 20),
        (Twice(), 35),
    ],
)
def test_a_stop_rule_sees_the_records_that_measure_what_it_reads(rule, step):
    found = gd.run(EXPERIMENT.replace(probes=(gd.Loss(), STEEP), stop=(rule,)), progress=False)
    assert int(found.stopped_at) == step


def test_a_loss_with_a_cadence_does_not_make_runs_diverge():
    found = gd.run(EXPERIMENT.replace(probes=(gd.Loss(every=20),)), progress=False)
    assert found.status == 0
    assert found.train_loss.notnull().values.tolist() == [s in (0, 20, 40) for s in range(0, STEPS + 1, 5)]


def test_plots_pages_and_stores_follow(run, tmp_path):
    experiment = EXPERIMENT.replace(probes=(gd.Loss(), STEEP), snapshots=(0, 7, 40))
    path = tmp_path / "s"
    gd.run(gd.Sweep(experiment, {"seed": [0, 1]}), out=path, progress=False)
    stored = gd.open(path)
    assert stored.steep_gradient_norm.attrs["every"] == 16
    np.testing.assert_allclose(stored.steep_gradient_norm, run.steep_gradient_norm, rtol=1e-5)
    lines = [line for ax in gd.plot.curves(stored, variables="steep_gradient_norm").axes for line in ax.lines]
    assert all(np.isfinite(line.get_ydata()).all() and len(line.get_xdata()) == 4 for line in lines)
    described = {about["name"]: about.get("sparse", False) for about in sheet(stored, "s", 4).told["variables"]}
    assert described["steep_gradient_norm"]
    assert not described["train_loss"]
    probed = gd.probe(path, ["accuracy", {"kind": "gradient_norm", "every": 1000, "name": "later"}])
    assert probed.later_gradient_norm.notnull().all()  # every snapshot, whatever the cadence
    np.testing.assert_array_equal(probed.later_gradient_norm.sel(step=40), stored.steep_gradient_norm.sel(step=40))


def test_spikes_and_times_are_those_of_the_variables_own_steps(run):
    own = gd.analysis.measured(run, "weight_norm")
    found = gd.analysis.first_step(run, "weight_norm", float(own[0, 2]))
    assert float(found.first_step[0]) == own.step[2]
    assert float(found.low[0]) == own.step[1]


def test_a_variable_that_a_rule_reads_is_told_under_its_name():
    stop = (gd.When(variable="gradient_norm"),)
    experiment = base.check(EXPERIMENT.replace(probes=("loss", STEEP), stop=stop))
    with pytest.raises(gd.SpecError, match=r"stop.0.: got 'gradient_norm'; allowed: .*steep_gradient_norm"):
        plan.cohorts([experiment], None, jax.local_devices()[:1])


def test_every_probe_fits_with_a_cadence_and_a_name():
    for probe in cases.PROBES[:6]:
        assert arrays(probe.replace(every=3, name="own")).name == "own"
