"""Fourier probes on networks whose spectrum is known, and against slow transcriptions of the published measures."""

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.plan import structure
from tests import cases
from tests.probes import analytic
from tests.train.lanes import recorded, taken_apart

P = 11
RNG = np.random.default_rng(3)
TRAIN = RNG.permutation(P * P)[:70]
# Frequencies and neurons of an asymmetric solution: unequal numbers of neurons, unequal phases of a and b.
KS = np.array([2] * 7 + [3] * 5 + [5] * 9)
PHASES = analytic.random_phases(len(KS))
OPS = {"add": (1, 1), "sub": (1, -1)}
EXPERIMENT = gd.Experiment(
    task=gd.ModularArithmetic(op="add", p=P),
    model=gd.MLP(hidden=(len(KS),), activation="square"),
    loss=gd.CrossEntropy(precision="float64"),
    optimizer=gd.SGD(learning_rate=0.0),
    steps=1,
    record=gd.At((0,)),
    dtype="float64",
)


def measured(params, *probes, **changes):
    """Return what probes see of a network."""
    model = gd.MLP(hidden=(params["W_1"].shape[0],), activation="square")
    experiment = EXPERIMENT.replace(model=model, probes=probes, **changes)
    return recorded(experiment, gd.Start(params=params, train_rows=TRAIN[experiment.task.p**2 > TRAIN]))[1]


def task(op="add", p=P):
    return gd.ModularArithmetic(op=op, p=p)


def random_params(p=P, neurons=6, seed=0):
    rng = np.random.default_rng(seed)
    return {"W_0": rng.normal(size=(2 * p, neurons)), "W_1": rng.normal(size=(neurons, p))}


def sides(params, p=P):
    return {"a": params["W_0"][:p], "b": params["W_0"][p:], "c": params["W_1"].T}


@pytest.mark.parametrize("p", [8, 11])
def test_power_gini_and_ipr_are_those_of_numpy(p):
    params = random_params(p)
    both = [
        measured(params, gd.FourierPower(), gd.InverseParticipationRatio(r=r, transform=t), task=task(p=p))
        for r, t in ((2.0, "rfft"), (3.0, "fft"))
    ]
    for side, X in sides(params, p).items():
        rows, names = analytic.fourier_rows(p)
        squares = np.sum((rows @ X) ** 2, axis=1)
        exact = [sum(s for s, (freq, _) in zip(squares, names, strict=True) if freq == k) for k in range(p // 2 + 1)]
        found = both[0].sel(side=side)
        np.testing.assert_allclose(found.fourier_power, exact, rtol=1e-12)
        np.testing.assert_allclose(found.fourier_power.sum(), np.sum(X**2), rtol=1e-12)
        spread = np.abs(squares[:, None] - squares).sum() / (2 * p**2 * squares.mean())
        np.testing.assert_allclose(found.fourier_gini, spread, rtol=1e-12)
        for ds, r, transform in zip(both, (2, 3), (np.fft.rfft, np.fft.fft), strict=True):
            power = np.abs(transform(X, axis=0)) ** 2
            ipr = np.mean(np.sum((power / power.sum(axis=0)) ** r, axis=0))
            np.testing.assert_allclose(ds.ipr_per_side.sel(side=side), ipr, rtol=1e-12)
    np.testing.assert_allclose(both[0].ipr, both[0].ipr_per_side.mean(), rtol=1e-14)
    assert both[0].frequency.values.tolist() == list(range(p // 2 + 1))


def test_the_analytic_solution_has_one_frequency_a_neuron():
    params = analytic.gromov(P, KS, PHASES)
    found = measured(params, gd.InverseParticipationRatio(), gd.FourierPower())
    np.testing.assert_allclose(found.ipr_per_side, 1, rtol=1e-12)
    assert measured(params, gd.InverseParticipationRatio(transform="fft")).ipr == pytest.approx(0.5, rel=1e-12)
    for k in range(P // 2 + 1):  # N_k neurons of unit cosines: p/2 each
        np.testing.assert_allclose(found.fourier_power.sel(frequency=k), np.count_nonzero(k == KS) * P / 2, atol=1e-10)


def test_dead_units_do_not_count():
    params = analytic.gromov(P, KS, PHASES)
    params["W_0"][:P, :4] = 0
    np.testing.assert_allclose(measured(params, gd.InverseParticipationRatio()).ipr, 1, rtol=1e-12)


@pytest.mark.parametrize("p", [8, 11])
def test_neurons_are_tuned_as_the_blocks_of_their_spectrum_say(p):
    params = random_params(p)
    found = measured(params, gd.Neurons(per_neuron=True), task=task(p=p))
    hidden = analytic.hidden(params, p)
    shares = np.array([analytic.block_shares(hidden, k) for k in range(1, p // 2 + 1)])
    np.testing.assert_allclose(found.neuron_share, shares.max(axis=0), rtol=1e-11)
    assert found.neuron_frequency.values.tolist() == (shares.argmax(axis=0) + 1).tolist()
    assert found.neurons_at_frequency.sum() == params["W_1"].shape[0]
    power = shares * np.sum((hidden - hidden.mean(axis=(0, 1))) ** 2, axis=(0, 1))
    np.testing.assert_allclose(found.neuron_power_per_neuron[1:], power, rtol=1e-10)
    np.testing.assert_allclose(found.neuron_power[1:], power.sum(axis=1), rtol=1e-10)
    assert not found.neuron_power_per_neuron[0].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_neuron_that_is_constant_has_no_frequency(dtype):
    """One as the sum of constants for a and b, one nearly so, one dead, beside those of the solution."""
    params = analytic.gromov(P, KS, PHASES)
    params["W_0"][:P, 0], params["W_0"][P:, 0] = 0.1, 0.2
    params["W_0"][:, 1] = 0.1 + 1e-9 * params["W_0"][:, 1] * (dtype == "float32")
    params["W_0"][:, 2] = 0
    found = measured(params, gd.Neurons(), gd.KeyFrequencies(), dtype=dtype)
    assert found.neuron_frequency.values.tolist() == [0, 0, 0, *KS[3:]]
    assert not found.neuron_share[:3].any()
    assert found.neuron_share[3:].min() > 0.5
    assert found.neurons_at_frequency[0] == 3
    assert found.key_frequency.values.nonzero()[0].tolist() == [2, 3, 5]


def test_a_network_of_zeros_has_what_exists_and_nan_where_nothing_does():
    params = {name: np.zeros_like(w) for name, w in analytic.gromov(P, KS, PHASES).items()}
    exists = {
        gd.Loss: {"train_loss": np.log(P), "test_loss": np.log(P)},
        gd.Logits: {"train_logit_norm": 0, "test_margin": 0},
        gd.LogitScale: {"logit_max_abs": 0},
        gd.SoftmaxCollapse: {"softmax_collapse": 0},
        gd.GradientNorm: {"gradient_norm": 0},
        gd.AbsorbedUpdates: {"absorbed_updates": 1, "zero_gradient": 1},
        gd.NLMAlignment: {"nlm_gradient": np.nan, "logit_growth": np.nan},
        gd.Rank: {"effective_rank": np.nan, "stable_rank": np.nan},
        gd.FourierPower: {"fourier_power": 0, "fourier_gini": np.nan},
        gd.InverseParticipationRatio: {"ipr": np.nan},
        gd.Circles: {"circle": 0, "circle_share": 0, "circle_frequency": np.nan},
        gd.Neurons: {"neuron_share": 0, "neuron_frequency": 0},
        gd.KeyFrequencies: {"key_frequencies": 0},
        gd.Circuit: {"circuit_share": np.nan},
        gd.KernelAlignment: {"kernel_alignment": np.nan, "kernel_cka": np.nan, "kernel_alignment_one_sided": np.nan},
        gd.KernelSpectrum: {"kernel_top_eigenvalue": 0, "kernel_effective_rank": np.nan, "kernel_label_energy": np.nan},
        gd.GradientCoherence: {"m_coherence": np.nan, "gradient_cosine": 0},
    }
    found = measured(params, *(probe() for probe in exists))
    for values in exists.values():
        for name, value in values.items():
            np.testing.assert_allclose(found[name], np.full(found[name].shape, value), atol=1e-12, err_msg=name)


def test_all_classes_equal_are_the_first():
    params = {name: np.zeros_like(w) for name, w in analytic.gromov(P, KS, PHASES).items()}
    found = measured(params, gd.Accuracy())
    labels = task().table().labels
    assert found.train_accuracy == np.mean(labels[TRAIN] == 0)
    assert found.test_accuracy == np.mean(np.delete(labels, TRAIN) == 0)


def test_norms_of_logits_are_those_of_their_sizes_where_squares_have_no_float32():
    params = analytic.gromov(P, KS, PHASES)
    plain = measured(params, gd.Logits(), dtype="float32")
    for size in (1e-24, 1e24):
        scaled = {"W_0": params["W_0"], "W_1": params["W_1"] * size}
        found = measured(scaled, gd.Logits(), dtype="float32")
        np.testing.assert_allclose(found.train_logit_norm, size * plain.train_logit_norm, rtol=1e-6)


def test_tuning_in_tiles_is_that_of_the_whole(monkeypatch):
    """Tiles of 24 rows hold two values of a; the sixth is filled up."""
    params = random_params()
    whole = measured(params, gd.Neurons())
    monkeypatch.setattr(structure, "CPU_TILE", 26)
    monkeypatch.setattr(structure, "VECTOR", 1)
    tiled = measured(params, gd.Neurons())
    np.testing.assert_allclose(tiled.neuron_share, whole.neuron_share, rtol=1e-12)
    assert not np.array_equal(tiled.neuron_share, whole.neuron_share), "the tiles were not used"


def test_a_neuron_of_the_analytic_solution_also_doubles_its_frequency():
    """(cos A + cos B)^2 = 1 + cos(2A)/2 + cos(2B)/2 + 2 cos A cos B: variance 1/8 + 1/8 at 2k, 1 at k."""
    params = analytic.gromov(P, KS, PHASES)
    for dtype, rtol in (("float64", 1e-12), ("float32", 1e-5)):
        found = measured(params, gd.Neurons(), dtype=dtype)
        assert found.neuron_frequency.values.tolist() == KS.tolist()
        np.testing.assert_allclose(found.neuron_share, 0.8, rtol=rtol)
        # Over the p^2 pairs; what a frequency k leaves at 2k stands with the neurons of that frequency, or p - 2k.
        own, double = (
            [np.count_nonzero(n == ks) for n in range(P // 2 + 1)] for ks in (KS, np.minimum(2 * KS, P - 2 * KS))
        )
        np.testing.assert_allclose(found.neuron_power, P**2 * (np.array(own) + np.array(double) / 4), atol=P**2 * rtol)


def test_key_frequencies_by_neurons_are_those_of_the_released_code():
    params = random_params(13, neurons=4)
    found = measured(params, gd.KeyFrequencies(last=False), task=task(p=13))
    best, shares = analytic.released_keys(analytic.hidden(params, 13))
    assert np.flatnonzero(found.key_frequency).tolist() == sorted(set(best.tolist()))
    threshold = float(np.sort(shares)[1:3].mean())
    picked = measured(params, gd.KeyFrequencies(threshold=threshold, last=False), task=task(p=13))
    assert np.flatnonzero(picked.key_frequency).tolist() == sorted(set(best[shares >= threshold].tolist()))
    assert picked.key_frequencies == picked.key_frequency.sum()


def test_the_last_frequency_is_key_only_where_it_is_asked_for():
    params = analytic.gromov(P, [2, 5, 5], analytic.random_phases(3))
    for definition, threshold in (("neurons", 0.5), ("embedding", 1.0)):
        probe = gd.KeyFrequencies(definition=definition, threshold=threshold, last=False)
        assert np.flatnonzero(measured(params, probe).key_frequency).tolist() == [2]
        both = measured(params, probe.replace(last=True))
        assert np.flatnonzero(both.key_frequency).tolist() == [2, 5]


def test_key_frequencies_by_the_embedding_have_much_power_in_it():
    params = analytic.gromov(P, [1, 2, 2, 4, 4, 4], analytic.random_phases(6))
    # Powers 1 : 2 : 3 of five frequencies, hence a mean of 6/5.
    for threshold, keys in ((0.5, [1, 2, 4]), (1.0, [2, 4]), (2.0, [4]), (3.0, [])):
        found = measured(params, gd.KeyFrequencies(definition="embedding", threshold=threshold))
        assert np.flatnonzero(found.key_frequency).tolist() == keys


@pytest.mark.parametrize("op", OPS)
def test_progress_measures_are_those_of_the_published_definitions(op):
    """Noise breaks every symmetry; the operation a - b tells a from b."""
    signs = OPS[op]
    params = analytic.gromov(P, KS, PHASES, signs, noise=0.3)
    params["W_1"] *= 0.05
    flat = analytic.logits(params, P).reshape(P * P, P)
    labels = task(op).table().labels
    keys = (2, 3, 5)
    probes = (gd.ProgressMeasures(frequencies=keys, per_frequency=True), gd.Circuit(), gd.Loss())
    found = measured(params, *probes, task=task(op))
    np.testing.assert_allclose(
        found.restricted_loss, analytic.restricted_loss(flat, labels, P, keys, signs), rtol=1e-10
    )
    exact = analytic.excluded_loss(flat, labels, TRAIN, P, keys, signs)
    np.testing.assert_allclose(found.excluded_loss, exact, rtol=1e-10)
    for k in range(1, P // 2 + 1):
        exact = analytic.excluded_loss(flat, labels, TRAIN, P, [k], signs)
        np.testing.assert_allclose(found.excluded_loss_per_frequency.sel(frequency=k), exact, rtol=1e-10)
        exact = analytic.circuit_coefficient(flat, P, k, signs)
        np.testing.assert_allclose(found.circuit_coefficient.sel(frequency=k), exact, rtol=1e-10)
    assert found.train_loss < found.excluded_loss - 0.1, "without its circuit it is worse"
    assert abs(found.restricted_loss - found.test_loss) > 1e-3


@pytest.mark.parametrize("op", OPS)
def test_the_analytic_solution_is_its_circuit(op):
    """Many neurons of random phases: only cos w(a+b-c) survives their sum, N_k p/(2 sqrt(2)) sqrt(p) at each k."""
    neurons, ks = 4000, (2, 4)
    frequencies = np.repeat(ks, neurons // 2)
    # Phases on a grid, so that whatever depends on them sums to zero exactly.
    n = np.arange(neurons // 2)
    phases = np.tile(2 * np.pi * np.stack([n % 40, n // 40], axis=1) / np.array([40, 50]), (2, 1))
    params = analytic.gromov(P, frequencies, phases, OPS[op])
    found = measured(params, gd.Circuit(), gd.Accuracy(), gd.ProgressMeasures(frequencies=ks), task=task(op))
    np.testing.assert_allclose(found.circuit_share, 1, rtol=1e-9)
    assert found.test_accuracy == 1
    # logits: sum over neurons of cos(wa+f) cos(wb+g) 2 cos(wc+f+g), which has 1/2 cos w(a+b-c) a neuron.
    expected = np.where(np.isin(found.frequency, ks), neurons / 2 / 2 * np.sqrt(P**3 / 2), 0)
    np.testing.assert_allclose(found.circuit_coefficient[1:], expected[1:], atol=1e-6)
    np.testing.assert_allclose(found.restricted_loss, 0, atol=1e-9)
    np.testing.assert_allclose(found.excluded_loss, np.log(P), rtol=1e-9)


def test_a_wrong_phase_costs_its_cosine():
    """cos w(a + b - c) + d in place of d = 0: the coefficient falls by cos d, and the asymmetry is seen."""
    d, neurons = 0.9, 2000
    n = np.arange(neurons)
    phases = 2 * np.pi * np.stack([n % 40, n // 40], axis=1) / np.array([40, 50])
    params = analytic.gromov(P, np.full(neurons, 3), phases)
    shifted = analytic.gromov(P, np.full(neurons, 3), phases + np.array([d, 0]))
    right = measured(params, gd.Circuit()).circuit_coefficient.sel(frequency=3)
    wrong = measured({"W_0": params["W_0"], "W_1": shifted["W_1"]}, gd.Circuit())
    np.testing.assert_allclose(wrong.circuit_coefficient.sel(frequency=3), right * np.cos(d), rtol=1e-10)
    np.testing.assert_allclose(wrong.circuit_share, np.cos(d) ** 2, rtol=1e-9)


def test_circles_are_those_of_the_weights():
    """Embeddings (r cos(wx + f), r sin(wx + f)) in two units: a circle of radius r, its frequency, its share."""
    params = random_params(neurons=4)
    x = np.arange(P)
    params["W_0"][:] = 0
    for k, radius, units, block in ((3, 2.0, (0, 1), 0), (1, 1.0, (2, 3), 0), (4, 1.0, (0, 1), P)):
        angle = 2 * np.pi * k * x / P + 0.4
        params["W_0"][block : block + P, units[0]] = radius * np.cos(angle)
        params["W_0"][block : block + P, units[1]] = radius * np.sin(angle)
    found = measured(params, gd.Circles(planes=2))
    assert found.circle_frequency.sel(side="a").values.tolist() == [3, 1]
    np.testing.assert_allclose(found.circle_share.sel(side="a"), [0.8, 0.2], rtol=1e-12)
    for plane, radius in ((0, 2.0), (1, 1.0)):
        points = found.circle.sel(side="a", plane=plane)
        np.testing.assert_allclose(
            points.sel(component="cos"), radius * np.cos(2 * np.pi * (3, 1)[plane] * x / P), atol=1e-12
        )
        np.testing.assert_allclose(
            points.sel(component="sin"), radius * np.sin(2 * np.pi * (3, 1)[plane] * x / P), atol=1e-12
        )
    assert found.circle_frequency.sel(side="b", plane=0) == 4


def test_ranks_are_those_of_numpy():
    params = random_params()
    u, v = np.ones(2 * P), np.arange(6.0)
    params["W_0"] = np.outer(u, v)
    found = measured(params, gd.Rank())
    np.testing.assert_allclose(found.sel(matrix="W_0").stable_rank, 1, rtol=1e-12)
    np.testing.assert_allclose(found.sel(matrix="W_0").effective_rank, 1, rtol=1e-10)
    s = np.linalg.svd(params["W_1"], compute_uv=False)
    q = s / s.sum()
    np.testing.assert_allclose(found.sel(matrix="W_1").effective_rank, np.exp(-np.sum(q * np.log(q))), rtol=1e-12)
    np.testing.assert_allclose(found.sel(matrix="W_1").stable_rank, np.sum(s**2) / s[0] ** 2, rtol=1e-12)


def test_an_embedding_shared_by_both_operands_is_one_side():
    experiment = cases.tiny(
        model=gd.Encoder(d_model=8, heads=2, ff=16), steps=1, probes=(gd.FourierPower(), gd.Neurons(), gd.Rank())
    )
    _, found = recorded(experiment)
    assert found.side.values.tolist() == ["ab", "c"]
    assert found.neuron.size == 16
    assert {"W_E", "W_U"} <= set(found.matrix.values.tolist())


def test_an_mlps_operands_are_where_they_stand_in_a_row():
    """Rows (<eos>, a, op, b, =) of tokens: five blocks of W_0, of which the second and the fourth are operands."""
    task = gd.ModularArithmetic(p=7, sequence="<eos> a op b =")
    experiment = cases.tiny(
        task=task, model=gd.MLP(hidden=(6,)), steps=1, record=gd.At((0,)), probes=(gd.FourierPower(),)
    )
    run, found = recorded(experiment)
    W = run.state.params["W_0"].astype(np.float64).reshape(5, 10, 6)[:, :7]
    assert found.side.values.tolist() == ["a", "b", "c"]
    for side, place in (("a", 1), ("b", 3)):
        np.testing.assert_allclose(found.fourier_power.sel(side=side).sum(), np.sum(W[place] ** 2), rtol=1e-6)


@pytest.mark.slow
def test_a_transformer_on_sequences_is_measured_alike():
    """Logits over a vocabulary with "=": residues alone count, and the embedding is that of both operands."""
    model = gd.Transformer(d_model=8, heads=2, d_mlp=16, activation="gelu", init_scale=2.0)
    probes = (gd.ProgressMeasures(), gd.KeyFrequencies(), gd.Neurons(), gd.FourierPower(), gd.AttentionEntropy())
    task = gd.ModularArithmetic(op="sub", p=7, sequence="a b =")
    experiment = cases.tiny(model=model, task=task, dtype="float64", probes=probes, steps=1, record=gd.At((0,)))
    found = gd.run(experiment).isel(step=0)
    with jax.enable_x64(True):
        run = taken_apart(experiment)
        flat, seen, *_ = model.forward(run.state.params, run.table.inputs)
    best, shares = analytic.released_keys(np.asarray(seen["hidden_0"]).reshape(7, 7, -1))
    assert found.neuron.size == 16
    assert np.all(found.neuron_share >= shares - 1e-12), "the last frequency counts too"
    keys = np.flatnonzero(found.key_frequency)
    assert set(best[found.neuron_frequency.values < 3]) <= set(keys)
    flat, labels, train = np.asarray(flat)[:, :7], task.table().labels, np.asarray(run.rows.index[run.rows.counts])
    exact = analytic.restricted_loss(flat, labels, 7, keys, (1, -1))
    # The loss is in float32.
    np.testing.assert_allclose(found.restricted_loss, exact, rtol=1e-6)
    exact = analytic.excluded_loss(flat, labels, train, 7, keys, (1, -1))
    np.testing.assert_allclose(found.excluded_loss, exact, rtol=1e-6)
    power = np.sum(np.square(run.state.params["W_E"][:7]))
    np.testing.assert_allclose(found.fourier_power.sel(side="ab").sum(), power, rtol=1e-12)
    assert found.attention_entropy.shape == (1, 2)


def test_attention_entropy_is_that_of_the_weights(monkeypatch):
    """Against the weights by hand, with 49 or 40 rows in tiles of 8, the last one filled up."""
    model = gd.Encoder(d_model=8, heads=2, ff=16, init_scale=3.0)
    some = gd.AttentionEntropy(rows=40, name="some"), gd.AttentionEntropy(rows=9, part="train", name="train")
    tiny = cases.tiny(model=model, steps=1, record=gd.At((0,)), dtype="float64")
    experiment = tiny.replace(probes=(gd.AttentionEntropy(), *some))
    monkeypatch.setattr(structure, "CPU_TILE", 10)
    monkeypatch.setattr(structure, "VECTOR", 1)
    assert structure.padded(24, cpu=True) == (24, 8)
    run, found = recorded(experiment)
    with jax.enable_x64(True):
        seen = jax.jit(lambda params: model.forward(params, run.table.inputs).activations["attention"])
        weights = np.asarray(seen(run.state.params))
    entropy = -np.sum(weights * np.log(weights), axis=1)
    assert found.attention_entropy.shape == (1, 2)
    places = {"": np.arange(49), "some_": 49 * np.arange(40) // 40, "train_": np.asarray(run.lane.split.order[:9])}
    for name, rows in places.items():
        np.testing.assert_allclose(found[f"{name}attention_entropy"][0], entropy[rows].mean(axis=0), rtol=1e-12)
    for probe, words in (
        (gd.AttentionEntropy(rows=26, part="test"), "rows: got 26; allowed: at most 25, all of the test"),
        (gd.AttentionEntropy(part="train"), "rows: got nothing; allowed: a number of rows, where part is 'train'"),
    ):
        with pytest.raises(gd.SpecError, match=words):
            gd.run(experiment.replace(probes=(probe,)))
    with pytest.raises(gd.SpecError, match="got MLP; allowed: a model with attention"):
        gd.run(cases.tiny(probes=(gd.AttentionEntropy(),)))


ALL = tuple(
    probe for probe in cases.PROBES if type(probe).__module__.rpartition(".")[2] in ("fourier", "neurons", "progress")
)


@pytest.mark.parametrize("probe", ALL, ids=lambda probe: type(probe).__name__)
@pytest.mark.parametrize(
    "other",
    [
        gd.SparseParity(bits=2, noise_bits=4, strings=20),
        gd.ModularArithmetic(op="div", p=7),
        gd.ModularArithmetic(op="add", p=7, pairs="symmetric"),
        gd.ModularArithmetic(op="mul", p=7, first_residue=1),
        gd.ModularArithmetic(op="add", p=7, encoding="binary"),
    ],
    ids=lambda task: type(task).__name__,
)
def test_a_task_without_the_table_of_residues_is_refused(probe, other):
    model = gd.MLP(hidden=(8,))
    with pytest.raises(gd.SpecError, match="full table of residues"):
        gd.run(cases.tiny(task=other, model=model, probes=(probe,)))


@pytest.mark.parametrize(
    ("probe", "path", "words"),
    [
        (gd.FourierPower(embedding="W_E"), "embedding", "got 'W_E'.*row for every residue: W_0, W_1"),
        (gd.Circles(unembedding="b_1"), "unembedding", "got 'b_1'.*column for every residue: W_0, W_1"),
        (gd.Neurons(activation="hidden_4"), "activation", "got 'hidden_4'.*one of hidden_0, pre_0"),
        (gd.KeyFrequencies(definition="embedding", embedding="W_9"), "embedding", "got 'W_9'"),
        (gd.ProgressMeasures(frequencies=(2, 4)), "frequencies", r"up to p//2, 3"),
    ],
)
def test_a_model_without_the_tensor_is_refused(probe, path, words):
    with pytest.raises(gd.SpecError, match=words) as caught:
        gd.run(cases.tiny(probes=(probe,)))
    assert caught.value.path == f"probes[0].{path}"


@pytest.mark.parametrize("probe", [gd.ProgressMeasures(frequencies=(1,)), gd.Circuit()])
def test_results_that_do_not_come_equally_often_have_no_circuit(probe):
    with pytest.raises(gd.SpecError, match="every result comes p times"):
        gd.run(cases.tiny(task=gd.ModularArithmetic(op="mul", p=7), probes=(probe,)))
