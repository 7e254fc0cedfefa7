"""The tangent kernel by every method against its dense twin, the contraction of whole Jacobians in float64."""

import itertools
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.kernel import ntk as module
from grokdyn.kernel.ntk import costs, ntk
from grokdyn.kernel.readout import Readout
from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.function import Function
from grokdyn.probes.subset import input_shape

pytestmark = pytest.mark.usefixtures("x64")
TOKENS = gd.ModularArithmetic(p=4)
VECTORS = gd.TeacherStudent(dimension=3, points=7, teacher=gd.MLP(), teacher_outputs=4)
DEEP = gd.MLP(hidden=(5, 4), activation="tanh", bias=True, init="ntk", output_scale=0.7)
COMMITTEE = gd.Committee(width=3, epsilon=0.4, output_scale=2.0)
ENCODER = gd.Encoder(d_model=4, heads=2, ff=6)
TRANSFORMER = gd.Transformer(d_model=4, heads=2, d_mlp=5, norm="pre")
TIED = gd.Transformer(
    d_model=4, heads=1, d_mlp=3, norm="post", activation="gelu_tanh", attention_bias=True, tied=True, init="mup"
)
KINDS = {"full": Readout("full"), "trace": Readout("trace"), "difference": Readout("difference", 2, 1)}


def rows_of(task):
    if task is TOKENS:
        return jnp.asarray(task.table().inputs[::2])
    return jnp.asarray(np.random.default_rng(0).normal(size=(7, 3)))


def started(model, task, seed=0):
    return jax.jit(lambda key: model.start(key, task.signature(), "float64"))(jax.random.key(seed))


def twin(model, params, x):
    """Return the full kernel [n, n, outputs, outputs] from the Jacobian of all logits in all parameters."""
    J = jax.jit(jax.jacrev(lambda params: model.forward(params, x).logits))(params)
    J = np.concatenate([np.reshape(leaf, (*leaf.shape[:2], -1)) for leaf in jax.tree.leaves(J)], axis=-1)
    return np.einsum("iap,jbp->ijab", J, J)


def kept(full, kind):
    if kind == "trace":
        return np.einsum("ijaa->ij", full) / full.shape[-1]
    return full if kind == "full" else full[..., 2, 2] - full[..., 2, 1] - full[..., 1, 2] + full[..., 1, 1]


@pytest.mark.parametrize("model", [DEEP, COMMITTEE], ids=["mlp", "committee"])
def test_images_are_vectors_to_a_layer(model):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2, 3, 2)))
    params = model.start(jax.random.key(0), gd.Signature(gd.Images(2, 3, 2), gd.Classes(3), rows=6), "float64")
    found = jax.jit(lambda params: ntk(model, params, x, readout=KINDS["full"], method="layers"))(params)
    np.testing.assert_allclose(found, twin(model, params, x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("activation", "bias"),
    [*((activation, False) for activation in ACTIVATIONS), *((activation, True) for activation in ("relu", "tanh"))],
)
def test_gram_matrices_of_layers_are_the_kernel_of_an_mlp(activation, bias):
    init = {"relu": "torch", "square": "gromov", "tanh": "mup"}.get(activation, "ntk")
    model = gd.MLP(hidden=(5, 4), activation=activation, bias=bias, init=init, output_scale=1.5)
    task = VECTORS if bias else TOKENS
    params, x = started(model, task), rows_of(task)
    both = jax.jit(lambda params: (ntk(model, params, x, readout=KINDS["full"], method="layers"), module_twin(params)))

    def module_twin(params):
        J = jax.jacrev(lambda params: model.forward(params, x).logits)(params)
        return sum(jnp.einsum("iap,jbp->ijab", *[leaf.reshape(*leaf.shape[:2], -1)] * 2) for leaf in jax.tree.leaves(J))

    found, expected = both(params)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


@cache
def dense(model, task):
    """Return parameters, rows and the kernel of a model, which several methods are compared with."""
    params, x = started(model, task), rows_of(task)
    return params, x, twin(model, params, x)


SERVED = [
    *itertools.product([(DEEP, TOKENS), (COMMITTEE, VECTORS)], ["jacobian", "products", "layers"]),
    ((ENCODER, TOKENS), "jacobian"),
    ((TRANSFORMER, TOKENS), "products"),
    ((TIED, TOKENS), "auto"),
]
# What is kept of a kernel is taken from it in the same way whatever the network; networks with attention compile long.
KEPT = {gd.Encoder: ("full",), gd.Transformer: ("full",)}


@pytest.mark.parametrize(("pair", "method"), SERVED, ids=lambda x: x if isinstance(x, str) else type(x[0]).__name__)
def test_every_method_gives_every_part_of_the_kernel(pair, method):
    model, task = pair
    params, x, full = dense(model, task)
    y = x[2:5]

    @jax.jit
    def found(params):
        names = KEPT.get(type(model), KINDS)
        square = {name: ntk(model, params, x, readout=KINDS[name], method=method) for name in names}
        return square, ntk(model, params, x, y, Readout("trace"), method)

    square, cut = found(params)
    for name, K in square.items():
        np.testing.assert_allclose(K, kept(full, name), rtol=0, atol=1e-12 * np.abs(full).max(), err_msg=name)
    np.testing.assert_allclose(cut, kept(full, "trace")[:, 2:5], rtol=0, atol=1e-12 * np.abs(full).max())


def test_the_cheapest_method_is_chosen_and_memory_bounds_it(monkeypatch):
    model = gd.MLP(hidden=(200, 200))
    params = jax.eval_shape(lambda: model.start(jax.random.key(0), gd.ModularArithmetic(p=113).signature(), "float32"))
    shape = input_shape(gd.ModularArithmetic(p=113).signature(), 64)
    known = costs(Function(model), params, shape, None, 113, Readout())
    assert module.cheapest(known) == "layers"
    # Below the 9.6e8 multiplications of one training step on 5107 rows: at most 2 % if measured every 50 steps.
    assert known["layers"].work < 9e8 < 10 * min(known[name].work for name in ("products", "jacobian"))
    few = {name: cost for name, cost in known.items() if name != "layers"}
    monkeypatch.setattr(module, "MOST_BYTES", (few["products"].memory + few["jacobian"].memory) / 2)
    assert module.cheapest(few) == min(few, key=lambda name: few[name].memory)
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="bytes; at most"):
        module.cheapest(known)


def test_a_method_that_does_not_serve_a_model_is_told():
    params = started(ENCODER, TOKENS)
    with pytest.raises(ValueError, match="'layers'; allowed: auto, jacobian, products"):
        ntk(ENCODER, params, rows_of(TOKENS), method="layers")


@pytest.mark.parametrize(
    ("readout", "told"),
    [
        (Readout("nope"), "readout.kind: got 'nope'; allowed: one of trace, full, difference"),
        (Readout("difference", 0, 77), "readout.second: got 77; allowed: an output from 0 to 3"),
        (Readout("difference", -1, 0), "readout.first: got -1"),
        ("full", "readout: got 'full'; allowed: a Readout"),
    ],
)
def test_a_readout_of_what_is_not_there_is_refused(readout, told):
    params = started(DEEP, TOKENS)
    with pytest.raises(ValueError, match=told):
        ntk(DEEP, params, np.asarray(rows_of(TOKENS)), readout=readout)
