"""Parameters of a snapshot in PyTorch: the same logits; in safetensors: the same bits."""

import itertools
import json

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.cli import main

torch = pytest.importorskip("torch", reason="no PyTorch here: the extra torch")


def sequential(model, sizes):
    """Return the network that the state dict of an MLP is made for."""
    layers = []
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        layers += [torch.nn.Linear(fan_in, fan_out, bias=model.bias)]
        layers += [torch.nn.ReLU()] if i < len(sizes) - 2 else []
    return torch.nn.Sequential(*layers)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "s"
    exp = gd.Experiment(
        task=gd.ModularArithmetic(p=5),
        model=gd.MLP(hidden=(4, 3), bias=True),
        loss=gd.CrossEntropy(),
        optimizer=gd.AdamW(learning_rate=0.01),
        steps=4,
        record=gd.Every(2),
        snapshots=(2, 4),
    )
    gd.run(gd.Sweep(exp, {"seed": [0, 1]}), out=folder, progress=False)
    return folder, exp


def test_a_state_dict_gives_the_logits_of_the_run(store, tmp_path, capsys):
    folder, exp = store
    assert (
        main(["export", str(folder), "--to", "torch", "--run", "1", "--step", "2", "--out", str(tmp_path / "net.pt")])
        == 0
    )
    assert capsys.readouterr().out.strip() == str(tmp_path / "net.pt")
    module = sequential(exp.model, (10, 4, 3, 5))
    module.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    params = gd.params(folder, run=1, step=2)
    inputs = np.stack(np.meshgrid(range(5), range(5), indexing="ij"), -1).reshape(-1, 2)
    ours = np.asarray(exp.model.apply(params, jax.numpy.asarray(inputs)).logits)
    one_hot = np.eye(5, dtype=np.float32)[inputs].reshape(-1, 10)
    theirs = module(torch.from_numpy(one_hot)).detach().numpy()
    np.testing.assert_allclose(theirs, ours, atol=1e-6)


def test_safetensors_have_the_bits_of_the_run(store, tmp_path):
    folder, exp = store
    (path,) = gd.export(folder, "safetensors", run={"seed": 1}, step=2)
    assert path == folder / "export" / "run_1_step_2.safetensors"
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    params = gd.params(folder, run=1, step=2)
    read = {}
    for name, told in header.items():
        if name != "__metadata__":
            assert told["dtype"] == "F32"
            read[name] = np.frombuffer(data[slice(*told["data_offsets"])], "<f4").reshape(told["shape"])
    assert sum(value.nbytes for value in read.values()) == len(data)
    again = gd.interop.from_torch(exp.model, read)
    assert all(np.array_equal(again[name], params[name]) for name in params)


def test_the_library_of_safetensors_reads_them(store, tmp_path):
    library = pytest.importorskip("safetensors.numpy", reason="no safetensors here")
    folder, exp = store
    (path,) = gd.export(folder, "safetensors", tmp_path / "x.safetensors")
    again = gd.interop.from_torch(exp.model, library.load_file(path))
    assert all(np.array_equal(again[name], value) for name, value in gd.params(folder).items())


WITH_COUNTERPART = [
    gd.MLP(hidden=(4, 3)),
    gd.MLP(hidden=(4,), bias=True),
    gd.MLP(hidden=(4, 4), norm="layer", bias=True),
    gd.MLP(hidden=(4, 4), norm="batch", norm_at="after"),
    gd.Encoder(d_model=8, heads=2, ff=6),
    gd.Transformer(d_model=8, heads=2, d_mlp=6),
    gd.Transformer(d_model=8, heads=2, d_mlp=6, layers=2, norm="pre", attention_bias=True),
]


@pytest.mark.parametrize("model", WITH_COUNTERPART, ids=lambda model: type(model).__name__)
def test_to_torch_is_the_inverse_of_from_torch(model):
    signature = gd.ModularArithmetic(p=5, sequence="a b =").signature()
    drawn = model.initial(jax.random.key(0), signature, np.float32)
    params = {
        name: np.random.default_rng(1).normal(size=value.shape).astype(np.float32) for name, value in drawn.items()
    }
    theirs = gd.interop.to_torch(model, params)
    again = gd.interop.from_torch(model, theirs)
    assert set(again) == set(params)
    assert all(np.array_equal(again[name], value) for name, value in params.items())
    assert all(value.flags["C_CONTIGUOUS"] for value in theirs.values())


@pytest.mark.parametrize("readout", ["flat", "mean"])
def test_kernels_too(readout):
    signature = gd.Signature(gd.Images(6, 6, 1), gd.Classes(3), 9)
    model = gd.CNN(channels=(2, 3), hidden=(4,), bias=True, readout=readout)
    drawn = model.initial(jax.random.key(0), signature, np.float32)
    rng = np.random.default_rng(1)
    params = {name: rng.normal(size=value.shape).astype(np.float32) for name, value in drawn.items()}
    theirs = gd.interop.to_torch(model, params)
    assert theirs["kernels.1.weight"].shape == (3, 2, model.kernel, model.kernel)
    again = gd.interop.from_torch(model, theirs)
    assert all(np.array_equal(again[name], value) for name, value in params.items())


def test_what_has_no_counterpart_is_told():
    with pytest.raises(gd.SpecError, match="a model with a PyTorch counterpart"):
        gd.interop.to_torch(gd.Committee(), {})
    with pytest.raises(gd.SpecError, match="params: got x; allowed: the parameters of the model"):
        gd.interop.to_torch(gd.MLP(), {"x": np.ones(3)})
