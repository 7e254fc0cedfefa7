"""Components to test: one instance a line buys every contract test that runs over the lists.

A new kind needs a line here; a test holds that.
"""

from __future__ import annotations

import pytest

import grokdyn as gd
from grokdyn.checks.contract import changed, numbers  # noqa: F401
from grokdyn.spec.kinds import kind_of
from grokdyn.tasks import digits, mnist

TASKS = (
    gd.ModularArithmetic(op="add", p=7, train_fraction=0.4, label_noise=0.25),
    gd.ModularArithmetic(op="div", p=5, train_fraction=0.7, label_noise=0.5, noise="wrong"),
    gd.ModularArithmetic(op="x2+xy+y2", p=6, pairs="symmetric", first_residue=1),
    gd.ModularArithmetic(op="div|sub", p=7, sequence="a op b =", label_noise=0.5),
    gd.ModularMixture(ops=("mul", "div"), p=5, label_noise=0.25),
    gd.SymmetricGroup(n=3, op="x*y*x^-1", sequence="<eos> a op b ="),
    gd.ModularArithmetic(op="add|mul", p=5, sequence="<eos> a op b = c", label_noise=0.5),
    gd.SparseParity(bits=2, noise_bits=4, strings=20, label_noise=0.25),
    gd.SparseParity(bits=2, noise_bits=20, strings=20),
    gd.SparseParity(bits=2, noise_bits=20, strings=20, fresh=True),
    gd.MultiIndex(dimension=4, points=20, indices=2, linear=0.5, label_noise=0.25),
    gd.MultiIndex(dimension=3, points=12, indices=2, combine="product", basis="hermite", cubic=1.0, normalised=True),
    gd.LinearTeacher(dimension=5, points=20, train_points=8, noise_std=0.5, label_noise=0.5, noise="wrong"),
    gd.LinearTasks(dimension=5, rows=3, order=(1, 2, 1), similarity=-0.5, noise_std=0.5),
    gd.TeacherStudent(dimension=3, points=12, teacher=gd.MLP(hidden=(4,), activation="tanh"), teacher_outputs=2),
    gd.TeacherStudent(dimension=3, points=12, teacher=gd.MLP(hidden=(4,)), noise_std=0.5),
    gd.HierarchicalPolynomial(dimension=4, points=20, terms=3, cubic=0.5, inputs="sphere", label_noise=0.25),
    gd.SparseSign(dimension=6, points=14, label_noise=0.25),
    gd.Modes(items=6, modes=3, label_noise=0.5),
    gd.Circle(points=12, harmonic=3, noise_std=0.5, label_noise=0.25),
    gd.Harmonics(points=7, frequencies=5, noise_std=0.3),
    gd.Boolean(function="threesym", dimension=4, seen="threesym", label_noise=0.25),
    gd.Boolean(function="staircase", dimension=5, seen="frozen", coordinates=(0, 2), value="-1", encoding="tokens"),
    gd.KernelEigenvector(dimension=3, points=12, index=3),
    gd.XorClusters(dimension=9, points=12, train_points=8, label_noise=0.25, noise="wrong", mean_norm=3.0),
    gd.XorClusters(dimension=50, points=12, mean_norm=3.0, reduced=True),
    gd.LongTail(subpopulations=6, exponent=1.5, classes=3, points=14, dimension=4, label_noise=0.25),
    gd.LongTail(subpopulations=5, classes=2, points=14, train_points=6, centres="one_hot", spread=0.0),
    gd.InContextRegression(dimension=3, pairs=4, train_pairs=(1, 3), prompts=12, noise_std=0.5),
    gd.InContextClassification(classes=3, width=4, length=3, tasks=5, rows=6),
    *(
        [gd.InContextClassification(classes=4, width=5, length=3, source="digits", images=500, rows=6)]
        if digits.source()
        else []
    ),
    gd.Algorithmic(lengths=(1, 2), longer=(4,), symbols=3, rows=4),
    gd.Algorithmic(algorithm="add_hints", lengths=(1, 2), longer=(3,), rows=4, fresh=False, label_noise=0.25),
    gd.Composition(entities=5, relations=3, facts=3, unseen=0, inferred=9, tested=4, steps=True, wrong_bridges=0.5),
    gd.Comparison(entities=5, attributes=2, values=3, unseen=2, pairs=3, tested=2),
    gd.KeyValueFacts(subjects=5, relations=2, answers=3, forms=3, multiplicity=2, asked=3),
    gd.KeyValueFacts(subjects=5, relations=2, answers=3, forms=3, multiplicity=3, asked=1, words="shared"),
    gd.SharedAxis(points=12, coherence=3, train_fraction=0.75, label_noise=0.25),
    gd.FeatureData(dimension=6, common=5, rare=2, test_rows=3, label_noise=0.25),
    gd.FeatureData(dimension=6, common=5, rare=2, both=1, test_rows=3, fresh=True),
    gd.FeatureData(dimension=5, rare=0, both=4, vectors="opposite", places="own", targets="sign"),
    gd.OpposingOutliers(dimension=3, points=10, outliers=2, label_noise=0.25),
    gd.Slabs(dimension=4, points=12, corrupted=0.5, others="7-slab", label_noise=0.25),
    gd.Slabs(dimension=3, points=12, simple="5-slab", others="3-slab", simple_count=2, rotated=False),
    *([gd.Digits(train_points=50, label_noise=0.25)] if digits.source() else []),
    *(
        [gd.DigitTasks(images=20, unseen=9), gd.DigitTasks(tasks=5, by="classes", images=8, unseen=4)]
        if digits.source()
        else []
    ),
    *([gd.Mnist(train_points=60, label_noise=0.5)] if mnist.source() else []),
)
MODELS = (
    gd.MLP(hidden=(8,)),
    gd.MLP(hidden=(6, 5), activation="square", bias=True, init="gromov", init_scale=2.0, output_scale=0.5),
    gd.Encoder(d_model=4, heads=2, ff=8, dropout=0.25, init_scale=0.5),
    gd.Committee(width=6, epsilon=0.25, output_scale=2.0, centred=True, rescaled=True),
    gd.FixedReadout(width=5, output_scale=2.0),
    gd.Patches(filters=3, power=3, init_scale=0.5),
    gd.Patches(filters=2, rectified=False, opposed=True, averaged=True, size=2),
    gd.SoftCommittee(width=3, along=0.5, spread=0.75),
    gd.MLP(hidden=(4,), activation="tanh", linearised=True),
    gd.MLP(hidden=(5, 5), norm="batch", norm_at="after", ghost=6, dropout=0.25, dropout_at="before", residual=True),
    gd.MLP(hidden=(5, 4), norm="layer", norm_momentum=0.2, activation="tanh"),
    gd.CNN(channels=(3, 2), kernel=2, norm="batch", hidden=(4,), output_scale=0.5),
    gd.TokenSum(d_model=5, hidden=4, activation="tanh", init_scale=0.5, output_scale=2.0),
    gd.Diagonal(init_scale=0.5),
    gd.RandomFeatures(width=6, activation="tanh", init_scale=0.5, output_scale=2.0),
    gd.Bottleneck(width=6, outer_width=4, activation="square", init_scale=0.5, output_scale=2.0),
    gd.Transformer(d_model=4, heads=2, d_mlp=8, dropout=0.25, init_scale=0.5),
    gd.Transformer(layers=2, d_model=4, heads=2, d_mlp=8, norm="pre", positions="sinusoidal", init="torch"),
    gd.Transformer(d_model=4, heads=2, d_mlp=6, experts=3, top=2, load_balance=0.5),
    gd.Transformer(d_model=4, heads=1, d_mlp=0, norm="post", positions="none", causal=False, tied=True, init="mup"),
)
LOSSES = (
    gd.CrossEntropy(),
    gd.CrossEntropy(precision="float64", label_smoothing=0.25, temperature=2.0),
    gd.CrossEntropy(precision="float16"),
    gd.StableMaxCrossEntropy(),
    gd.MSE(),
    gd.MSE(reduction="sum"),
    gd.SwitchLoss(first=gd.CrossEntropy(temperature=0.5), then=gd.MSE(), at=2),
    gd.ForcedCollapse(inner=gd.CrossEntropy(), at=2),
    gd.HeldLogitScale(inner=gd.CrossEntropy(), scale=2.0),
    gd.ZeroSum(inner=gd.CrossEntropy()),
)
OPTIMIZERS = (
    gd.SGD(learning_rate=0.1),
    gd.SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    gd.Adam(learning_rate=0.01, weight_decay=0.1),
    gd.AdamW(learning_rate=0.01, b2=0.98, weight_decay=1.0, schedule=gd.Warmup(steps=3.0), clip_norm=0.5),
    gd.Lion(learning_rate=0.01, weight_decay=0.3),
    gd.PerpGrad(inner=gd.AdamW(learning_rate=0.01)),
    gd.AdamW(learning_rate=0.01, weight_decay=0.5, decay_to="init"),
    gd.Muon(learning_rate=0.02, weight_decay=0.1, rest=gd.SGD(learning_rate=0.1), leave=("W_1",)),
    gd.GrokfastEMA(inner=gd.AdamW(learning_rate=0.01), alpha=0.9, lamb=3.0),
    gd.GrokfastMA(inner=gd.SGD(learning_rate=0.1), window=2, lamb=1.5),
    gd.NormConstraint(inner=gd.AdamW(learning_rate=0.01)),
    gd.NormConstraint(inner=gd.SGD(learning_rate=0.1), norm=3.0, scope="tensor"),
    gd.NormConstraint(inner=gd.AdamW(learning_rate=0.01), factor=1.5, at=2),
    gd.SAM(inner=gd.SGD(learning_rate=0.1), rho=0.1),
    gd.SwitchOptimizer(first=gd.SGD(learning_rate=0.1), then=gd.AdamW(learning_rate=0.01), at=2),
    gd.GAM(inner=gd.SGD(learning_rate=0.1), gamma=0.1),
    gd.EntropySGD(inner=gd.SGD(learning_rate=0.5), steps=2),
    gd.Winsorised(inner=gd.SGD(learning_rate=0.1), level=10.0),
    gd.SAF(inner=gd.AdamW(learning_rate=0.01), epoch=2, start=1),
    gd.GradientNoise(inner=gd.SGD(learning_rate=0.1), tail=1.5),
    gd.EGD(inner=gd.SGD(learning_rate=0.1)),
    gd.IVON(learning_rate=0.1),
    gd.ScheduleFree(inner=gd.AdamW(learning_rate=0.01, b1=0.0), power=1.0),
    gd.Groups(inner=gd.AdamW(learning_rate=0.01), groups=(gd.Group(match="*0", learning_rate=0.1, weight_decay=0.5),)),
)
SCHEDULES = (
    gd.Constant(),
    gd.Warmup(steps=4.0, offset=1.0),
    gd.Cosine(steps=12.0, warmup=3.0, final=0.1),
    gd.StepDecay(every=3.0, factor_per_drop=0.5),
)
PROBES = (
    gd.Loss(),
    gd.Accuracy(),
    gd.TokenAccuracy(),
    gd.WeightNorm(),
    gd.Weights(entries=3),
    gd.GradientNorm(),
    gd.UpdateNorm(),
    gd.DistanceFromInit(),
    gd.Logits(),
    gd.LogitScale(),
    gd.SoftmaxCollapse(),
    gd.SoftmaxCollapse(precision="float16"),
    gd.ZeroTerms(),
    gd.ClassSum(),
    gd.NLMAlignment(),
    gd.AbsorbedUpdates(),
    gd.KernelAlignment(rows=6),
    gd.KernelSpectrum(rows=5, top=2, outputs="difference", second=2),
    gd.KernelDrift(rows=4, part="train", method="jacobian"),
    gd.KernelVelocity(rows=4, part="test"),
    gd.Laziness(rows=5),
    gd.FeatureCKA(rows=5, grams=True),
    gd.KernelDynamics(),
    gd.InfiniteWidth(),
    gd.TargetModes(top=2),
    gd.InnerPolynomial(),
    gd.Unexplained(),
    gd.KernelRidge(kernel="tangent", ridges=(0.1, 0.5)),
    gd.Sharpness(iterations=4),
    gd.EdgeOfStability(iterations=4),
    gd.HessianTrace(samples=3),
    gd.HessianDensity(iterations=3, starts=2),
    gd.WorstSharpness(rows=6, m=3, steps=2, starts=2),
    gd.WorstSharpness(rows=6, norm="linf", rho=0.01, adaptive=False, steps=2),
    gd.AverageSharpness(rows=6, samples=2),
    gd.CommutatorDefect(batch=3, pairs=2),
    gd.LearningCoefficient(draws=3, chains=2, burn_in=1, leaps=2),
    gd.LearningCoefficient(draws=2, chains=2, leaps=0, traces=True),
    gd.Fragmentation(rows=6, points=4),
    gd.GeneralisationMeasures(draws=2, halvings=3),
    gd.GradientCoherence(rows=5),
    gd.GradientCovariance(rows=5),
    gd.GradientSubspace(rows=5, share=0.8),
    gd.GradientBlocks(rows=6),
    gd.ExampleScores(rows=5, part="train"),
    gd.OpposingGroups(top=3, per_row=True),
    gd.Predictions(rows=5),
    gd.CommitteeError(),
    gd.OrderParameters(),
    gd.TrainSet(),
    gd.Descended(),
    gd.ClusterFeatures(per_neuron=True),
    gd.FeatureAlignment(),
    gd.SignAccuracy(),
    gd.Residual(),
    gd.TailError(most=3),
    gd.FourierPower(),
    gd.FourierEntropy(),
    gd.Walsh(),
    gd.InverseParticipationRatio(transform="fft"),
    gd.Circles(planes=2, embedding="W_0", unembedding="W_1"),
    gd.Neurons(per_neuron=True),
    gd.KeyFrequencies(definition="embedding", threshold=1.5),
    gd.ProgressMeasures(threshold=0.25, per_frequency=True),
    gd.NeuronIPR(bins=5),
    gd.Pruning(steps=4),
    gd.Circuit(),
    gd.Rank(),
    gd.FrozenSubspace(match="W_*"),
    gd.GradientRank(parts=("test", "train")),
    gd.AttentionEntropy(),
    gd.AttentionMaps(rows=6),
    gd.HeadLikeness(rows=6),
    gd.InductionScore(length=2, strings=5),
    gd.InContext(lengths=(0, 2)),
    gd.InContextAccuracy(),
    gd.LogitLens(),
    gd.CausalTracing(rows=5),
    gd.Pathways(rows=4, memorised=5.0),
    gd.LocalComplexity(rows=3, vertices=4, radii=(0.1, 1.0)),
    gd.AdversarialAccuracy(rows=3, steps=2, norm="l2"),
    gd.RandomisedFeatures(rows=6, part="test", per_row=True),
)
SIGNED = gd.FeatureData(dimension=6, common=4, rare=2, vectors="opposite", places="own", targets="sign")
# What a model or probe needs that fits few experiments.
HOMES = {
    gd.CNN: {"task": gd.Digits(train_points=20)},
    gd.RandomFeatures: {"task": gd.Boolean(dimension=4), "loss": gd.MSE()},
    gd.Bottleneck: {"task": gd.Boolean(dimension=4), "loss": gd.MSE()},
    gd.InnerPolynomial: {
        "task": gd.HierarchicalPolynomial(dimension=4, points=30, degree=3),
        "model": gd.Bottleneck(width=6, outer_width=4),
        "loss": gd.MSE(),
    },
    **{
        cls: {"task": gd.MultiIndex(dimension=4, points=30), "loss": gd.MSE()}
        for cls in (gd.Unexplained, gd.KernelRidge)
    },
    gd.Walsh: {"task": gd.Boolean(dimension=4, seen="threesym"), "loss": gd.MSE()},
    gd.KernelDynamics: {"loss": gd.MSE(), "optimizer": gd.SGD()},
    gd.InfiniteWidth: {"model": gd.MLP(hidden=(6,), init="ntk"), "loss": gd.MSE(), "optimizer": gd.SGD()},
    gd.CommitteeError: {
        "task": gd.MultiIndex(dimension=4, points=30, indices=2, linear=0.3, constant=0.1),
        "model": gd.Committee(width=3, centred=True),
        "loss": gd.MSE(),
    },
    gd.Patches: {"task": gd.Digits(train_points=20, images=True)},
    gd.FeatureAlignment: {"task": SIGNED, "model": gd.Patches(filters=2, opposed=True), "loss": gd.MSE()},
    **{cls: {"task": gd.Boolean(dimension=4), "loss": gd.MSE()} for cls in (gd.SignAccuracy, gd.Residual)},
    gd.SoftCommittee: {"task": gd.Boolean(dimension=4), "loss": gd.MSE()},
    gd.OrderParameters: {
        "task": gd.TeacherStudent(dimension=4, points=20, teacher=gd.SoftCommittee(along=1.0, spread=0.25)),
        "model": gd.SoftCommittee(width=3),
        "loss": gd.MSE(),
    },
    gd.ClusterFeatures: {
        "task": gd.XorClusters(dimension=9, points=30, mean_norm=3.0, label_noise=0.2),
        "model": gd.FixedReadout(width=3),
    },
    gd.Pathways: {"model": gd.Transformer(layers=3, d_model=4, heads=1, d_mlp=4, experts=3)},
    **{
        cls: {
            "task": gd.ModularArithmetic(op="add", p=7, sequence="a op b ="),
            "model": gd.Transformer(d_model=4, heads=2, d_mlp=4),
        }
        for cls in (gd.AttentionMaps, gd.HeadLikeness, gd.InductionScore)
    },
    **{cls: {"model": gd.Transformer(d_model=4, heads=2, d_mlp=4)} for cls in (gd.LogitLens, gd.CausalTracing)},
    gd.LocalComplexity: {"task": gd.XorClusters(dimension=9, points=30, mean_norm=3.0)},
    gd.AdversarialAccuracy: {"task": gd.XorClusters(dimension=9, points=30, mean_norm=3.0)},
    gd.Adversarial: {"task": gd.Slabs(dimension=4, points=30)},
    gd.RandomisedFeatures: {"task": gd.Slabs(dimension=4, points=30)},
    **{cls: {"task": gd.SparseParity(bits=2, noise_bits=4, strings=40)} for cls in (gd.Mixup, gd.InputNoise)},
    **{cls: {"task": gd.Digits(train_points=20, images=True)} for cls in (gd.Shifts, gd.Flips)},
    gd.Descended: {"transforms": (gd.RowWeights(feature="label", low=0),)},
    gd.InContext: {
        "task": gd.InContextRegression(dimension=2, pairs=3, prompts=20),
        "model": gd.Transformer(d_model=4, heads=1, d_mlp=0, attention="linear", positions="none"),
        "loss": gd.MSE(),
        "batch_size": 4,
    },
    gd.InContextAccuracy: {
        "task": gd.InContextClassification(classes=3, width=3, length=4, tasks=5, rows=10),
        "model": gd.Transformer(d_model=4, heads=1, d_mlp=4, answers=4),
        "batch_size": 4,
    },
    gd.TailError: {"task": gd.LongTail(subpopulations=12, classes=3, points=30, dimension=4)},
}
TRANSFORMS = (
    gd.Mixup(alpha=0.5, until=6),
    gd.Mixup(per="row", same_class=True),
    gd.Mixup(share=0.75, label_share=0.5, until=6),
    gd.InputNoise(std=0.25),
    gd.RedrawnLabels(probability=0.5),
    gd.Adversarial(budget=0.5, norm="linf", steps=2, low=-5.0, high=5.0),
    gd.Shifts(),
    gd.Flips(),
    gd.RowWeights(feature="label", low=0, factor=2.0),
    gd.HardRows(power=0.5, since=2),
    gd.SlowCluster(factor=3.0, since=2),
    gd.Curriculum(feature="label", every=3),
    gd.TrainSize(points=4, since=3, until=7),
    gd.PartSequence(parts=("pool",), every=4, replay=0.25),
)
STOPS = (
    gd.When(variable="test_accuracy", threshold=0.5, records=2),
    gd.Stalled(fitted_at=0.9, within=4),
)
RECORDS = (
    gd.Every(3),
    gd.LogSpaced(5),
    gd.At((0, 2, 9)),
)
FAMILIES = {
    "task": TASKS,
    "model": MODELS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "probe": PROBES,
    "transform": TRANSFORMS,
    "stop": STOPS,
    "record": RECORDS,
}


def tiny(**changes):
    """Return a valid experiment that costs next to nothing."""
    return gd.Experiment(
        task=gd.ModularArithmetic(op="add", p=7),
        model=gd.MLP(hidden=(8,)),
        loss=gd.CrossEntropy(),
        optimizer=gd.AdamW(learning_rate=0.01),
        steps=10,
        record=gd.Every(5),
    ).replace(**changes)


def within(family, component):
    """Return an experiment that contains the component."""
    if family == "schedule":
        return tiny(**{"optimizer.schedule": component})
    if family == "probe":
        return tiny(probes=(component,), **home(component))
    if family == "transform":
        return tiny(transforms=(component,), **home(component))
    if family == "stop":
        return tiny(stop=(component,))
    return tiny(**home(component), **{family: component})


def home(component):
    """Return what a task, model or probe needs that fits few experiments, as changes of an experiment."""
    if isinstance(component, gd.InContextClassification):
        return {"model": gd.Transformer(d_model=4, heads=1, d_mlp=4, answers=component.length), "batch_size": 4}
    if getattr(component, "endless", False):
        return {"batch_size": 4}
    if isinstance(component, gd.Composition | gd.Comparison):
        answers = component.signature().answers
        return {"model": gd.Transformer(d_model=4, heads=2, d_mlp=4, answers=answers, padded=True)}
    return HOMES.get(type(component), with_attention(component))


def with_attention(probe):
    """Return the model that a probe of attention needs, as changes of an experiment; nothing for other probes."""
    return {"model": MODELS[-1]} if isinstance(probe, gd.AttentionEntropy) else {}


def cases(*families):
    """Return pytest parameters ``(family, component)``, or components alone where one family is asked for."""
    wanted = families or tuple(FAMILIES)
    found = [(family, component) for family in wanted for component in FAMILIES[family]]
    names = [f"{kind_of(component)}-{i}" for i, (family, component) in enumerate(found)]
    values = [(component,) if len(families) == 1 else (family, component) for family, component in found]
    return [pytest.param(*value, id=name) for value, name in zip(values, names, strict=True)]
