"""Fresh rows for every update: what they are, how they train, that nothing but the step decides them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.loop import batch as batches
from grokdyn.engine.plan import cohorts as plan
from grokdyn.spec import base
from grokdyn.train.compiled import TRACES
from grokdyn.train.lane import begin
from grokdyn.train.rows import fresh_rows
from tests.contract import arrays

pytestmark = pytest.mark.usefixtures("x64")
ONLINE = gd.Experiment(
    task=gd.LinearTeacher(dimension=4, points=30, fresh=True),
    model=gd.MLP(hidden=(), init="ntk"),
    loss=gd.MSE(),
    optimizer=gd.SGD(learning_rate=0.2),
    steps=9,
    batch_size=3,
    record=gd.Every(3),
    probes=("loss", "weight_norm", "gradient_norm"),
    dtype="float64",
)


def apart(experiment):
    """Return the program, constants and state at step 0 of a run, and its rows of the update at a step."""
    checked = base.check(experiment)
    (cohort,) = plan.cohorts([checked], None, jax.local_devices()[:1])
    lane, state = begin(cohort.program, jax.tree.map(jnp.asarray, arrays(cohort.template)), None, None)
    return lane, state, lambda step: fresh_rows(cohort.program, lane, jnp.int32(step))


@pytest.fixture(scope="module")
def online():
    with jax.enable_x64(True):
        return apart(ONLINE)


@pytest.fixture(scope="module")
def trained():
    return gd.run(ONLINE, progress=False)


def test_no_two_updates_share_rows_and_all_follow_the_rule_of_the_table(online):
    lane, _, rows = online
    drawn = [rows(step) for step in (0, 1, 2)]
    x = np.concatenate([np.asarray(r.inputs) for r in drawn] + [np.asarray(lane.table.inputs)])
    y = np.concatenate([np.asarray(r.labels) for r in drawn] + [np.asarray(lane.table.labels)])
    assert len(np.unique(x, axis=0)) == len(x) == 3 * 3 + 30
    np.testing.assert_allclose(y[:, 0], x.astype(float) @ np.asarray(lane.rule), rtol=2e-6, atol=1e-6)
    again = rows(1)
    assert np.array_equal(again.inputs, drawn[1].inputs)
    assert np.all(np.asarray(again.index) >= 30), "their places are behind those of the table"


def test_training_is_that_of_plain_numpy_on_the_rows_of_every_step(online, trained):
    """A record at step t has the loss of the update made at t, and that of the whole table as the test loss."""
    lane, state, rows = online
    w, table = np.asarray(state.params["W_0"])[:, 0].copy(), [np.asarray(a, float) for a in lane.table]
    scale = 1 / np.sqrt(4)
    for step in range(10):
        x, y = np.asarray(rows(step).inputs, float), np.asarray(rows(step).labels, float)[:, 0]
        residual = scale * x @ w - y
        gradient = 2 * scale * x.T @ residual / 3
        if step % 3 == 0:
            seen = trained.sel(step=step)
            np.testing.assert_allclose(seen.train_loss, np.mean(residual**2), rtol=1e-6)
            np.testing.assert_allclose(seen.gradient_norm, np.linalg.norm(gradient), rtol=1e-6)
            test = np.mean((scale * table[0] @ w - table[1][:, 0]) ** 2)
            np.testing.assert_allclose(seen.test_loss, test, rtol=1e-6)
        w -= 0.2 * gradient


@pytest.mark.as_users
def test_records_and_interruptions_change_no_bit(tmp_path, monkeypatch):
    sweep = gd.Sweep(ONLINE.replace(steps=40, record=gd.Every(10), dtype="float32"), {"seed": [0, 1, 2]})
    whole, traced = gd.run(sweep, progress=False), TRACES["advance"]
    more = gd.run(gd.Sweep(sweep.base.replace(record=gd.Every(5)), sweep.axes), progress=False)
    for name in ("train_loss", "test_loss", "weight_norm"):
        assert np.array_equal(more[name].sel(step=whole.step), whole[name])
    assert TRACES["advance"] == traced + 1
    advanced, left = batches.Batch.advance, [1]

    def counted(self):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return advanced(self)

    monkeypatch.setattr(plan, "CHUNK_OPERATIONS", {"cpu": 1.0, "other": 1.0})
    with monkeypatch.context() as cut:
        cut.setattr(batches.Batch, "advance", counted)
        with pytest.raises(KeyboardInterrupt):
            gd.run(sweep, out=tmp_path / "s", progress=False, checkpoint_seconds=0)
    assert gd.resume(tmp_path / "s", progress=False).equals(whole)


def test_memory_does_not_know_the_number_of_steps():
    sizes = []
    for steps in (1_000, 100_000):
        experiment = ONLINE.replace(steps=steps, record=gd.Every(steps // 10), **{"task.dimension": 100})
        (cohort,) = plan.cohorts([base.check(experiment)] * 1_000, None, jax.local_devices()[:1])
        sizes.append((cohort.lane_bytes, cohort.width))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch_size": None}, r"batch_size: got nothing; allowed: the number of rows that an update draws"),
        ({"task.label_noise": 0.1}, r"task.label_noise: got 0.1; allowed: 0 where every update draws"),
        ({"probes": (gd.KernelDrift(rows=4, part="train"),)}, r"probes\[0\].part: got 'train'; allowed: table or test"),
        ({"task": gd.KernelEigenvector(fresh=True)}, r"task.fresh: got True; allowed: false: an eigenvector"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(changes, told):
    with pytest.raises(gd.SpecError, match=told):
        gd.run(ONLINE.replace(**changes), progress=False)


class Divided(gd.Task):
    """Fresh rows beside a part that always trains: nonsense."""

    drawn = endless = True

    def signature(self):
        return gd.Signature(gd.Vectors(2), gd.Reals(1), 4, {"mine": "train", "others": "test"})

    def membership(self):
        return np.array(["mine", "mine", "others", "others"])

    def draw(self, key):
        return gd.Table(jnp.ones((4, 2)), jnp.ones((4, 1)))

    def sample(self, rule, key, rows):
        return gd.Table(jnp.ones((rows, 2)), jnp.ones((rows, 1)))


def test_a_part_that_always_trains_is_refused():
    with pytest.raises(
        gd.SpecError, match=r"task: got endless rows and a part that always trains; allowed: parts of a"
    ):
        gd.run(ONLINE.replace(task=Divided()), progress=False)


def test_given_train_rows_are_refused():
    with pytest.raises(gd.SpecError, match=r"start.train_rows: got rows; allowed: nothing"):
        gd.run(ONLINE, start=gd.Start(train_rows=[1, 2]), progress=False)


class Coin(gd.Task):
    """Learn the sign of the first entry, from rows of one's own for every update and a table of eight."""

    endless = True

    def signature(self):
        return gd.Signature(gd.Vectors(2), gd.Classes(2), rows=8)

    def table(self):
        x = np.random.default_rng(0).standard_normal((8, 2)).astype(np.float32)
        return gd.Table(x, x[:, 0] > 0)

    def sample(self, rule, key, rows):
        x = jax.random.normal(key, (rows, 2), jnp.float32)
        return gd.Table(x, x[:, 0] > 0)


class Crooked(Coin):
    """Labels of the wrong shape."""

    def sample(self, rule, key, rows):
        x, y = super().sample(rule, key, rows)
        return gd.Table(x, y[:1])


def test_a_task_of_ones_own_draws_rows_from_an_enumerated_table_of_test_rows():
    changes = {"model": gd.MLP(hidden=(4,)), "loss": gd.CrossEntropy(), "probes": ("loss", "accuracy")}
    found = gd.run(ONLINE.replace(task=Coin(), steps=40, record=gd.Every(40), **changes), progress=False)
    assert found.test_loss[-1] < found.test_loss[0]
    with pytest.raises(gd.SpecError, match=r"Crooked.sample: labels of shape \[1\]"):
        gd.run(ONLINE.replace(task=Crooked(), **changes), progress=False)
