"""Groups of rows that one update moves against each other, against brute force in numpy; the task that has them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import grokdyn as gd
from grokdyn.probes.opposing import rank_correlation
from grokdyn.train.step import record, update
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
TOP, UPDATES = 3, 5
TASK = gd.OpposingOutliers(dimension=4, points=20, outliers=3, signal=2.0, size=3.0, even=0.5)
EXPERIMENT = gd.Experiment(
    task=TASK,
    model=gd.MLP(hidden=(5,), activation="tanh"),
    loss=gd.MSE(),
    optimizer=gd.SAM(inner=gd.SGD(learning_rate=0.05, momentum=0.9), rho=0.1),
    steps=10,
    probes=(gd.OpposingGroups(top=TOP, per_row=True),),
    dtype="float64",
)


@pytest.fixture(scope="module")
def followed():
    """Return what the probe saw at every step, the parameters there, and the run."""
    with jax.enable_x64(True):
        run = taken_apart(EXPERIMENT, padding=3)
        state, params, seen = run.state, [], []
        look = jax.jit(lambda s: record(run.program, run.lane, run.rows, s, run.table))
        step = jax.jit(lambda s: update(run.program, run.lane, run.rows, s)[0])
        for _ in range(UPDATES):
            params.append(jax.device_get(state.params))
            seen.append(jax.device_get(look(state)))
            state = step(state)
        return run, params, seen


def test_groups_are_those_of_the_losses_at_the_very_next_steps(followed):
    """The definition transcribed, on parameters that training itself arrives at."""
    run, params, seen = followed
    x, y = np.asarray(run.table.inputs, np.float64), np.asarray(run.table.labels, np.float64)
    train = np.asarray(run.lane.split.order)[: int(run.lane.split.n_train)]

    def losses(w):
        return jnp.square(jnp.tanh(x @ w["W_0"]) @ w["W_1"] - y)[:, 0]

    at = [np.asarray(losses(w)) for w in params]
    for t in range(UPDATES - 2):
        jac = jax.jacrev(losses)(params[t])
        g = np.concatenate([np.reshape(part, (len(x), -1)) for part in jax.tree.leaves(jac)], axis=1)[train]
        d, following = (at[t + 1] - at[t])[train], (at[t + 2] - at[t + 1])[train]
        rise, fall = np.argsort(-d, kind="stable")[:TOP], np.argsort(d, kind="stable")[:TOP]
        up, down = g[rise].mean(axis=0), g[fall].mean(axis=0)
        both = np.concatenate([rise, fall])
        expected = {
            "loss_rise": d[rise].mean(),
            "loss_fall": d[fall].mean(),
            "loss_rise_next": following[rise].mean(),
            "loss_fall_next": following[fall].mean(),
            "swapped": np.mean(d[both] * following[both] < 0),
            "loss_change_correlation": scipy.stats.spearmanr(d, following).statistic,
            "opposing_cosine": up @ down / np.linalg.norm(up) / np.linalg.norm(down),
            "loss_change": at[t + 1] - at[t],
        }
        assert expected.keys() == seen[t].keys()
        for word, value in expected.items():
            np.testing.assert_allclose(seen[t][word], value, rtol=1e-8, atol=1e-12, err_msg=f"{word} at {t}")


def test_ranks_of_equal_values_are_their_mean():
    x, y = np.float64([1, 2, 2, 5, 5, 5, 0]), np.float64([3, 3, 1, 9, 9, 2, 4])
    counts = np.asarray([1, 1, 1, 1, 1, 1, 0], bool)
    expected = scipy.stats.spearmanr(x[:6], y[:6]).statistic
    np.testing.assert_allclose(rank_correlation(jnp.asarray(x), jnp.asarray(y), jnp.asarray(counts)), expected)


def test_rows_of_the_task_are_its_rule_and_two_groups():
    task = gd.OpposingOutliers(dimension=3, points=50, outliers=2, signal=2.0, size=4.0, even=0.25)
    x, y = (np.asarray(part, np.float64) for part in task.draw(jax.random.key(0)))
    beta, *_ = np.linalg.lstsq(x[:50, :3], y[:50, 0], rcond=None)
    np.testing.assert_allclose(np.linalg.norm(beta), 2.0, rtol=1e-5)
    np.testing.assert_array_equal(x[:, 3], [0] * 50 + [4, 4, -4, -4])
    np.testing.assert_allclose(y[:, 0], x[:, :3] @ beta + 0.25 * np.abs(x[:, 3]), atol=1e-5)
    assert list(task.membership()[48:]) == ["bulk", "bulk", "positive", "positive", "negative", "negative"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"probes": (gd.OpposingGroups(top=9),)}, r"top: got 9; allowed: at most 8, half of the train rows"),
        ({"model": gd.MLP(hidden=(4,), norm="batch")}, "a model whose rows see each other in training"),
    ],
)
def test_what_has_no_two_groups_is_told(changes, said):
    with pytest.raises(gd.SpecError, match=said):
        gd.run(EXPERIMENT.replace(**changes), progress=False)
