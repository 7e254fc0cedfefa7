"""Named parts of a task's rows: the pool is divided, others always train or only test."""

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.base import Table, Task
from grokdyn.tasks.parts import parts_of
from grokdyn.tasks.signature import Classes, Reals, Signature, Tokens, Vectors
from tests import cases

P = 5


class Pairs(Task):
    """a + b mod 5: pairs a < b are the pool, a > b are unseen, a = b always train."""

    def signature(self):
        parts = {"ordered": "pool", "equal": "train", "unseen": "test"}
        return Signature(Tokens(P, 2), Classes(P), rows=P * P, parts=parts)

    def membership(self):
        a, b = np.divmod(np.arange(P * P), P)
        return np.where(a < b, "ordered", np.where(a > b, "unseen", "equal"))

    def table(self):
        a, b = np.divmod(np.arange(P * P), P)
        return Table(np.stack([a, b], axis=1).astype(np.int32), ((a + b) % P).astype(np.int32))


class Drawn(Task):
    """Vectors whose first six rows train and whose others test, drawn by each run."""

    drawn = True

    def signature(self):
        return Signature(Vectors(3), Reals(1), rows=10, parts={"anchor": "train", "test": "test"})

    def membership(self):
        return np.repeat(["anchor", "test"], [6, 4])

    def draw(self, key):
        import jax

        x = jax.random.normal(key, (10, 3), np.float32)
        return Table(x, x[:, :1])


class Rows(gd.Probe):
    """Records which rows are in which part."""

    def variables(self, shapes):
        axes = {"part": list(shapes.parts), "row": np.arange(shapes.signature.rows)}
        return {"member": gd.Variable("in the part", dims=("part", "row"), coordinates=axes)}

    def measure(self, view):
        import jax.numpy as jnp

        return {"member": jnp.stack(list(view.parts.values())).astype(jnp.float64)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store of runs with several fractions and seeds that learn; tests only read it."""
    out, probes = tmp_path_factory.mktemp("parts") / "store", ("loss", "accuracy", "logits", Rows())
    exp = cases.tiny(task=Pairs(), probes=probes, steps=300, record=gd.Every(20), **{"model.hidden": (32,)})
    gd.run(gd.Sweep(exp, {"task.train_fraction": [0.3, 0.5, 1.0], "seed": [0, 1]}), out=out, progress=False)
    return out


@pytest.mark.parametrize("fraction", [0.3, 0.5, 1.0])
def test_the_pool_alone_is_divided(fraction, store):
    ds = gd.open(store).sel(train_fraction=fraction, seed=0)
    members = {str(part): ds.member.sel(part=part).values[0].astype(bool) for part in ds.part.values}
    ours = parts_of(Pairs())
    assert list(members) == ["train", "test", "equal", "unseen"]
    for name in ("equal", "unseen"):
        np.testing.assert_array_equal(members[name], ours.mask(name))
    assert members["train"].sum() == int(fraction * 10) + 5
    np.testing.assert_array_equal(members["train"] & ~members["equal"] | members["test"], ours.mask("ordered"))
    assert not (members["train"] & (members["test"] | members["unseen"])).any()


def test_every_part_has_its_variables_and_training_sees_train_rows_alone(store):
    ds = gd.open(store).sel(train_fraction=0.5, seed=0)
    for part in ("train", "test", "equal", "unseen"):
        for what in ("loss", "accuracy", "logit_norm", "margin"):
            assert np.isfinite(ds[f"{part}_{what}"].values).all(), (part, what)
        assert ds[f"{part}_loss"].attrs["part"] == part
    assert ds.train_accuracy.values[-1] == ds.equal_accuracy.values[-1] == 1
    assert ds.train_loss.values[-1] < 0.1 < ds.unseen_loss.values[-1]


def test_one_pool_with_other_parts_trains_as_the_smaller_table_would():
    whole = gd.run(cases.tiny(task=Pairs(train_points=10), probes=("loss", Rows())), progress=False)
    rows = np.flatnonzero(whole.member.sel(part="train").values[0])
    given = gd.run(
        cases.tiny(task=gd.ModularArithmetic(p=P), probes=("loss",)), start=gd.Start(train_rows=rows), progress=False
    )
    np.testing.assert_allclose(given.train_loss, whole.train_loss, rtol=1e-5)


def test_a_task_may_have_no_pool():
    ds = gd.run(cases.tiny(task=Drawn(), loss=gd.MSE(), probes=("loss", Rows())), progress=False)
    assert ds.member.sel(part="train").values[0].sum() == 6
    assert ds.member.sel(part="test").values[0].sum() == 4
    np.testing.assert_allclose(ds.train_loss, ds.anchor_loss, rtol=1e-12)


def test_fraction_and_seed_can_be_swept_and_stop_rules_know_parts():
    exp = cases.tiny(task=Pairs(), stop=(gd.When(variable="unseen_accuracy", threshold=0.0, records=1),))
    ds = gd.run(gd.Sweep(exp, {"task.train_fraction": [0.2, 0.9], "seed": [0, 1]}), progress=False)
    assert gd.analysis.parts(ds) == ("train", "test", "equal", "unseen")
    assert ds.unseen_loss.shape == (2, 2, 3)
    assert (ds.stopped_at == 0).all()


def test_rows_of_parts_can_be_given():
    start = gd.Start(train_rows=np.flatnonzero(~parts_of(Pairs()).mask("unseen")))
    assert gd.run(cases.tiny(task=Pairs()), start=start, progress=False).test_loss.isnull().all()
    with pytest.raises(gd.SpecError, match=r"start.train_rows: got row 5 of part unseen; allowed: no row of a part"):
        gd.run(cases.tiny(task=Pairs()), start=gd.Start(train_rows=[0, 6, 12, 18, 24, 5]), progress=False)
    with pytest.raises(gd.SpecError, match=r"start.train_rows: got no row 24 of part equal; allowed: all rows"):
        gd.run(cases.tiny(task=Pairs()), start=gd.Start(train_rows=[0, 1, 6, 12, 18]), progress=False)


def test_probes_of_single_rows_may_look_at_a_part():
    probe = gd.KernelSpectrum(rows=10, part="unseen", top=2)
    ds = gd.run(cases.tiny(task=Pairs(), probes=(probe,)), progress=False)
    assert np.isfinite(ds.kernel_top_eigenvalue.values).all()
    with pytest.raises(gd.SpecError, match=r"probes\[0\].rows: got 11; allowed: at most 10"):
        gd.run(cases.tiny(task=Pairs(), probes=(probe.replace(rows=11),)), progress=False)
    with pytest.raises(gd.SpecError, match=r"probes\[0\].part: got 'ood'; allowed: one of table, train, test, equal"):
        gd.run(cases.tiny(task=Pairs(), probes=(probe.replace(part="ood"),)), progress=False)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"a": "pool", "b": "pool"}, "not two pools"),
        ({"a": "test"}, "one pool, or parts that train"),
        ({"a": "hold"}, "signature.parts.a: got 'hold'; allowed: one of pool, train, test"),
        ({"train": "test", "a": "pool"}, "signature.parts.train"),
        ((("a", "pool"), ("a", "test")), "each name once"),
        ({"a b": "pool"}, "names of letters"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(parts, told):
    with pytest.raises(gd.SpecError, match=told):
        Signature(Vectors(2), Classes(2), rows=4, parts=parts)


def test_a_membership_that_does_not_fit_is_refused():
    class Short(Pairs):
        def membership(self):
            return np.repeat("ordered", 3)

    class Strange(Pairs):
        def membership(self):
            return np.where(np.arange(25) == 3, "oops", "ordered")

    class Unsaid(Pairs):
        membership = Task.membership

    for task, told in ((Short(), r"shape \(3,\)"), (Strange(), "oops"), (Unsaid(), "membership: got nothing")):
        with pytest.raises(gd.SpecError, match=told):
            gd.run(cases.tiny(task=task), progress=False)


def test_signatures_of_the_earlier_form_are_understood():
    assert Signature(7, 2, 7, 49) == Signature(Tokens(7, 2), Classes(7), 49)
    old = Signature(vocabulary=0, width=3, outputs=2, rows=9, regression=True)
    assert old == Signature(Vectors(3), Reals(2), rows=9)
    assert (old.outputs, old.answers, hash(old)) == (2, 1, hash(Signature(Vectors(3), Reals(2), 9)))


def test_analysis_and_figures_of_a_store_know_parts(store):
    ds = gd.open(store).sel(train_fraction=[0.3, 0.5], step=slice(60))
    assert gd.analysis.parts(ds) == gd.analysis.parts(ds, "loss") == ("train", "test", "equal", "unseen")
    times = gd.analysis.grokking_time(ds, 0.5, part="equal")
    assert {"step_train", "step_equal", "delay", "equal_censored"} <= set(times)
    reached = (ds.equal_accuracy >= 0.5).any("step")
    np.testing.assert_array_equal(times.step_equal.notnull(), reached)
    assert gd.analysis.phases(ds, part="unseen").phase.shape == (2, 2)
    with pytest.raises(ValueError, match="part='ood': expected one of train, test, equal, unseen"):
        gd.analysis.grokking_time(ds, part="ood")
    figure = gd.plot.curves(ds)
    told = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert any("unseen" in text for text in told)
