"""Dataset -> Dataset: when a run fits and generalises, which phase it is in, how runs spread over seeds."""

from .across_runs import spread
from .agreement import agreement, calibration
from .alarms import alarm, auroc
from .barriers import barrier
from .boundary import boundary
from .censoring import CENSORING
from .classify import phases
from .corruption import corruption_phases
from .diffusion import diffusion
from .ends import final
from .ensembles import ensemble
from .flips import sign_flips
from .foretelling import foretelling
from .forgetting import forgetting
from .lifetimes import event_times, sample_sizes, scaling, survival
from .likeness import cka_over_time
from .orders import kendall
from .own_steps import measured
from .parts import parts
from .progress import progress_phases
from .spectral_density import spectral_density
from .spikes import spikes
from .stability import stability
from .subspace import update_subspace
from .times import first_step, grokking_time

__all__ = [
    "CENSORING",
    "agreement",
    "alarm",
    "auroc",
    "barrier",
    "boundary",
    "calibration",
    "cka_over_time",
    "corruption_phases",
    "diffusion",
    "ensemble",
    "event_times",
    "final",
    "first_step",
    "foretelling",
    "forgetting",
    "grokking_time",
    "kendall",
    "measured",
    "parts",
    "phases",
    "progress_phases",
    "sample_sizes",
    "scaling",
    "sign_flips",
    "spectral_density",
    "spikes",
    "spread",
    "stability",
    "survival",
    "update_subspace",
]
