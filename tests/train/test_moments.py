"""An optimizer goes on with what another remembered."""

import numpy as np
import pytest

import grokdyn as gd
from tests import cases

PARAMS = {"W_0": np.full((14, 8), 0.1), "W_1": np.full((8, 7), 0.2)}
ONES = {name: np.ones_like(w) for name, w in PARAMS.items()}
ADAM = {"exp_avg": ONES, "exp_avg_sq": ONES, "step": 3}
WRONG = [
    ({"exp_avg": ONES, "step": 3}, "exp_avg_sq", "all that this optimizer remembers: exp_avg, exp_avg_sq, step"),
    ({"exp_avg": ONES, "exp_avg_sq": ONES}, "step", "the number of updates"),
    ({**ADAM, "max_exp_avg_sq": ONES}, "max_exp_avg_sq", "a moment that it has not"),
    ({**ADAM, "exp_avg": {"W_0": ONES["W_0"]}}, "exp_avg", "tensors W_0, W_1"),
    ({**ADAM, "exp_avg": ONES | {"W_1": np.ones(3)}}, "exp_avg.W_1", "shape (8, 7)"),
    ({**ADAM, "exp_avg_sq": ONES | {"W_1": -ONES["W_1"]}}, "exp_avg_sq.W_1", "a mean of squares"),
    ({**ADAM, "exp_avg": ONES | {"W_1": 1j * ONES["W_1"]}}, "exp_avg.W_1", "complex128"),
    ({**ADAM, "exp_avg": 3}, "exp_avg", "a mapping"),
    ({**ADAM, "step": 2.5}, "step", "a whole number"),
    ({**ADAM, "step": -1}, "step", "a whole number"),
    ({**ADAM, "step": {"W_0": 3, "W_1": 4}}, "step", "the same for all"),
    ({**ADAM, "step": "three"}, "step", "a whole number"),
]


@pytest.mark.parametrize(("moments", "name", "words"), WRONG)
def test_moments_that_do_not_fit_are_told_by_name(moments, name, words):
    with pytest.raises(gd.SpecError) as caught:
        gd.run(cases.tiny(), start=gd.Start(params=PARAMS, optimizer=moments))
    assert caught.value.path == f"start.optimizer.{name}"
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("optimizer", [gd.SwitchOptimizer(gd.SGD(), gd.Adam(), 3), gd.GrokfastMA(gd.SGD())])
def test_what_remembers_more_than_moments_is_refused(optimizer):
    with pytest.raises(gd.SpecError, match=r"start.optimizer: got moments; allowed: nothing, for"):
        gd.run(cases.tiny(optimizer=optimizer), start=gd.Start(optimizer=ADAM))


def gradient(tmp_path, params):
    """Return the gradient at step 0, as one step of gradient descent shows it."""
    experiment = cases.tiny(optimizer=gd.SGD(learning_rate=1.0), steps=1, snapshots=(0, 1), dtype="float64")
    gd.run(experiment, out=tmp_path / "sgd", start=gd.Start(params=params), progress=False)
    before, after = (gd.params(tmp_path / "sgd", step=step) for step in (0, 1))
    assert all(np.array_equal(before[name], w) for name, w in params.items())
    return {name: before[name] - after[name] for name in before}


def test_an_update_is_that_of_the_given_moments_and_step(tmp_path):
    optimizer = gd.Adam(learning_rate=0.01, schedule=gd.StepDecay(every=4.0, factor_per_drop=0.5))
    experiment = cases.tiny(optimizer=optimizer, steps=1, dtype="float64", snapshots=(1,))
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=w.shape) for name, w in PARAMS.items()}
    m = {name: rng.normal(size=w.shape) for name, w in PARAMS.items()}
    v = {name: rng.random(w.shape) for name, w in PARAMS.items()}
    zeros = {name: 0 * w for name, w in PARAMS.items()}
    starts = {
        "given": {"exp_avg": m, "exp_avg_sq": v, "step": 5},
        "root": {"mu": m, "root": {name: np.sqrt(w) for name, w in v.items()}, "step": 5.0},
        "zero": {"exp_avg": zeros, "exp_avg_sq": zeros, "step": 0},
        "none": None,
    }
    found, g = {}, gradient(tmp_path, params)
    for name, moments in starts.items():
        start = gd.Start(params=params, optimizer=moments)
        gd.run(experiment, out=tmp_path / name, start=start, progress=False)
        found[name] = gd.params(tmp_path / name)
    for name, w in params.items():
        assert np.array_equal(found["none"][name], found["zero"][name])
        assert np.array_equal(found["given"][name], found["root"][name])
        m_hat = (0.9 * m[name] + 0.1 * g[name]) / (1 - 0.9**6)
        v_hat = (0.999 * v[name] + 0.001 * g[name] ** 2) / (1 - 0.999**6)
        exact = w - 0.01 * 0.5 * m_hat / (np.sqrt(v_hat) + 1e-8)
        np.testing.assert_allclose(found["given"][name], exact, rtol=1e-12)


def test_every_tensor_of_muon_has_the_moments_of_the_optimizer_that_moves_it():
    model = gd.MLP(hidden=(8,), bias=True)
    moments = {"momentum_buffer": {name: ONES[name] for name in ("W_0", "W_1")}, "step": 4}
    biases = {"b_0": np.ones(8), "b_1": np.ones(7)}
    experiment = cases.tiny(model=model, optimizer=gd.Muon(), steps=1)
    start = gd.Start(optimizer={**moments, "exp_avg": biases, "exp_avg_sq": biases})
    assert gd.run(experiment, start=start, progress=False).status == 0
    with pytest.raises(gd.SpecError, match=r"start.optimizer.exp_avg: got W_0, W_1; allowed: tensors b_0, b_1"):
        gd.run(experiment, start=gd.Start(optimizer={**moments, "exp_avg": ONES, "exp_avg_sq": biases}))


def test_parameters_of_a_stored_run_come_out_by_its_number_or_its_coordinates(tmp_path):
    rates = [0.0, 0.01, 0.02]
    sweep = gd.Sweep(cases.tiny(steps=4, snapshots=(0, 2, 4)), {"optimizer.learning_rate": rates, "seed": [0, 1]})
    gd.run(sweep, out=tmp_path / "s", progress=False)
    for number in (0, 3, 5):
        rate, seed = rates[number // 2], number % 2
        last = gd.params(tmp_path / "s", run={"learning_rate": rate, "seed": seed})
        first, same = gd.params(tmp_path / "s", run=number, step=0), gd.params(tmp_path / "s", number, 4)
        assert {name: w.shape for name, w in first.items()} == {"W_0": (14, 8), "W_1": (8, 7)}
        assert all(np.array_equal(last[name], same[name]) for name in last)
        assert all(np.array_equal(last[name], first[name]) == (rate == 0) for name in last)
    for arguments, words in (
        ({"step": 3}, "step: got 3; allowed: one of the snapshots: 0, 2, 4"),
        ({"run": 6}, "run: got 6; allowed: a number from 0 to 5"),
        ({"run": {"seed": 0, "learning_rate": 0.5}}, "run.learning_rate: got 0.5; allowed: one of"),
    ):
        with pytest.raises(gd.SpecError, match=words):
            gd.params(tmp_path / "s", **arguments)
    gd.run(cases.tiny(steps=1), out=tmp_path / "none", progress=False)
    with pytest.raises(gd.StoreError, match="has no snapshots"):
        gd.params(tmp_path / "none")


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_torchs_optimizers_go_on_here(name):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(14, 8), torch.nn.Tanh(), torch.nn.Linear(8, 7)).double()
    theirs, ours = {
        "adamw": (
            torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1),
            gd.AdamW(learning_rate=0.01, weight_decay=0.1),
        ),
        "adam": (
            torch.optim.Adam(net.parameters(), lr=0.01, betas=(0.8, 0.95), weight_decay=0.01),
            gd.Adam(learning_rate=0.01, b1=0.8, b2=0.95, weight_decay=0.01),
        ),
        "sgd": (
            torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
            gd.SGD(learning_rate=0.1, momentum=0.9),
        ),
    }[name]
    a, b = torch.cartesian_prod(torch.arange(7), torch.arange(7)).T
    x, y = torch.cat([torch.eye(7)[a], torch.eye(7)[b]], 1).double(), (a + b) % 7

    def trained(steps):
        losses = []
        for _ in range(steps):
            theirs.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x), y)
            loss.backward()
            losses.append(loss.item())
            theirs.step()
        return losses

    trained(20)
    experiment = cases.tiny(
        task=gd.ModularArithmetic(p=7),
        model=gd.MLP(hidden=(8,), activation="tanh", bias=True),
        loss=gd.CrossEntropy(precision="float64"),
        optimizer=ours,
        steps=20,
        record=gd.Every(1),
        probes=("loss",),
        dtype="float64",
    )
    start = gd.Start(
        params=gd.interop.from_torch(experiment.model, net),
        train_rows=np.ones(49, bool),
        optimizer=gd.interop.optimizer_from_torch(experiment.model, theirs, net),
    )
    same = gd.interop.optimizer_from_torch(experiment.model, theirs.state_dict(), net.state_dict())
    assert all(np.array_equal(same[m][n], start.optimizer[m][n]) for m in same for n in same[m])
    found = gd.run(experiment, start=start, progress=False).train_loss.values[:20]
    np.testing.assert_allclose(found, trained(20), rtol=1e-10)


def test_a_torch_optimizer_that_remembers_more_or_nothing_is_refused():
    torch = pytest.importorskip("torch")
    net, model = torch.nn.Sequential(torch.nn.Linear(14, 8), torch.nn.Linear(8, 7)), gd.MLP(hidden=(8,), bias=True)
    read = gd.interop.optimizer_from_torch
    fresh = torch.optim.Adam(net.parameters(), amsgrad=True)
    with pytest.raises(gd.SpecError, match=r"optimizer.0.weight: got nothing remembered"):
        read(model, fresh, net)
    net(torch.ones(1, 14)).sum().backward()
    fresh.step()
    with pytest.raises(gd.SpecError, match=r"optimizer.0.weight.max_exp_avg_sq: got what no optimizer here remembers"):
        read(model, fresh, net)
    with pytest.raises(gd.SpecError, match=r"optimizer: got 4 parameters; allowed: those of the module: 1"):
        read(model, fresh, {"0.weight": net[0].weight})
    with pytest.raises(gd.SpecError, match=r"optimizer: got 3; allowed"):
        read(model, 3, net)
    adam = torch.optim.Adam(reversed(list(net.parameters())))
    adam.step()
    with pytest.raises(gd.SpecError, match=r"optimizer.0.weight.exp_avg: got shape \(7,\)"):
        read(model, adam, net.state_dict())
