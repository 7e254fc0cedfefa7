"""Where every public name lives. Adding a component: its own file, and a line here.

Places are text and imported when asked for, so that listing kinds or asking for help needs no JAX. A class of a
user's own needs no line: pass an instance from Python, or write ``kind = "module:Class"`` in a file.
"""

from __future__ import annotations

# family -> the kind that a file names -> the class.
KINDS: dict[str, dict[str, str]] = {
    "task": {
        "modular": "grokdyn.tasks.modular:ModularArithmetic",
        "modular_mixture": "grokdyn.tasks.mixture:ModularMixture",
        "symmetric_group": "grokdyn.tasks.permutations:SymmetricGroup",
        "sparse_parity": "grokdyn.tasks.parity:SparseParity",
        "mnist": "grokdyn.tasks.mnist:Mnist",
        "multi_index": "grokdyn.tasks.multi_index:MultiIndex",
        "linear_teacher": "grokdyn.tasks.linear_teacher:LinearTeacher",
        "teacher_student": "grokdyn.tasks.teacher_student:TeacherStudent",
        "kernel_eigenvector": "grokdyn.tasks.eigenvector:KernelEigenvector",
    },
    "model": {
        "mlp": "grokdyn.models.mlp:MLP",
        "encoder": "grokdyn.models.encoder:Encoder",
        "committee": "grokdyn.models.committee:Committee",
        "transformer": "grokdyn.models.transformer:Transformer",
    },
    "loss": {
        "cross_entropy": "grokdyn.losses.cross_entropy:CrossEntropy",
        "stablemax": "grokdyn.losses.stablemax:StableMaxCrossEntropy",
        "mse": "grokdyn.losses.mse:MSE",
        "switch_loss": "grokdyn.losses.switch:SwitchLoss",
        "forced_collapse": "grokdyn.losses.switch:ForcedCollapse",
    },
    "optimizer": {
        "sgd": "grokdyn.optim.sgd:SGD",
        "adam": "grokdyn.optim.adam:Adam",
        "adamw": "grokdyn.optim.adam:AdamW",
        "lion": "grokdyn.optim.lion:Lion",
        "muon": "grokdyn.optim.muon:Muon",
        "perpgrad": "grokdyn.optim.perpgrad:PerpGrad",
        "grokfast_ema": "grokdyn.optim.grokfast:GrokfastEMA",
        "grokfast_ma": "grokdyn.optim.grokfast:GrokfastMA",
        "norm_constraint": "grokdyn.optim.constraint:NormConstraint",
        "sam": "grokdyn.optim.sam:SAM",
        "switch_optimizer": "grokdyn.optim.switch:SwitchOptimizer",
    },
    "schedule": {
        "constant": "grokdyn.optim.schedules:Constant",
        "warmup": "grokdyn.optim.schedules:Warmup",
        "cosine": "grokdyn.optim.schedules:Cosine",
        "step": "grokdyn.optim.schedules:StepDecay",
    },
    "probe": {
        "loss": "grokdyn.probes.fit:Loss",
        "accuracy": "grokdyn.probes.fit:Accuracy",
        "weight_norm": "grokdyn.probes.norms:WeightNorm",
        "gradient_norm": "grokdyn.probes.norms:GradientNorm",
        "update_norm": "grokdyn.probes.norms:UpdateNorm",
        "distance_from_init": "grokdyn.probes.norms:DistanceFromInit",
        "logits": "grokdyn.probes.logits:Logits",
        "logit_scale": "grokdyn.probes.logits:LogitScale",
        "softmax_collapse": "grokdyn.probes.collapse:SoftmaxCollapse",
        "zero_terms": "grokdyn.probes.collapse:ZeroTerms",
        "nlm_alignment": "grokdyn.probes.alignment:NLMAlignment",
        "absorbed_updates": "grokdyn.probes.absorption:AbsorbedUpdates",
        "kernel_alignment": "grokdyn.probes.kernel:KernelAlignment",
        "kernel_spectrum": "grokdyn.probes.kernel:KernelSpectrum",
        "kernel_drift": "grokdyn.probes.kernel:KernelDrift",
        "kernel_velocity": "grokdyn.probes.kernel:KernelVelocity",
        "kernel_dynamics": "grokdyn.probes.kernel_dynamics:KernelDynamics",
        "committee_error": "grokdyn.probes.committee:CommitteeError",
        "sharpness": "grokdyn.probes.curvature:Sharpness",
        "edge_of_stability": "grokdyn.probes.curvature:EdgeOfStability",
        "hessian_trace": "grokdyn.probes.curvature:HessianTrace",
        "learning_coefficient": "grokdyn.probes.singular:LearningCoefficient",
        "gradient_coherence": "grokdyn.probes.gradients:GradientCoherence",
        "gradient_blocks": "grokdyn.probes.gradients:GradientBlocks",
        "example_scores": "grokdyn.probes.gradients:ExampleScores",
        "laziness": "grokdyn.probes.laziness:Laziness",
        "feature_cka": "grokdyn.probes.features:FeatureCKA",
        "fourier_power": "grokdyn.probes.fourier:FourierPower",
        "ipr": "grokdyn.probes.fourier:InverseParticipationRatio",
        "circles": "grokdyn.probes.fourier:Circles",
        "neurons": "grokdyn.probes.neurons:Neurons",
        "key_frequencies": "grokdyn.probes.neurons:KeyFrequencies",
        "progress_measures": "grokdyn.probes.progress:ProgressMeasures",
        "circuit": "grokdyn.probes.progress:Circuit",
        "rank": "grokdyn.probes.rank:Rank",
        "attention_entropy": "grokdyn.probes.attention:AttentionEntropy",
    },
    "stop": {
        "when": "grokdyn.spec.stop:When",
        "stalled": "grokdyn.spec.stop:Stalled",
    },
    "record": {
        "every": "grokdyn.spec.record:Every",
        "log_spaced": "grokdyn.spec.record:LogSpaced",
        "at": "grokdyn.spec.record:At",
    },
}

# family -> a further name that a file may use for a kind.
ALIASES = {"optimizer": {"grokfast": "grokfast_ema"}}

# family -> the class that all of its components extend.
BASES = {
    "stop": "grokdyn.spec.stop:StopRule",
    "task": "grokdyn.tasks.base:Task",
    "model": "grokdyn.models.base:Model",
    "loss": "grokdyn.losses.base:Loss",
    "optimizer": "grokdyn.optim.base:AnyOptimizer",
    "schedule": "grokdyn.optim.schedules:Schedule",
    "probe": "grokdyn.probes.base:Probe",
    "record": "grokdyn.spec.record:Record",
}

OTHERS = {
    "Experiment": "grokdyn.spec.experiment:Experiment",
    "Seeds": "grokdyn.spec.experiment:Seeds",
    "Sweep": "grokdyn.spec.sweep:Sweep",
    "SpecError": "grokdyn.spec.errors:SpecError",
    "Start": "grokdyn.train.start:Start",
    "ClusterError": "grokdyn.engine.connect:ClusterError",
    "StoreError": "grokdyn.engine.files:StoreError",
    "OutOfMemoryError": "grokdyn.engine.memory:OutOfMemoryError",
    "run": "grokdyn.engine.run:run",
    "resume": "grokdyn.engine.run:resume",
    "fork": "grokdyn.engine.snapshots:fork",
    "probe": "grokdyn.engine.snapshots:probe",
    "params": "grokdyn.engine.parameters:params",
    "Interrupted": "grokdyn.engine.interrupt:Interrupted",
    "open": "grokdyn.engine.store:open_store",
    "load": "grokdyn.spec.files:load",
    "Task": "grokdyn.tasks.base:Task",
    "Model": "grokdyn.models.base:Model",
    "LossFunction": "grokdyn.losses.base:Loss",
    "Optimizer": "grokdyn.optim.base:Optimizer",
    "Probe": "grokdyn.probes.base:Probe",
    "Variable": "grokdyn.probes.base:Variable",
    "perpgrad": "grokdyn.optim.perpgrad:perpgrad",
    "Grokfast": "grokdyn.optim.grokfast:GrokfastEMA",
    "grokfast_ema": "grokdyn.optim.grokfast:grokfast_ema",
    "grokfast_ma": "grokdyn.optim.grokfast:grokfast_ma",
    "norm_constraint": "grokdyn.optim.constraint:norm_constraint",
    "cross_entropy": "grokdyn.losses.plain:cross_entropy",
    "stablemax_cross_entropy": "grokdyn.losses.plain:stablemax_cross_entropy",
    "field": "grokdyn.spec.base:field",
    "rules": "grokdyn.spec.rules",
    "interop": "grokdyn.interop",
    "plot": "grokdyn.plot",
    "analysis": "grokdyn.analysis",
    "theory": "grokdyn.theory",
    "ntk": "grokdyn.kernel.ntk:ntk",
    "Readout": "grokdyn.kernel.readout:Readout",
}

# name in the package -> "module:attribute".
PLACES = {place.rpartition(":")[2]: place for kinds in KINDS.values() for place in kinds.values()} | OTHERS
