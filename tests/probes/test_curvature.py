"""Probes of the Hessian and of single rows' gradients against dense twins in float64."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import grokdyn as gd
from grokdyn.engine.plan import structure
from grokdyn.kernel import gradients
from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.function import Function
from grokdyn.probes.curvature import product
from grokdyn.tasks.base import Signature
from grokdyn.train.step import record
from tests.train.lanes import recorded, taken_apart

pytestmark = pytest.mark.usefixtures("x64")
EXPERIMENT = gd.Experiment(
    task=gd.ModularArithmetic(p=3, train_fraction=0.7),
    model=gd.MLP(hidden=(3,), activation="tanh", bias=True),
    loss=gd.CrossEntropy(precision="float64"),
    optimizer=gd.SGD(learning_rate=0.3, momentum=0.5),
    steps=2,
    dtype="float64",
    probes=(
        gd.Sharpness(iterations=1000),
        gd.EdgeOfStability(iterations=1000),
        gd.HessianTrace(samples=300),
        gd.GradientCoherence(rows=6, part="train", per_tensor=True),
        gd.GradientCovariance(rows=6, part="train"),
        gd.GradientSubspace(rows=6, part="train", share=0.8),
        gd.GradientBlocks(rows=9),
        gd.ExampleScores(rows=6, part="train"),
    ),
)
TRANSFORMER = EXPERIMENT.replace(model=gd.Transformer(d_model=2, heads=1, d_mlp=2, norm="pre"))
FUNCTIONS = {
    "without bias": {a: gd.MLP(hidden=(3,), activation=a, init="ntk", output_scale=1.5) for a in ACTIVATIONS},
    "with bias": {a: gd.MLP(hidden=(3,), activation=a, bias=True) for a in ("relu", "square")},
    "tokens": {
        "encoder": gd.Encoder(d_model=2, heads=1, ff=2),
        "committee": gd.Committee(width=2, epsilon=0.6, output_scale=2.0),
    },
}


def seen(experiment, params=None):
    run = taken_apart(experiment)
    state = run.state if params is None else run.state.replace(params=params)
    lane = run.lane.replace(initial_params=run.state.params)
    return run, jax.device_get(jax.jit(lambda s: record(run.program, lane, run.rows, s, run.table))(state))


def losses_of(run, experiment, places):
    x, y = jnp.asarray(run.table.inputs)[places], jnp.asarray(run.lane.split.labels)[places]
    flat, unravel = ravel_pytree(run.state.params)

    def losses(w):
        return experiment.loss.rows(experiment.model.forward(unravel(w), x).logits, y)

    return losses, flat


@pytest.fixture(scope="module", params=[EXPERIMENT, TRANSFORMER], ids=["mlp", "transformer"])
def both(request):
    with jax.enable_x64(True):
        return request.param, *recorded(request.param)


@pytest.mark.parametrize("which", FUNCTIONS)
def test_products_and_gradients_of_every_model_are_the_dense_ones(which):
    inputs, signature = np.random.default_rng(0).normal(size=(5, 2)), Signature(0, 2, 3, 5)
    if which == "tokens":
        inputs, signature = np.asarray([[0, 1], [2, 2], [1, 0], [1, 2], [0, 0]], np.int32), Signature(3, 2, 3, 5)
    y, loss = jnp.asarray([0, 2, 1, 1, 0]), EXPERIMENT.loss

    def found(model, key, x):
        params = model.start(key, signature, "float64")
        flat, unravel = ravel_pytree(params)

        def losses(params):
            return loss.rows(model.forward(params, x).logits, y)

        def mean(params):
            return jnp.mean(losses(params))

        times, _ = product(SimpleNamespace(params=params, gradient_at=jax.grad(mean)))
        slopes = jax.grad(lambda z: jnp.sum(loss.rows(z, y)))(model.forward(params, x).logits)
        g = jax.jacrev(lambda w: losses(unravel(w)))(flat)
        dense = jax.hessian(lambda w: mean(unravel(w)))(flat)
        gram = gradients.gradient_gram(Function(model), params, x, slopes)
        return (jax.vmap(times)(jnp.eye(flat.size)), dense), (gram, g @ g.T)

    models = FUNCTIONS[which]
    every = jax.jit(lambda *given: {kind: found(model, *given) for kind, model in models.items()})
    for name, pairs in every(jax.random.key(1), inputs).items():
        for estimate, twin in pairs:
            assert np.any(twin)
            np.testing.assert_allclose(estimate, twin, rtol=0, atol=1e-9 * np.abs(twin).max(), err_msg=name)


def test_the_hessian_is_the_dense_one(both):
    experiment, run, found = both
    losses, flat = losses_of(run, experiment, np.asarray(run.lane.split.order)[:6])
    H = np.asarray(jax.jit(jax.hessian(lambda w: jnp.mean(losses(w))))(flat))
    values = np.linalg.eigvalsh(H)
    np.testing.assert_allclose(found["sharpness"], values[-1], rtol=1e-8)
    np.testing.assert_allclose(found["hessian_lowest"], values[0], rtol=1e-8, atol=1e-10)
    assert abs(found["hessian_trace"] - np.trace(H)) < 4 * found["hessian_trace_error"]
    np.testing.assert_allclose(found["stability_ratio"], values[-1] * 0.3 / 3, rtol=1e-8)


def test_gradients_of_rows_are_the_dense_ones(both):
    experiment, run, found = both
    places = np.asarray(run.lane.split.order)[:6]
    losses, flat = losses_of(run, experiment, places)
    g = np.asarray(jax.jit(jax.jacrev(losses))(flat))
    np.testing.assert_allclose(found["grand"], np.linalg.norm(g, axis=1), rtol=1e-9)
    mean = g.mean(0)
    np.testing.assert_allclose(found["m_coherence"], 6 * mean @ mean / np.mean(np.sum(g**2, axis=1)), rtol=1e-9)
    values = np.linalg.eigvalsh(g.T @ g)[::-1]
    np.testing.assert_allclose(found["gradient_participation"], values.sum() ** 2 / (values @ values), rtol=1e-9)
    fewest = next(k for k in range(1, 7) if values[:k].sum() >= 0.8 * values.sum())
    assert found["gradient_dimension"] == fewest
    ends = np.cumsum([leaf.size for leaf in jax.tree.leaves(run.state.params)])[:-1]
    by_tensor = [6 * np.sum(t.mean(0) ** 2) / np.mean(np.sum(t**2, axis=1)) for t in np.split(g, ends, axis=1)]
    np.testing.assert_allclose(found["m_coherence_per_tensor"], by_tensor, rtol=1e-9)
    spread = np.sum((g - mean) ** 2) / 5
    np.testing.assert_allclose(found["gradient_covariance"], spread, rtol=1e-9)
    np.testing.assert_allclose(found["squared_gradient"], mean @ mean - spread / 6, rtol=1e-8)
    np.testing.assert_allclose(found["noise_scale"], spread / (mean @ mean - spread / 6), rtol=1e-8)
    unit = g / np.linalg.norm(g, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.testing.assert_allclose(found["gradient_cosine"], np.mean(cosines[~np.eye(6, dtype=bool)]), rtol=1e-8)


def test_classes_see_each_others_gradients(both):
    experiment, run, found = both
    losses, flat = losses_of(run, experiment, np.arange(9))
    g, labels = np.asarray(jax.jit(jax.jacrev(losses))(flat)), np.asarray(run.lane.split.labels)
    unit = g / np.linalg.norm(g, axis=1, keepdims=True)
    for a in range(3):
        for b in range(3):
            pairs = [
                unit[i] @ unit[j] for i in range(9) for j in range(9) if i != j and (labels[i], labels[j]) == (a, b)
            ]
            np.testing.assert_allclose(found["gradient_cosine_by_class"][a, b], np.mean(pairs), rtol=1e-8)


def test_errors_of_rows_are_the_textbooks(both):
    experiment, run, found = both
    places = np.asarray(run.lane.split.order)[:6]
    z = np.asarray(jax.jit(experiment.model.forward)(run.state.params, np.asarray(run.table.inputs)[places]).logits)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    labels = np.asarray(run.lane.split.labels)[places]
    np.testing.assert_allclose(found["el2n"], np.linalg.norm(p - np.eye(3)[labels], axis=1), rtol=1e-10)
    np.testing.assert_array_equal(found["row_correct"], z.argmax(1) == labels)


def test_tiles_of_rows_change_no_more_than_rounding(monkeypatch):
    experiment = EXPERIMENT.replace(
        task=gd.ModularArithmetic(p=7, train_fraction=0.7), probes=(gd.Sharpness(iterations=5),)
    )
    whole = seen(experiment)[1]
    monkeypatch.setattr(structure, "CPU_TILE", 8)
    monkeypatch.setattr(structure, "VECTOR", 8)
    run, tiled = seen(experiment)
    assert (run.program.rows, run.program.tile) == (40, 8)
    np.testing.assert_allclose(tiled["sharpness"], whole["sharpness"], rtol=1e-10)


BOUNDS = [
    gd.SGD(learning_rate=0.2),
    gd.SGD(learning_rate=0.2, momentum=0.9),
    gd.SGD(learning_rate=0.2, momentum=0.9, nesterov=True),
    gd.SGD(learning_rate=0.2, momentum=0.5, weight_decay=0.7, schedule=gd.StepDecay(every=2.0, factor_per_drop=0.5)),
    gd.Adam(learning_rate=0.2, b1=0.8),
]


@pytest.mark.parametrize("optimizer", BOUNDS, ids=lambda o: f"{type(o).__name__}{getattr(o, 'momentum', '')}")
def test_quadratics_are_left_just_above_the_bound(optimizer):
    """The recurrence of one mode has a spectral radius of 1 at the bound."""
    step = 3
    bound = float(optimizer.largest_curvature(jnp.int32(step)))
    rate = 0.2 * float(optimizer.schedule.factor(jnp.int32(step)))

    def radius(curvature):
        if isinstance(optimizer, gd.Adam):  # m <- b m + (1 - b) c w, w <- w - rate m, its preconditioner held at 1
            b, c = 0.8, curvature
            return np.abs(np.linalg.eigvals([[1 - rate * (1 - b) * c, -rate * b], [(1 - b) * c, b]])).max()
        m, c = optimizer.momentum, curvature + optimizer.weight_decay
        along = np.array([c, m]) if not optimizer.nesterov else np.array([c + m * c, m * m])
        return np.abs(np.linalg.eigvals([np.array([1, 0]) - rate * along, [c, m]])).max()

    assert radius(0.999 * bound) < 1 < radius(1.001 * bound)


LONG = 2000
FOLLOWED = {
    "sgd": gd.SGD(learning_rate=0.1, momentum=0.6, weight_decay=3.0),
    "nesterov": gd.SGD(learning_rate=0.1, momentum=0.6, nesterov=True, weight_decay=3.0, decay_to="init"),
    "adam": gd.Adam(learning_rate=0.1, b1=0.7, b2=1 - 1e-12, eps=0.01, weight_decay=15.0),
    "adamw": gd.AdamW(learning_rate=0.1, b1=0.7, b2=1 - 1e-12, weight_decay=6.0, schedule=gd.Warmup(steps=0.0)),
}


def edge(optimizer, H, state, step=LONG):
    """Return what the probe records of the quadratic w H w / 2."""
    view = SimpleNamespace(
        params={"w": jnp.ones(3)}, key=jax.random.key(0), step=jnp.int32(step), once=lambda _, f: f()
    )
    view.gradient_at = lambda params: {"w": H @ params["w"]}
    view.experiment = SimpleNamespace(optimizer=optimizer)

    def measured(state):
        view.optimizer_state = state
        return gd.EdgeOfStability(iterations=3).measure(view)

    return jax.jit(measured)(state)


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_quadratic_is_left_just_above_the_edge_and_followed_just_below(name):
    """Brute force: many updates of the very optimizer, Adam's second moment held by a b2 next to 1."""
    optimizer = FOLLOWED[name]
    Q = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    shape = (Q * [1.0, 0.4, 0.1]) @ Q.T
    transform = optimizer.transform()

    def held(params):
        def one(part):
            root = jnp.asarray([0.5, 2.0, 1.0]) * 0.03
            return part._replace(count=jnp.int32(10**9), root={"w": root}) if hasattr(part, "root") else part

        return tuple(one(part) for part in transform.init(params))

    @jax.jit
    def ratio(s):
        return edge(optimizer, s * shape, held({"w": jnp.zeros(3)}))["stability_ratio"]

    @jax.jit
    def grown(s):
        def update(carry, _):
            params, state = carry
            found, state = transform.update({"w": s * shape @ params["w"]}, state, params)
            params = jax.tree.map(jnp.add, params, found)
            return (params, state), jnp.linalg.norm(params["w"])

        small = 1e-9 * jnp.ones(3)  # so that no gradient adds to the second moment
        return jax.lax.scan(update, ({"w": small}, held({"w": jnp.zeros(3)})), None, LONG)[1] / 1e-9

    low, high = 0.0, 1e5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if ratio(middle) < 1 else (low, middle)
    assert grown(0.97 * high)[-1] < 1
    assert grown(1.03 * high).max() > 1e3


def test_a_decay_beyond_what_the_optimizer_follows_is_above_any_bound():
    for optimizer in (gd.SGD(learning_rate=0.1, weight_decay=21.0), gd.AdamW(learning_rate=0.1, weight_decay=20.5)):
        state = optimizer.transform().init({"w": jnp.ones(3)})
        found = edge(optimizer, jnp.eye(3), state, step=0)
        assert found["stability_ratio"] == np.inf


def test_weights_without_a_gradient_do_not_hide_the_edge_of_adam_without_eps():
    """They never move, so their rows of the Hessian do not count."""
    optimizer = gd.Adam(learning_rate=0.1, eps=0.0)
    transform, H = optimizer.transform(), np.diag([4.0, 1.0, 9.0])
    state = transform.init({"w": jnp.ones(3)})
    assert np.isnan(edge(optimizer, jnp.asarray(H), state)["preconditioned_sharpness"]), "before the first update"
    _, state = transform.update({"w": jnp.asarray([2.0, 1.0, 0.0])}, state, {"w": jnp.ones(3)})
    np.testing.assert_allclose(edge(optimizer, jnp.asarray(H), state)["preconditioned_sharpness"], 2.0, rtol=1e-9)


def test_adams_preconditioner_is_that_of_its_state():
    optimizer = gd.AdamW(learning_rate=0.1, b2=0.9, eps=1e-3, clip_norm=100.0)
    transform = optimizer.transform()
    w, gradients_ = jnp.ones(3), np.random.default_rng(0).normal(size=(4, 3))
    state = transform.init({"w": w})
    v = np.zeros(3)
    for g in gradients_:
        _, state = transform.update({"w": jnp.asarray(g)}, state, {"w": w})
        v = 0.9 * v + 0.1 * g**2
    expected = np.sqrt(v / (1 - 0.9**4)) + 1e-3
    np.testing.assert_allclose(optimizer.preconditioner(state)["w"], expected, rtol=1e-10)


@pytest.mark.slow
def test_the_edge_of_an_adaptive_optimizer_is_that_of_the_scaled_hessian():
    experiment = EXPERIMENT.replace(optimizer=gd.AdamW(learning_rate=0.01), probes=EXPERIMENT.probes[1:2])
    run = taken_apart(experiment)
    transform = experiment.optimizer.transform()
    losses, flat = losses_of(run, experiment, np.asarray(run.lane.split.order)[:6])
    unravel = ravel_pytree(run.state.params)[1]
    gradient = unravel(jax.grad(lambda w: jnp.mean(losses(w)))(flat))
    _, state = transform.update(gradient, run.state.optimizer, run.state.params)
    found = jax.jit(lambda s: record(run.program, run.lane, run.rows, s, run.table))(run.state.replace(optimizer=state))
    scale = 1 / np.sqrt(np.abs(ravel_pytree(gradient)[0]) + 1e-8)
    H = np.asarray(jax.hessian(lambda w: jnp.mean(losses(w)))(flat))
    top = np.linalg.eigvalsh(scale[:, None] * H * scale)[-1]
    np.testing.assert_allclose(found["preconditioned_sharpness"], top, rtol=1e-8)
    np.testing.assert_allclose(found["stability_ratio"], top * 0.01 / 38, rtol=1e-8)


def test_an_optimizer_without_a_bound_is_told():
    with pytest.raises(gd.SpecError, match="no bound is known for lion"):
        gd.run(EXPERIMENT.replace(optimizer=gd.Lion()))


def test_coherence_has_the_values_that_need_no_computing():
    """Equal gradients help all rows, orthogonal ones themselves, opposite ones nobody."""
    np.testing.assert_allclose(gradients.coherence(jnp.ones((5, 5))), 5)
    np.testing.assert_allclose(gradients.coherence(jnp.eye(5)), 1)
    np.testing.assert_allclose(gradients.coherence(jnp.asarray([[1.0, -1.0], [-1.0, 1.0]])), 0)
    zero = gradients.cosines(jnp.zeros((2, 2)))
    assert not np.any(zero)


def test_the_noise_scale_is_unbiased_in_its_parts():
    """Rows G + noise: the mean of trace and squared gradient over draws is the truth, to 5 standard errors."""
    rng = np.random.default_rng(0)
    G, m, sigma = np.array([0.5, -0.2, 0.1]), 4, 0.7
    g = G + sigma * rng.normal(size=(20_000, m, 3))
    gram = g @ g.transpose(0, 2, 1)
    q, s = np.trace(gram, axis1=1, axis2=2) / m, gram.sum((1, 2)) / m**2
    for values, truth in ((m * (q - s) / (m - 1), 3 * sigma**2), ((m * s - q) / (m - 1), G @ G)):
        assert abs(values.mean() - truth) < 5 * values.std() / np.sqrt(20_000)
    trace, squared = gradients.unbiased(jnp.asarray(gram[0]))
    np.testing.assert_allclose(trace, m * (q - s)[0] / (m - 1), rtol=1e-12)
    np.testing.assert_allclose(squared, (m * s - q)[0] / (m - 1), rtol=1e-10)
    one = gradients.noise_scale(jnp.asarray(gram[0]))
    np.testing.assert_allclose(one, m * (q - s)[0] / (m * s - q)[0], rtol=1e-12)
