"""What moves grokking: low-pass filters, held norms, decay to the start, Muon, SAM; each against its loop in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import grokdyn as gd
from grokdyn.spec import base
from tests import cases
from tests.contract import arrays
from tests.train.lanes import taken_apart

pytestmark = pytest.mark.usefixtures("x64")
RATE, STEPS = 0.1, 12
SHAPES = {"M": (2, 4), "tall": (5, 3), "v": (4,), "stack": (2, 3, 3)}


def tree(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return {name: scale * rng.normal(size=shape) for name, shape in SHAPES.items()}


GRADIENTS = [tree(t + 1, 10.0 ** (-t / 4)) for t in range(STEPS)]


def followed(optimizer, dtype="float64"):
    """Return the parameters after every step."""

    @jax.jit
    def path(params, gradients):
        transform = arrays(optimizer).transform()

        def step(carry, g):
            params, state = carry
            updates, state = transform.update(g, state, params)
            params = jax.tree.map(jnp.add, params, updates)
            return (params, state), params

        return jax.lax.scan(step, (params, transform.init(params)), gradients)[1]

    stacked = {name: np.stack([g[name] for g in GRADIENTS]).astype(dtype) for name in SHAPES}
    found = jax.device_get(path({name: w.astype(dtype) for name, w in tree(0).items()}, stacked))
    return [{name: w[t] for name, w in found.items()} for t in range(STEPS)]


def descended(directions):
    """Return the path of plain descent along given directions."""
    w, path = tree(0), []
    for d in directions:
        w = {name: w[name] - RATE * d[name] for name in w}
        path.append(w)
    return path


def assert_follows(found, exact, rtol=1e-12):
    for one, other in zip(found, exact, strict=True):
        for name in SHAPES:
            np.testing.assert_allclose(one[name], other[name], rtol=rtol, atol=rtol)


SGD = gd.SGD(learning_rate=RATE)


@pytest.mark.parametrize(("alpha", "lamb"), [(0.98, 2.0), (0.5, 5.0), (0.0, 1.0)])
def test_grokfast_ema_is_the_released_loop(alpha, lamb):
    def filtered():
        means = None
        for g in GRADIENTS:
            means = g if means is None else {n: means[n] * alpha + g[n] * (1 - alpha) for n in g}
            yield {n: g[n] + lamb * means[n] for n in g}

    assert_follows(followed(gd.GrokfastEMA(inner=SGD, alpha=alpha, lamb=lamb)), descended(filtered()))


@pytest.mark.parametrize("window", [1, 3, 5, STEPS + 1])
def test_grokfast_ma_is_the_released_loop(window):
    """The mean is added only once the window is full; with one longer than the run it never is."""

    def filtered():
        last = []
        for g in GRADIENTS:
            last = [*last, g][-window:]
            full = len(last) == window
            yield {n: g[n] + (2.5 * sum(old[n] for old in last) / window if full else 0) for n in g}

    assert_follows(followed(gd.GrokfastMA(inner=SGD, window=window, lamb=2.5)), descended(filtered()))


def test_the_short_name_is_the_exponential_filter():
    assert gd.Grokfast is gd.GrokfastEMA
    found = base.check(cases.tiny(optimizer={"kind": "grokfast", "inner": "sgd", "lamb": 5}))
    assert found.optimizer == gd.GrokfastEMA(inner=gd.SGD(), lamb=5.0)


def test_an_l2_term_inside_is_not_amplified():
    inner = gd.SGD(learning_rate=RATE, weight_decay=0.3)
    found = followed(gd.GrokfastEMA(inner=inner, alpha=0.9, lamb=2.0))[0]
    w, g = tree(0), GRADIENTS[0]
    for name in SHAPES:
        np.testing.assert_allclose(found[name], w[name] - RATE * (3 * g[name] + 0.3 * w[name]), rtol=1e-12)


def joined(tensors):
    return np.concatenate([np.ravel(tensors[name]) for name in SHAPES])


@pytest.mark.parametrize("norm", [None, 2.0])
def test_a_held_norm_is_that_of_rescaling_after_each_step(norm):
    target = norm or np.linalg.norm(joined(tree(0)))
    w, path = tree(0), []
    for g in GRADIENTS:
        w = {name: w[name] - RATE * g[name] for name in w}
        factor = target / np.linalg.norm(joined(w))
        w = {name: factor * w[name] for name in w}
        path.append(w)
    assert_follows(followed(gd.NormConstraint(inner=SGD, norm=norm)), path)


@pytest.mark.parametrize("norm", [None, 2.0])
@pytest.mark.parametrize("at", [0, 5])
def test_a_norm_can_be_held_from_a_step_on_with_the_memory_that_the_optimizer_has(norm, at):
    inner = gd.SGD(learning_rate=RATE, momentum=0.9)
    free = followed(inner)
    w, buffer, path = tree(0), dict.fromkeys(SHAPES, 0.0), []
    for t, g in enumerate(GRADIENTS):
        if t == at:
            target = 1.5 * (norm or np.linalg.norm(joined(w)))
        buffer = {name: 0.9 * buffer[name] + g[name] for name in w}
        w = {name: w[name] - RATE * buffer[name] for name in w}
        if t >= at:
            times = target / np.linalg.norm(joined(w))
            w = {name: times * w[name] for name in w}
        path.append(w)
    found = followed(gd.NormConstraint(inner=inner, norm=norm, factor=1.5, at=at))
    assert_follows(found, path)
    for one, other in zip(found[:at], free, strict=False):
        for name in SHAPES:
            np.testing.assert_array_equal(one[name], other[name])


def test_the_norm_of_every_tensor_can_be_held():
    found = followed(gd.NormConstraint(inner=gd.AdamW(learning_rate=0.1), scope="tensor"), "float32")
    for params in found:
        for name, first in tree(0).items():
            np.testing.assert_allclose(np.linalg.norm(params[name]), np.linalg.norm(first), rtol=1e-6)


def test_a_network_of_zeros_has_no_norm_to_hold():
    transform = gd.norm_constraint(norm=2.0)
    moved = jax.jit(lambda g, w: transform.update(g, transform.init(w), w)[0])
    zero = {"w": np.zeros(3)}
    assert not moved(zero, zero)["w"].any()
    one = {"w": np.asarray([1.0, 0.0, 0.0])}
    np.testing.assert_allclose(moved(one, zero)["w"], [2, 0, 0])


def test_decay_to_the_start_pulls_back_to_the_first_parameters():
    """With no gradient it does nothing; with one, the distance to the start decays as the weight does to zero."""
    optimizer = gd.AdamW(learning_rate=0.05, b1=0.0, b2=0.0, eps=1e-3, weight_decay=2.0, decay_to="init")
    w, first, path = tree(0), tree(0), []
    for g in GRADIENTS:
        steps = {n: g[n] / (np.abs(g[n]) + 1e-3) + 2.0 * (w[n] - first[n]) for n in g}
        w = {n: w[n] - 0.05 * steps[n] for n in w}
        path.append(w)
    assert_follows(followed(optimizer), path)
    coupled = gd.SGD(learning_rate=RATE, weight_decay=0.5, decay_to="init")
    w = tree(0)
    for g in GRADIENTS:
        w = {n: w[n] - RATE * (g[n] + 0.5 * (w[n] - first[n])) for n in w}
    assert_follows(followed(coupled)[-1:], [w])


def newton_schulz(G, iterations):
    """The published iteration, rows no more than columns."""
    if G.shape[0] > G.shape[1]:
        return newton_schulz(G.T, iterations).T
    X = G / np.linalg.norm(G)
    for _ in range(iterations):
        S = X @ X.T
        X = 3.4445 * X + (-4.7750 * S + 2.0315 * S @ S) @ X
    return X


@pytest.mark.parametrize(("nesterov", "clip"), [(True, None), (False, None), (True, 1.0)])
def test_muon_is_its_published_loop(nesterov, clip):
    """A bound on the norm is on that of all tensors, those of the other optimizer included."""
    optimizer = gd.Muon(
        learning_rate=0.02, momentum=0.8, nesterov=nesterov, weight_decay=0.5, rest=SGD, leave=("tall",), clip_norm=clip
    )
    w, buffer, path = tree(0), dict.fromkeys(SHAPES, 0.0), []
    for g in GRADIENTS:
        norm = np.sqrt(sum(np.sum(x**2) for x in g.values()))
        g = g if clip is None or norm <= clip else {name: x * clip / norm for name, x in g.items()}
        new = {}
        for name, value in w.items():
            buffer[name] = 0.8 * buffer[name] + g[name]
            along = g[name] + 0.8 * buffer[name] if nesterov else buffer[name]
            if name in ("v", "tall"):
                new[name] = value - RATE * g[name]
                continue
            matrices = along if along.ndim == 3 else along[None]
            step = np.stack([newton_schulz(m, 5) * np.sqrt(max(1, m.shape[1] / m.shape[0])) for m in matrices])
            new[name] = value - 0.02 * (step.reshape(along.shape) + 0.5 * value)
        w = new
        path.append(w)
    assert_follows(followed(optimizer), path, rtol=1e-10)


def test_muon_steps_are_nearly_orthogonal_at_any_size_of_the_gradient():
    transform = gd.Muon(learning_rate=1.0, scale="original").transform()
    first = jax.jit(lambda g: transform.update(g, transform.init(g), g)[0])
    for size in (1e-30, 1.0, 1e25):
        g = {"M": (size * np.random.default_rng(0).normal(size=(6, 6))).astype("float32")}
        values = np.linalg.svd(first(g)["M"], compute_uv=False)
        assert np.all((values > 0.6) & (values < 1.3))
    assert not first({"M": np.zeros((3, 2), "float32")})["M"].any()


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_climbs_as_far_as_it_says(adaptive):
    sam = gd.SAM(inner=SGD, rho=0.3, adaptive=adaptive)
    w, g = tree(0), tree(1, 1e-20)
    uphill = jax.jit(arrays(sam).uphill)
    found = uphill(w, g)
    sizes = {n: np.abs(w[n]) if adaptive else np.ones_like(w[n]) for n in w}
    norm = np.linalg.norm(joined({n: sizes[n] * g[n] for n in w}))
    for name in SHAPES:
        np.testing.assert_allclose(found[name], w[name] + 0.3 * sizes[name] ** 2 * g[name] / norm, rtol=1e-12)
    zero = jax.tree.map(np.zeros_like, g)
    still = uphill(w, zero)
    assert all(np.array_equal(still[name], w[name]) for name in SHAPES)


def test_a_run_with_sam_follows_the_gradient_uphill():
    """One full-batch step, against the gradient taken by hand at w + e; a wrapper outside does not hide it."""
    wide = {"dtype": "float64", "loss": gd.CrossEntropy(precision="float64")}
    rho, experiment = 0.7, cases.tiny(**wide, steps=1, optimizer=gd.SGD(learning_rate=RATE))
    run = taken_apart(experiment)

    @jax.jit
    @jax.grad
    def gradient(params):
        logits = experiment.model.forward(params, run.rows.inputs).logits
        return jnp.sum(jnp.where(run.rows.counts, experiment.loss.rows(logits, run.rows.labels), 0)) / 24

    def size(tensors):
        return np.sqrt(sum(np.sum(np.square(x)) for x in tensors.values()))

    w = jax.device_get(run.state.params)
    g = gradient(w)
    uphill = gradient({n: w[n] + rho * g[n] / size(g) for n in w})
    assert abs(size(uphill) / size(g) - 1) > 1e-3
    optimizer = gd.GrokfastEMA(inner=gd.SAM(inner=experiment.optimizer, rho=rho), lamb=1.0)
    found = gd.run(
        experiment.replace(
            optimizer=optimizer, record=gd.At((0, 1)), probes=(gd.Loss(), gd.UpdateNorm(), gd.DistanceFromInit())
        )
    )
    np.testing.assert_allclose(found.update_norm[0], 2 * RATE * size(uphill), rtol=1e-10)
    np.testing.assert_allclose(found.distance_from_init[1], 2 * RATE * size(uphill), rtol=1e-10)


@pytest.mark.parametrize(
    ("optimizer", "path"),
    [
        (gd.Muon(rest=gd.SAM(inner=SGD)), "optimizer.rest"),
        (gd.Muon(leave=("W_0", "W_0")), "optimizer.leave"),
        (gd.GrokfastMA(inner=SGD, window=0), "optimizer.window"),
        (gd.NormConstraint(inner=SGD, norm=0.0), "optimizer.norm"),
    ],
)
def test_what_makes_no_sense_is_told(optimizer, path):
    with pytest.raises(gd.SpecError) as caught:
        gd.Sweep(cases.tiny(optimizer=optimizer), {})
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("wrapped", "path"),
    [
        (lambda muon: muon, "optimizer.leave"),
        (lambda muon: gd.GrokfastEMA(inner=gd.NormConstraint(inner=muon)), "optimizer.inner.inner.leave"),
        (lambda muon: gd.SwitchOptimizer(first=SGD, then=muon, at=2), "optimizer.then.leave"),
    ],
)
def test_a_matrix_left_out_has_to_be_there(wrapped, path):
    with pytest.raises(gd.SpecError, match="got 'W_U'; allowed: tensors of this model: W_0, W_1") as caught:
        gd.run(cases.tiny(optimizer=wrapped(gd.Muon(leave=("W_0", "W_U")))))
    assert caught.value.path == path


def test_the_parts_chain_with_optax():
    w, g = tree(0), GRADIENTS[0]
    chain = optax.chain(gd.grokfast_ema(0.9, 1.0), gd.grokfast_ma(1, 1.0), optax.sgd(RATE), gd.norm_constraint())
    moved = optax.apply_updates(w, jax.jit(chain.update)(g, chain.init(w), w)[0])
    plain = {n: w[n] - RATE * 4 * g[n] for n in w}
    factor = np.linalg.norm(joined(w)) / np.linalg.norm(joined(plain))
    for name in SHAPES:
        np.testing.assert_allclose(moved[name], factor * plain[name], rtol=1e-12)
    for transform in (gd.norm_constraint(),):
        with pytest.raises(ValueError, match="needs the parameters"):
            transform.update(g, transform.init(w))
    with pytest.raises(ValueError, match="scope: got 'layer'"):
        gd.norm_constraint(scope="layer")
