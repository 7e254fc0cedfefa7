"""Find the theory of an experiment, or say which assumption fails."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from grokdyn.spec import base
from grokdyn.spec.errors import SpecError
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep
from grokdyn.theory.lines.base import Failure, Line
from grokdyn.theory.lines.circle_student import CircleStudent
from grokdyn.theory.lines.committee_network import CommitteeNetwork
from grokdyn.theory.lines.continual_linear import ContinualLinear
from grokdyn.theory.lines.deep_feature_network import DeepFeatureNetwork
from grokdyn.theory.lines.deep_linear_network import DeepLinearNetwork
from grokdyn.theory.lines.diagonal_network import DiagonalNetwork
from grokdyn.theory.lines.fixed_readout_network import FixedReadoutNetwork
from grokdyn.theory.lines.linear_student import LinearStudent
from grokdyn.theory.lines.mean_field_network import MeanFieldNetwork
from grokdyn.theory.lines.online_learning import OnlineCommittee, OnlineRegression
from grokdyn.theory.lines.population_committee import PopulationCommittee
from grokdyn.theory.lines.ridge_features import RidgeFeatures
from grokdyn.theory.lines.wide_network import WideNetwork

if TYPE_CHECKING:
    import xarray as xr

LINES: tuple[Line, ...] = (
    LinearStudent(),
    ContinualLinear(),
    CircleStudent(),
    OnlineRegression(),
    OnlineCommittee(),
    CommitteeNetwork(),
    PopulationCommittee(),
    DiagonalNetwork(),
    DeepLinearNetwork(),
    FixedReadoutNetwork(),
    RidgeFeatures(),
    WideNetwork(),
    MeanFieldNetwork(),
    DeepFeatureNetwork(),
)


def of(experiment: Any, steps: Any) -> xr.Dataset:
    """Return the closed form of what an experiment, or every run of a sweep, records at some steps.

    The first theory of ``LINES`` whose assumptions all hold. Lines are means over what the theory takes as drawn
    (weights, and data where they are drawn); where it is of the very rows or weights that a seed draws, the mean of the
    lines of the sweep's seeds.

    Args:
        experiment: an Experiment or a Sweep.
        steps: numbers of updates, such as ``ds.step``.

    Returns:
        A Dataset over ``step`` and the sweep's axes but those of seeds, for ``plot.curves(ds, theory=...)``; its
        attributes ``theory`` and ``source`` name the theory of every structure.

    Raises:
        SpecError: where no theory holds, naming the assumption that fails of the one that comes nearest.
    """
    sweep = experiment if isinstance(experiment, Sweep) else Sweep(base.check(experiment), {})
    at = np.atleast_1d(np.asarray(steps)).astype(np.int64)
    if at.ndim != 1 or not at.size or at.min() < 0 or np.any(at != np.asarray(steps)):
        raise SpecError("steps", steps, "whole numbers of updates from 0 on, in one row")
    dims = {sweep.dim(name): axis.size for name, axis in sweep.dims.items()}
    kept = [sweep.dim(name) for name, axis in sweep.dims.items() if not all(map(_seeds, axis.paths))]
    groups: dict[tuple[int, ...], list[Experiment]] = {}
    places = itertools.product(*map(range, dims.values()))
    for place, one in zip(places, sweep.experiments(), strict=True):
        key = tuple(i for i, dim in zip(place, dims, strict=True) if dim in kept)
        groups.setdefault(key, []).append(one)
    lines = [chosen(runs[0]) for runs in groups.values()]
    curves = [_mean(line, runs, at) for line, runs in zip(lines, groups.values(), strict=True)]
    return _labelled(sweep, kept, [dims[dim] for dim in kept], lines, curves, at)


def chosen(experiment: Experiment) -> Line:
    """Return the theory of an experiment; see ``of``."""
    nearest: tuple[tuple[int, int], Line, list[Failure]] | None = None
    for line in LINES:
        failures = list(line.failures(experiment))
        if not failures:
            return line
        # Another kind of part is farther than any number of fields.
        far = sum(path.endswith(".kind") for path, *_ in failures), len(failures)
        if nearest is None or far < nearest[0]:
            nearest = far, line, failures
    assert nearest is not None
    _, line, ((path, came, allowed), *others) = nearest
    more = f", and {len(others)} more of its assumptions" if others else ""
    raise SpecError(path, came, f"{allowed}, for the theory that comes nearest: {line.name} ({line.source}){more}")


def _seeds(path: str) -> bool:
    return path == "seed" or path.startswith("seeds.")


def _seed(run: Experiment, stream: str) -> int:
    own = getattr(run.seeds, stream)
    return run.seed if own is None else own


def _mean(line: Line, runs: list[Experiment], steps: np.ndarray) -> dict[str, np.ndarray]:
    """Return the curves of runs that differ by seeds alone."""
    drawn = {tuple(_seed(run, stream) for stream in line.of_streams): run for run in runs}
    found = [line.curves(run, steps) for run in drawn.values()]
    return {name: np.mean([one[name] for one in found], axis=0) for name in found[0]}


def _labelled(
    sweep: Sweep,
    dims: list[str],
    sizes: list[int],
    lines: list[Line],
    curves: list[dict[str, np.ndarray]],
    steps: np.ndarray,
) -> xr.Dataset:
    # Probes read closed forms too, and would wait half a second for what they do not need.
    import xarray as xr

    missing = np.full(len(steps), np.nan)
    names = dict.fromkeys(itertools.chain.from_iterable(curves))
    data = {
        name: ((*dims, "step"), np.stack([one.get(name, missing) for one in curves]).reshape(*sizes, len(steps)))
        for name in names
    }
    coordinates = {dim: sweep.coordinates[dim] for dim in dims} | {"step": steps}
    coordinates |= {name: at for name, at in sweep.beside.items() if at[0] in dims}
    attributes = {"theory": _joined(line.name for line in lines), "source": _joined(line.source for line in lines)}
    return xr.Dataset(data, coordinates, attributes)


def _joined(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))
