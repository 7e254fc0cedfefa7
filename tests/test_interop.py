"""Weights from outside: the same network, or one line that names the entry."""

from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import grokdyn as gd
from tests import cases

HIDDEN = (4, 4, 4)
MLP = gd.MLP(hidden=HIDDEN)
NAMES = ("layer_one", "layer_two", "layer_three", "output")
SHAPES = ((4, 14), (4, 4), (4, 4), (7, 4))


def state_dict(names=NAMES, **more):
    rng = np.random.default_rng(0)
    return {f"{n}.weight": rng.normal(size=s) for n, s in zip(names, SHAPES, strict=True)} | more


def read(given, model=MLP, **options):
    return gd.interop.from_torch(model, given, **options)


def refused(given, path, words, model=MLP):
    with pytest.raises(gd.SpecError) as caught:
        read(given, model)
    assert caught.value.path == path
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "names", [NAMES, ("z", "y", "x", "a"), ("fc1", "fc2", "fc3", "fc9"), ("net.0", "net.2", "net.4", "head")]
)
def test_layers_are_taken_in_the_order_of_the_state_dict(names):
    given = state_dict(names)
    assert all(np.array_equal(read(given)[f"W_{i}"], w.T) for i, w in enumerate(given.values()))


def test_a_list_of_layers_is_used_by_number_whatever_the_order_of_the_file():
    given = state_dict(("net.0", "net.2", "net.10", "net.12"))
    found, exact = read(dict(sorted(given.items()))), read(given)
    assert sorted(given) != list(given)
    assert all(np.array_equal(found[name], exact[name]) for name in exact)


WEIGHTS = state_dict()
WRONG = [
    ("order", state_dict(("fc2", "fc1", "fc3", "fc4")), "state_dict.fc1.weight", "an entry after fc2.weight"),
    ("chain", WEIGHTS | {"layer_two.weight": np.ones((4, 5))}, "state_dict.layer_two.weight", "shape (4, 4), layer 1"),
    ("turned", WEIGHTS | {"layer_one.weight": np.ones((14, 4))}, "state_dict.layer_one.weight", "transposed?"),
    ("complex", WEIGHTS | {"output.weight": np.ones((7, 4), complex)}, "state_dict.output.weight", "complex128"),
    ("whole", WEIGHTS | {"output.weight": np.ones((7, 4), np.int8)}, "state_dict.output.weight", "int8"),
    ("text", WEIGHTS | {"output.weight": "ones"}, "state_dict.output.weight", "text"),
    ("nothing", WEIGHTS | {"output.weight": None}, "state_dict.output.weight", "objects"),
    ("ragged", WEIGHTS | {"output.weight": [[1.0], [2.0, 3.0]]}, "state_dict.output.weight", "a list"),
    ("norm", WEIGHTS | {"bn.running_mean": np.ones(4)}, "state_dict.bn.running_mean", "weight and bias of linear"),
    ("table", {"model": WEIGHTS, "epoch": 3}, "state_dict.model", "pass what stands under 'model' alone"),
    ("list", [1, 2], "state_dict", "a state_dict, a torch.nn.Module"),
    ("number", {0: np.ones(3)}, "state_dict", "names of text"),
    ("no file", "nowhere.pt", "state_dict", "a file that is there"),
    ("too few", {"a.weight": np.ones((4, 14))}, "state_dict", "1 arrays named *.weight"),
]


@pytest.mark.parametrize(("given", "path", "words"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_what_is_no_state_dict_of_the_model_is_refused_by_name(given, path, words):
    refused(given, path, words)


CONVOLUTIONS = {
    "features.0.weight": np.arange(54.0).reshape(3, 2, 3, 3),
    "features.0.bias": np.arange(3.0),
    "features.1.weight": np.full(3, 2.0),
    "features.1.bias": np.full(3, 3.0),
    "features.1.running_mean": np.full(3, 4.0),
    "features.1.running_var": np.full(3, 5.0),
    "features.1.num_batches_tracked": np.array(7),
    "head.weight": np.arange(60.0).reshape(5, 12),
    "head.bias": np.arange(5.0),
}
CNN = gd.CNN(channels=(3,), norm="batch")


def test_kernels_norms_and_running_statistics_are_read():
    found = read(CONVOLUTIONS, CNN)
    np.testing.assert_array_equal(found["W_0"], np.moveaxis(CONVOLUTIONS["features.0.weight"], (2, 3, 1, 0), range(4)))
    np.testing.assert_array_equal(found["b_0"], np.arange(3))
    for value, name in enumerate(("scale_0", "shift_0", "mean_0", "variance_0"), 2):
        np.testing.assert_array_equal(found[name], np.full(3, value))
    # PyTorch's input c * 4 + place is ours place * 3 + c.
    theirs = CONVOLUTIONS["head.weight"].reshape(5, 3, 4)
    np.testing.assert_array_equal(found["W_1"].reshape(4, 3, 5), np.moveaxis(theirs, (2, 1, 0), range(3)))
    np.testing.assert_array_equal(found["b_1"], np.arange(5))


def test_what_is_no_convolutional_network_is_refused_by_name():
    without = {name: w for name, w in CONVOLUTIONS.items() if not name.startswith("features.1")}
    refused(without, "state_dict", "0 norms", CNN)
    refused(CONVOLUTIONS, "state_dict", "1 kernels of 4 axes; allowed: 2", CNN.replace(channels=(3, 4), norm="none"))
    wide = CONVOLUTIONS | {"features.1.running_var": np.ones(4)}
    refused(wide, "state_dict.features.1.running_var", "shape (4,)", CNN)
    refused(CONVOLUTIONS, "state_dict.features.0.weight", "kernel 0", CNN.replace(kernel=5))
    lost = {name: w for name, w in CONVOLUTIONS.items() if name != "features.1.running_var"}
    refused(lost, "state_dict.features.1.running_var", "nothing", CNN)


def test_biases_belong_to_their_layer_wherever_they_stand():
    biased, rng = MLP.replace(bias=True), np.random.default_rng(1)
    biases = {f"{n}.bias": rng.normal(size=s[0]) for n, s in zip(NAMES, SHAPES, strict=True)}
    found = read(dict(reversed(biases.items())) | WEIGHTS, biased)
    assert all(np.array_equal(found[f"b_{i}"], biases[f"{n}.bias"]) for i, n in enumerate(NAMES))
    other = {("x.bias" if name == "output.bias" else name): b for name, b in biases.items()}
    refused(WEIGHTS | other, "state_dict.output.bias", "got nothing", biased)
    refused(WEIGHTS | biases | {"output.bias": np.ones(6)}, "state_dict.output.bias", "shape (7,)", biased)


def test_arrays_of_any_library_and_wrapped_names_are_read(tmp_path):
    exact = read(WEIGHTS)
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        given = {f"module._orig_mod.{n}": jnp.asarray(w, dtype) for n, w in WEIGHTS.items()}
        found = read(given)
        assert all(np.array_equal(found[n], np.asarray(jnp.asarray(w, dtype), np.float32)) for n, w in exact.items())
    big = {n: w.astype(">f8") for n, w in WEIGHTS.items()}
    assert all(w.dtype.isnative and np.array_equal(w, exact[n]) for n, w in read(big).items())
    np.savez(tmp_path / "w.npz", **WEIGHTS)
    assert all(np.array_equal(w, exact[n]) for n, w in read(tmp_path / "w.npz").items())
    (tmp_path / "w.npz").write_bytes(b"damaged")
    refused(str(tmp_path / "w.npz"), "state_dict", "nothing but arrays")
    refused(WEIGHTS, "model.kind", "a PyTorch counterpart", gd.Committee())
    with pytest.raises(gd.SpecError, match=r"prefix: got 'net\.'; .*layer_one\.weight"):
        read(WEIGHTS, prefix="net.")


LENS = gd.Transformer(layers=2, d_model=8, heads=2, d_mlp=6, norm="pre", attention_bias=True, unembedding_bias=True)


def lens_names(params, heads):
    """Write parameters as TransformerLens does."""
    found = {"embed.W_E": params["W_E"], "pos_embed.W_pos": params["W_pos"]}
    found |= {"unembed.W_U": params["W_U"], "unembed.b_U": params["b_U"]}
    found |= {"ln_final.w": params["ln_final_scale"], "ln_final.b": params["ln_final_shift"]}
    for l in range(2):
        block = f"blocks.{l}"
        for part in "QKV":
            w = params[f"W_{part}_{l}"]
            found[f"{block}.attn.W_{part}"] = np.stack(np.split(w, heads, axis=1))
            found[f"{block}.attn.b_{part}"] = np.stack(np.split(params[f"b_{part}_{l}"], heads))
        found[f"{block}.attn.W_O"] = np.stack(np.split(params[f"W_O_{l}"], heads, axis=0))
        found[f"{block}.attn.b_O"] = params[f"b_O_{l}"]
        found |= {f"{block}.mlp.{k}_{p}": params[f"{k}_{p}_{l}"] for k in "Wb" for p in ("in", "out")}
        for i in (1, 2):
            found |= {f"{block}.ln{i}.w": params[f"ln{i}_scale_{l}"], f"{block}.ln{i}.b": params[f"ln{i}_shift_{l}"]}
        found |= {f"{block}.attn.mask": np.tri(3, dtype=bool), f"{block}.attn.IGNORE": np.array(-np.inf)}
    return found


def test_the_names_of_transformer_lens_are_read(x64):
    signature = gd.ModularArithmetic(p=7, sequence="a b =").signature()
    shapes = jax.eval_shape(lambda: LENS.start(jax.random.key(0), signature, "float32"))
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=shape.shape) for name, shape in shapes.items()}
    theirs = lens_names(params, heads=2)
    found = read(theirs, LENS)
    assert found.keys() == params.keys()
    assert all(np.array_equal(found[name], params[name]) for name in params)
    refused(theirs, "state_dict.unembed.b_U", "no place for", LENS.replace(unembedding_bias=False))
    assert "b_U" not in read(theirs | {"unembed.b_U": np.zeros(8)}, LENS.replace(unembedding_bias=False))
    refused(theirs, "state_dict.blocks.0.attn.W_Q", "shape (4, 8, 2)", LENS.replace(heads=4))
    del theirs["blocks.1.ln2.w"]
    refused(theirs, "state_dict.blocks.1.ln2.w", "got nothing", LENS)


torch = pytest.importorskip("torch")


def test_a_module_a_file_and_live_tensors_are_the_same_network(tmp_path):
    L, relu = torch.nn.Linear, torch.nn.ReLU
    torch.manual_seed(0)
    layers = [L(14, 4), L(4, 4), L(4, 4), L(4, 7)]
    parts = [
        (n, p) for name, layer in zip(NAMES, layers, strict=True) for n, p in ((name, layer), (f"r_{name}", relu()))
    ]
    net = torch.nn.Sequential(OrderedDict(parts[:-1]))
    model = MLP.replace(bias=True)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    a, b = torch.cartesian_prod(torch.arange(7), torch.arange(7)).T
    x = torch.cat([torch.eye(7)[a], torch.eye(7)[b]], 1)
    exact = torch.nn.functional.cross_entropy(net(x), (a + b) % 7).item()
    task = gd.ModularArithmetic(p=7, train_fraction=1.0)
    experiment = cases.tiny(task=task, model=model, steps=1, record=gd.At((0,)), probes=("loss",))
    found = [read(given, model) for given in (net, dict(net.named_parameters()), tmp_path / "net.pt", net.state_dict())]
    for params in found:
        assert all(np.array_equal(params[name], found[0][name]) for name in params)
    assert float(gd.run(experiment, start=gd.Start(params=found[0])).train_loss[0]) == pytest.approx(exact, rel=1e-6)
    torch.save(net, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", "state_dict", "nothing but arrays", model)
    for bad in (net[0].weight.to(torch.complex64), net[0].weight.to_sparse(), net[0].weight.to("meta")):
        refused(dict(net.state_dict()) | {"layer_one.weight": bad}, "state_dict.layer_one.weight", "floating", model)


def test_an_encoder_layer_under_other_names_is_the_same_network():
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.readout = torch.nn.Linear(4, 7)
            self.tokens = torch.nn.Embedding(7, 4)
            layer = torch.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
            self.body = torch.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

        def forward(self, x):
            return self.readout(self.body(self.tokens(x))[:, -1])

    net, model = Net(), gd.Encoder(d_model=4, heads=2, ff=8)
    a, b = torch.cartesian_prod(torch.arange(7), torch.arange(7)).T
    exact = torch.nn.functional.cross_entropy(net(torch.stack([a, b], 1)), (a + b) % 7).item()
    task = gd.ModularArithmetic(p=7, train_fraction=1.0)
    experiment = cases.tiny(task=task, model=model, steps=1, record=gd.At((0,)), probes=("loss",))
    params = read(net, model)
    assert float(gd.run(experiment, start=gd.Start(params=params)).train_loss[0]) == pytest.approx(exact, rel=1e-5)
    refused(net, "state_dict.body.layers.0.linear1.weight", "shape (9, 4)", model.replace(ff=9))
    net.body.norm = torch.nn.LayerNorm(4)
    refused(net, "state_dict", "2 linear layers with a bias", model)
