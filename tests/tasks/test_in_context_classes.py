"""Classification in context: a numpy twin from the same tasks, which tasks and images are where, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks.digits import source
from grokdyn.tasks.in_context_classes import MOST_TASKS
from tests.tasks.draws import HASHED

pytestmark = pytest.mark.usefixtures("x64")
TASK = gd.InContextClassification(classes=3, width=4, length=5, tasks=6, noise_std=0.25, rows=400)
DIGITS = gd.InContextClassification(classes=4, width=70, length=6, tasks=2, source="digits", images=600, rows=50)
KEY = jax.random.key(3)
# For what holds whatever is drawn.
ANY = jax.random.key(3, impl=HASHED)
digits_there = pytest.mark.skipif(source() is None, reason="no digits")


def by_hand(A, pi, x, y, classes):
    """Return the sequence of a task [length, width + classes] and its answers, vector by vector."""
    vectors, answers = [], [int(pi[c]) for c in y]
    for i in range(len(x)):
        before = np.zeros(classes)
        if i:
            before[answers[i - 1]] = 1
        vectors.append(np.concatenate([A @ x[i], before]))
    return np.array(vectors), answers


def known(task, first=0):
    """Return the rule, its prototypes, and matrix and permutation of every task from the first of a kind on."""
    rule, (A, pi) = made(task, np.arange(first, first + int(task.tasks), dtype=np.int32))
    return rule, rule["prototypes"].astype(float), A.astype(float), pi


def made(task, numbers, key=KEY):
    """Return the rule, and matrix and permutation of tasks by number."""

    @jax.jit
    def of(key):
        rule = task.rule(key)
        return rule, jax.vmap(lambda t: task.task_of(rule, t))(numbers)

    return jax.device_get(of(key))


def tasks_of(table, P, A, pi):
    """Return which task each sequence without noise is of, and how far its vectors are from what that task makes."""
    found = []
    for row, answers in zip(np.asarray(table.inputs, float), np.asarray(table.labels), strict=True):
        apart = []
        for matrix, order in zip(A, pi, strict=True):
            y = np.argsort(order)[answers]
            vectors, told = by_hand(matrix, order, P[y], y, len(P))
            assert told == answers.tolist()
            apart.append(np.abs(row - vectors).max())
        found.append((int(np.argmin(apart)), min(apart)))
    which, off = (np.array(x) for x in zip(*found, strict=True))
    return which, off


def test_a_sequence_is_its_task_applied_to_inputs_and_classes():
    """With no noise one task makes a row; tasks are drawn uniformly, and no unseen one is among those that train."""
    task = TASK.replace(noise_std=0.0)

    @jax.jit
    def drawn(key):
        return task.draw(key), task.sequences(task.rule(key), key, 50, MOST_TASKS, 6, trains=False)

    table, later = jax.device_get(drawn(KEY))
    first, unknown = (known(task, number)[1:] for number in (0, MOST_TASKS))
    seen, unseen = (gd.Table(*(x[at] for x in table)) for at in (slice(0, 400), slice(400, 800)))
    which, off = tasks_of(seen, *first)
    assert off.max() < 1e-5
    assert np.all(np.abs(np.bincount(which, minlength=6) / 400 - 1 / 6) < 5 * np.sqrt(5 / 36 / 400))
    assert tasks_of(unseen, *first)[1].min() > 1e-2
    assert tasks_of(later, *unknown)[1].max() < 1e-5


def test_inputs_have_the_law_that_is_told():
    """Five standard errors: residuals of inputs from their prototypes, matrices and permutations over many tasks."""
    rule, (A, pi) = made(TASK, np.arange(3000, dtype=np.int32))
    x, y = jax.device_get(jax.jit(lambda rule, key: TASK.shown(rule, key, 4000, True))(rule, jax.random.key(5)))
    rest = x * np.sqrt(1 + 0.25**2) - rule["prototypes"][y]
    assert abs(np.mean(rest**2) / 0.25**2 - 1) < 5 * np.sqrt(2 / rest.size)
    assert np.all(np.abs(np.bincount(y.ravel()) / y.size - 1 / 3) < 5 * np.sqrt(2 / 9 / y.size))
    assert abs(np.mean(A**2) * 4 - 1) < 5 * np.sqrt(2 / A.size)
    assert abs(A.mean()) < 5 * np.sqrt(0.25 / A.size)
    assert np.array_equal(np.sort(pi, axis=1), np.tile(np.arange(3), (3000, 1)))
    orders = np.unique(pi, axis=0, return_counts=True)[1]
    assert len(orders) == 6
    assert np.all(np.abs(orders / 3000 - 1 / 6) < 5 * np.sqrt(5 / 36 / 3000))


def test_updates_draw_from_the_tasks_that_train_alone():
    task = TASK.replace(noise_std=0.0, tasks=2)
    rule, *those = known(TASK)
    sample = jax.jit(lambda rule, key: task.sample(rule, key, 200))
    table, other = (jax.device_get(sample(rule, jax.random.key(seed))) for seed in (9, 10))
    which, off = tasks_of(table, *those)
    assert set(which) == {0, 1}
    assert off.max() < 1e-5
    assert not np.array_equal(table.inputs, other.inputs)


def test_fewer_tasks_are_some_of_more():
    """Task t is what it is whatever their number, and that number is a leaf of one program."""
    traces = []

    @jax.jit
    def drawn(task):
        traces.append(task)
        return task.draw(ANY).inputs, task.task_of(task.rule(ANY), jnp.int32(3))

    (few, one), (many, other) = (drawn(jax.tree.map(np.asarray, TASK.replace(tasks=n))) for n in (4, 2**20))
    assert len(traces) == 1
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert few.shape == many.shape == (800, 5, 7)
    assert not np.array_equal(few[:400], many[:400])


@digits_there
def test_images_that_train_and_images_that_test_are_apart():
    """Width above 64 entries: A has full rank, so that the image behind a vector is found again."""
    images, digits = DIGITS.digits()
    rule, tasks = made(DIGITS, np.array([0, 1, MOST_TASKS, MOST_TASKS + 1], np.int32), ANY)
    tasks, order = list(zip(*tasks, strict=True)), rule["order"]
    assert sorted(order) == list(range(len(images)))
    assert set(digits) == {0, 1, 2, 3}
    apart = images.astype(float) - images.astype(float).mean(0)
    apart /= np.sqrt(np.mean(apart**2))

    @jax.jit
    def drawn(rule, key, other):
        later = DIGITS.sequences(rule, key, 50, MOST_TASKS, 2, trains=False)
        return DIGITS.draw(key), later, DIGITS.sample(rule, other, 50)

    table, later, fresh = jax.device_get(drawn(rule, ANY, jax.random.key(7, impl=HASHED)))
    parts = (
        (table.inputs[:50], table.labels[:50], tasks[:2], order[600:]),
        (*later, tasks[2:], order[600:]),
        (*fresh, tasks[:2], order[:600]),
    )
    for inputs, labels, own, allowed in parts:
        for row, answers in zip(inputs.astype(float), labels, strict=True):
            fits = []
            for A, pi in own:
                shown = apart[allowed] @ A.T.astype(float)
                distance = np.abs(row[:, None, :70] - shown).max(-1)
                which = allowed[distance.argmin(1)]
                fits.append(distance.min(1).max() < 1e-4 and np.array_equal(pi[digits[which]], answers))
            assert sum(fits) == 1


def test_a_later_vector_changes_no_earlier_logit():
    """Exactly: not a bit of the logits before it, of a network that changes at and behind it."""
    model, task = gd.Transformer(layers=2, d_model=8, heads=2, d_mlp=16, norm="pre", answers=5), TASK.replace(rows=20)
    params, (inputs, _) = jax.jit(lambda key: (model.start(key, task.signature(), "float32"), task.draw(key)))(ANY)
    logits = jax.jit(lambda inputs: model.apply(params, inputs).logits)
    inputs = np.asarray(inputs)
    whole = np.asarray(logits(inputs))
    assert whole.shape == (40, 5, 3)
    for place in range(5):
        moved = inputs.copy()
        moved[:, place] += 1
        same = np.all(np.asarray(logits(moved)) == whole, axis=(0, 2))
        assert same.tolist() == [i < place for i in range(5)]


def experiment(**changes):
    base = gd.Experiment(
        task=TASK,
        model=gd.Transformer(d_model=4, heads=1, d_mlp=4, answers=5),
        loss=gd.CrossEntropy(),
        optimizer=gd.Adam(),
        steps=1,
        batch_size=4,
        record=gd.Every(1),
    )
    return base.replace(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task.tasks": 0}, r"task\.tasks: got 0; allowed: a whole number from 1 to 1048576"),
        ({"task.tasks": 2**20 + 1}, r"task\.tasks: got 1048577; allowed: a whole number from 1 to 1048576"),
        ({"task.width": 0}, r"task\.width: got 0; allowed: a whole number from 1"),
        ({"task.length": 1}, r"task\.length: got 1; allowed: a whole number from 2"),
        ({"task.classes": 1}, r"task\.classes: got 1; allowed: a whole number from 2"),
        ({"task.source": "images"}, r"task\.source: got 'images'; allowed: one of prototypes, digits"),
        ({"model.answers": 4}, r"model\.answers: got 4; allowed: 5, as many as a row of this task has"),
        ({"model.causal": False}, r"model\.causal: got False; allowed: true: the right answers stand in the row, .*"),
        ({"batch_size": None}, r"batch_size: got"),
        ({"model": gd.MLP()}, r"model\.kind: got rows with 5 answers"),
    ],
)
def test_mistakes_are_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        gd.run(experiment().replace(**changes))


@digits_there
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 11}, r"task\.classes: got 11; allowed: at most 10, the number of digits"),
        ({"images": 1700}, r"task\.images: got 1700; allowed: at most 719: there are 720 images of 4 digits"),
    ],
)
def test_digits_that_are_not_there_are_told(changes, message):
    with pytest.raises(gd.SpecError, match=message):
        gd.run(experiment(task=DIGITS.replace(**changes)))
