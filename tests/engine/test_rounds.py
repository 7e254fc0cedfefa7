"""Rounds: new runs from all runs of a store, after pruning, rescaling, drawing anew, freezing."""

import json

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.cli import main
from grokdyn.interventions.prune import largest
from tests import cases
from tests.engine.test_interrupted import CutError, cut_after

BASE = cases.tiny(steps=20, record=gd.Every(10), snapshots=(0, 10, 20), probes=("loss", "weight_norm"))
SWEEP = gd.Sweep(BASE, {"optimizer.weight_decay": [0.0, 1.0], "seed": [0, 1]})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("parent") / "store"
    gd.run(SWEEP, out=path, progress=False)
    return path


def begun(path, *arguments, **options):
    """Return what a round begins with, run by run: it is not trained, but for its first step."""
    gd.fork(path, *arguments, progress=False, **options)
    return [gd.params(options["out"], run, options.get("rewind", 0)) for run in range(4)]


def test_all_runs_go_on_with_the_same_bits_and_their_store_knows_its_parent(store, tmp_path):
    whole = gd.open(store)
    found = gd.fork(store, step=10, out=tmp_path / "on", progress=False)
    for name in ("train_loss", "test_loss", "weight_norm"):
        np.testing.assert_array_equal(found[name], whole[name].sel(step=[10, 20]))
    parent = json.loads((tmp_path / "on/manifest.json").read_text())["parent"]
    assert (parent["store"], parent["step"], parent["round"]) == (str(store), 10, 1)
    again = gd.fork(tmp_path / "on", out=tmp_path / "again", change={"steps": 30}, progress=False)
    assert again.step.values.tolist() == [20, 30]
    assert json.loads((tmp_path / "again/manifest.json").read_text())["parent"]["round"] == 2
    few = gd.fork(store, run=[3, 1], step=10, out=tmp_path / "few", progress=False)
    assert few.sizes["run"] == 2
    np.testing.assert_array_equal(few.train_loss, whole.train_loss.values.reshape(4, 3)[[3, 1], 1:])


def test_pruning_by_magnitude_keeps_the_largest_of_all_and_rounds_compound(store, tmp_path):
    found = begun(store, rewind=0, apply=gd.Prune(keep=0.4), out=tmp_path / "one")
    for run, params in enumerate(found):
        first, last, masks = gd.params(store, run, 0), gd.params(store, run, 20), gd.masks(tmp_path / "one", run)
        sizes = np.concatenate([np.abs(last[name]).ravel() for name in sorted(last)])
        least = np.sort(sizes)[len(sizes) - round(0.4 * len(sizes))]
        for name, mask in masks.items():
            np.testing.assert_array_equal(mask, np.abs(last[name]) >= least)
            np.testing.assert_array_equal(params[name], np.where(mask, first[name], 0))
            end = gd.params(tmp_path / "one", run, 20)[name]
            assert (end[~mask] == 0).all()
            assert (end[mask] != params[name][mask]).any()
    begun(tmp_path / "one", rewind=0, apply=gd.Prune(keep=0.5, scope="layer"), out=tmp_path / "two")
    for run in range(4):
        before, after = gd.masks(tmp_path / "one", run), gd.masks(tmp_path / "two", run)
        for name, mask in after.items():
            assert not (mask & ~before[name]).any()
            assert mask.sum() == round(0.5 * before[name].sum())
    assert json.loads((tmp_path / "two/manifest.json").read_text())["parent"]["round"] == 2


@pytest.mark.parametrize("by", ["random", "snip", "grasp", "synflow"])
def test_scores_at_the_start_keep_the_share_that_is_asked_for(store, tmp_path, by):
    begun(store, step=0, apply=gd.Prune(keep=0.3, by=by), out=tmp_path / by)
    masks = [gd.masks(tmp_path / by, run) for run in range(4)]
    assert {sum(mask.sum() for mask in each.values()) for each in masks} == {round(0.3 * 168)}
    assert (masks[0]["W_0"] == masks[2]["W_0"]).all(), "the same seed at another weight decay"
    assert (masks[0]["W_0"] != masks[1]["W_0"]).any()


def logits_and_slopes(params):
    """Return rows, logits and the gradient of the mean loss over all rows, by hand: ReLU, softmax cross-entropy."""
    a, b = np.divmod(np.arange(49), 7)
    x = np.zeros((49, 14))
    x[np.arange(49), a] = x[np.arange(49), 7 + b] = 1
    return x, (a + b) % 7


def test_snip_is_the_weight_times_its_gradient_and_grasp_its_product_with_the_hessian(tmp_path):
    torch = pytest.importorskip("torch")
    base = BASE.replace(dtype="float64", loss=gd.CrossEntropy(precision="float64"), steps=10, snapshots=(0, 10))
    rows = np.arange(49)[::2]
    gd.run(base, out=tmp_path / "s", start=gd.Start(train_rows=rows), progress=False)
    params = gd.params(tmp_path / "s", 0, 0)
    x, labels = logits_and_slopes(params)
    x, y = torch.from_numpy(x[rows]), torch.from_numpy(labels[rows])
    w = [torch.tensor(params[name], requires_grad=True) for name in ("W_0", "W_1")]

    def loss(temperature):
        logits = torch.relu(x @ w[0]) @ w[1] / temperature
        return torch.nn.functional.cross_entropy(logits, y)

    slopes = torch.autograd.grad(loss(1.0), w)
    snip = {name: (v * g).abs().detach().numpy() for name, v, g in zip(params, w, slopes, strict=True)}
    cool = torch.autograd.grad(loss(200.0), w, create_graph=True)
    inner = sum((g.detach() * g).sum() for g in cool)
    products = torch.autograd.grad(inner, w)
    grasp = {name: (v * h).detach().numpy() for name, v, h in zip(params, w, products, strict=True)}
    alive = {name: np.ones((1, *v.shape), bool) for name, v in params.items()}
    for by, scores in (("snip", snip), ("grasp", grasp)):
        gd.fork(tmp_path / "s", step=0, apply=gd.Prune(keep=0.3, by=by), out=tmp_path / by, progress=False)
        expected = largest({name: s[None] for name, s in scores.items()}, alive, list(params), 0.3, "global")
        for name, mask in gd.masks(tmp_path / by).items():
            np.testing.assert_array_equal(mask, expected[name][0], err_msg=f"{by} {name}")


def total(params, power):
    return sum((np.abs(w.astype(np.float64)) ** power).sum() for w in params.values())


def test_dense_controls_have_the_norm_of_the_ticket(store, tmp_path):
    ticket = begun(store, rewind=0, apply=gd.Prune(keep=0.4), out=tmp_path / "ticket")
    for norm, power in (("l1", 1), ("l2", 2)):
        dense = begun(store, rewind=0, apply=gd.Rescale(keep=0.4, norm=norm), out=tmp_path / norm)
        for run in range(4):
            np.testing.assert_allclose(total(dense[run], power), total(ticket[run], power), rtol=1e-5)
            first = gd.params(store, run, 0)
            np.testing.assert_allclose(
                dense[run]["W_0"] / first["W_0"], (dense[run]["W_1"] / first["W_1"]).flat[0], rtol=1e-5
            )


def test_frozen_tensors_stay_and_redrawn_ones_are_new_and_keep_their_mask(store, tmp_path):
    steps = [gd.Prune(keep=0.4), gd.Reinitialise(), gd.Freeze(tensors=["W_0"])]
    found = begun(store, rewind=0, apply=steps, out=tmp_path / "s")
    for run, params in enumerate(found):
        masks, end = gd.masks(tmp_path / "s", run), gd.params(tmp_path / "s", run, 20)
        np.testing.assert_array_equal(end["W_0"], params["W_0"])
        assert (end["W_1"] != params["W_1"]).any()
        first = gd.params(store, run, 0)
        assert all((params[name][~mask] == 0).all() for name, mask in masks.items())
        assert all((params[name][mask] != first[name][mask]).all() for name, mask in masks.items())
    same = begun(store, rewind=0, apply=gd.Reinitialise(seed=0), out=tmp_path / "same")
    np.testing.assert_array_equal(same[0]["W_0"], gd.params(store, 0, 0)["W_0"])


def test_a_round_is_resumed_to_the_same_bits(store, tmp_path):
    options = {"rewind": 0, "apply": gd.Prune(keep=0.4), "progress": False}
    whole = gd.fork(store, out=tmp_path / "whole", **options)
    with pytest.MonkeyPatch.context() as patch:
        cut_after(patch, 1)
        with pytest.raises(CutError):
            gd.fork(store, out=tmp_path / "cut", **options)
    found = gd.resume(tmp_path / "cut", progress=False)
    for name, values in whole.data_vars.items():
        np.testing.assert_array_equal(found[name], values)
    probed = gd.probe(tmp_path / "whole", ["gradient_norm"])
    assert np.isfinite(probed.gradient_norm).all()
    with pytest.raises(gd.StoreError, match="go on from those of another store"):
        gd.extend(tmp_path / "whole", [{"seed": 7, "optimizer.weight_decay": 0.0}], progress=False)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"step": 11}, "step: got 11; allowed: one of the snapshots: 0, 10, 20"),
        ({"rewind": 3}, "rewind: got 3; allowed: one of the snapshots"),
        (
            {"apply": gd.Prune(keep=0.0001)},
            r"got 0.0001 of 168 weights; allowed: a share of at least",
        ),
        (
            {"apply": gd.Prune(tensors=["W_9"])},
            "apply.prune.tensors: got 'W_9'; allowed: tensors of the model: W_0, W_1",
        ),
        ({"apply": gd.Rescale()}, r"apply\[0\].factor: got neither; allowed: one of factor and keep"),
        ({"apply": gd.Freeze(tensors=[])}, r"apply\[0\].tensors: got no tensors"),
        ({"apply": "prune"}, r"apply: got 'prune'; allowed: gd\.Prune"),
        ({"change": {"seed": 3}}, "change.seed: got a path that the store sweeps"),
        ({"change": {"model.bias": True}, "step": 10}, "another structure: params.b_0 is new"),
        ({"run": [0, 0]}, "run: got .*; allowed: a list of distinct runs"),
        ({"run": [9]}, "run: got 9; allowed: a number from 0 to 3"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(store, tmp_path, options, told):
    with pytest.raises(gd.SpecError, match=told):
        gd.fork(store, out=tmp_path / "s", progress=False, **options)
    assert not (tmp_path / "s").exists()


def test_the_command_line_prunes_and_rewinds(store, tmp_path, capsys):
    words = ["fork", str(store), "--apply", "prune", "--keep", "0.4", "--rewind", "0", "--out"]
    assert main([*words, str(tmp_path / "cli")]) == 0
    gd.fork(store, rewind=0, apply=gd.Prune(keep=0.4), out=tmp_path / "python", progress=False)
    for name, mask in gd.masks(tmp_path / "cli", 3).items():
        np.testing.assert_array_equal(mask, gd.masks(tmp_path / "python", 3)[name])
    assert main(["info", str(tmp_path / "cli")]) == 0
    assert "round 1, from step 0 of" in " ".join(capsys.readouterr().out.split())
    assert main([*words, str(tmp_path / "x"), "--factor", "2"]) == 2
    assert "--factor: got 2 for --apply prune" in capsys.readouterr().err
    assert main([*words[:2], "--step", "7", "--out", str(tmp_path / "x")]) == 2
    assert not (tmp_path / "x").exists()
