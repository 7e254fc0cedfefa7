"""Networks on the straight line between the parameters of two runs of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.scope import scope
from grokdyn.engine.loop.batch import Batch, Shared
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.store import states
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.results import Part, dataset
from grokdyn.engine.stored import kept, same_as_ever
from grokdyn.spec.base import put
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.kinds import Parts
from grokdyn.spec.paths import place_of
from grokdyn.spec.record import At

if TYPE_CHECKING:
    import xarray as xr

PARAMS, CARRIED = "params.", "model."


def connect(
    path: str | Path,
    along: str = "seed",
    probes: Sequence[Any] = ("loss", "accuracy"),
    points: int = 11,
    step: int | None = None,
    anyway: bool = False,
) -> xr.Dataset:
    """Measure the networks between each run and the next one along an axis: (1 - s) w + s w', s from 0 to 1.

    The rows are the run's own, as are its labels; the last run along the axis goes with the first. What the loss rises
    on the way is ``gd.analysis.barrier``.

    Args:
        path: a store whose spec has ``snapshots``.
        along: axis of the sweep.
        probes: what is measured, or its names; probes of an optimizer's memory see the run's.
        points: values of s, evenly spaced.
        step: one of the snapshots; default: the last.
        anyway: although versions, device or settings have changed since.

    Returns:
        Dataset with dims (swept axes..., share, probe axes...), ``share`` the values of s; nan where one of both runs
        was over before the step.

    Raises:
        SpecError: for a mistake in the probes, an unknown axis or step, runs along it of other shapes, or a model that
            carries more than parameters.
        StoreError: if there are no snapshots, the folder is not a store or is damaged, or something has changed.
    """
    path = place_of(path)
    sweep, known = same_as_ever(path, anyway, "connect")
    if along not in sweep.shape:
        raise SpecError("along", along, "an axis of the sweep: " + ", ".join(sweep.shape))
    if points < 2:
        raise SpecError("points", points, "at least 2")
    steps = kept(sweep.base, states.read_origin(path, known))
    if not steps or {"snapshots", "probes", "record", "stop"} & sweep.axes.keys():
        raise StoreError(f"{str(path)!r} has no snapshots of one kind; allowed: a spec with snapshots = [steps]")
    if step is not None and step not in steps:
        raise SpecError("step", step, "one of the snapshots: " + ", ".join(map(str, steps)))
    at = steps[-1] if step is None else step
    seen = put(put(sweep.base, "probes", Parts("probe").decode(list(probes), "probes")), "record", At((0,)))
    between = sweep.along(put(seen, "stop", ()))
    numbers = np.arange(sweep.size).reshape(tuple(sweep.shape.values()))
    partners = np.roll(numbers, -1, axis=list(sweep.shape).index(along)).ravel()
    with scope(between):
        plan = Plan.stored(path, between, known, devices())
        ends = network_of_every_run(path, plan, known, at)
        shares = np.linspace(0, 1, points)
        found = dataset(between, list(measured(path, plan, known, at, ends, partners, shares)))
    named = found.rename(step="share").assign_coords(share=shares)
    named["share"].attrs = {"long_name": "share of the other network", "units": "1"}
    return named


def network_of_every_run(
    path: Path, plan: Plan, known: Mapping[str, Any], step: int
) -> list[dict[str, np.ndarray] | None]:
    """Return the parameters of every run by its number, None of one that was over before the step."""
    networks: list[dict[str, np.ndarray] | None] = [None] * plan.sweep.size
    for planned in plan.batches():
        found, there = states.read_snapshot(path, planned.number, step, known)
        if any(name.startswith(CARRIED) for name in found):
            raise SpecError("model", Words("a model that carries more than parameters"), "one of parameters alone")
        mine = {name: leaf for name, leaf in found.items() if name.startswith(PARAMS)}
        for lane in np.flatnonzero(there):
            networks[planned.runs[lane]] = {name: leaf[lane] for name, leaf in mine.items()}
    return networks


def measured(
    path: Path,
    plan: Plan,
    known: Mapping[str, Any],
    step: int,
    ends: Sequence[dict[str, np.ndarray] | None],
    partners: np.ndarray,
    shares: np.ndarray,
) -> Iterator[Part]:
    """Yield what the probes see on the way from every batch's runs to their partners."""
    for planned in plan.batches():
        runs, cohort = planned.runs, planned.cohort
        batch = Batch(cohort, planned.lanes, Shared.of(cohort, devices()))
        found, there = states.read_snapshot(path, planned.number, step, known)
        arrays = {
            name: np.full((len(runs), len(shares), *(len(v.coordinates[dim]) for dim in v.dims)), np.nan)
            for name, v in cohort.variables.items()
        }
        pairs = [ends[int(partners[run])] if here else None for run, here in zip(runs, there, strict=True)]
        both = np.array([pair is not None for pair in pairs])
        for place, share in enumerate(shares if both.any() else ()):
            batch.adopt(
                found | {name: towards(found[name], name, pairs, share) for name in found if name.startswith(PARAMS)}
            )
            for name, values in batch.look().items():
                arrays[name][both, place] = values[batch.lanes.real][both]
        yield Part(runs, np.arange(len(shares)), cohort.variables, arrays, batch.status())


def towards(own: np.ndarray, name: str, pairs: Sequence[dict[str, np.ndarray] | None], share: float) -> np.ndarray:
    """Return a tensor of every run with a share of its partner's; its own where it has none."""
    others = [mine if pair is None else pair.get(name) for mine, pair in zip(own, pairs, strict=True)]
    if any(other is None or other.shape != own.shape[1:] for other in others):
        raise SpecError("along", Words(f"runs of other shapes of {name.removeprefix(PARAMS)}"), "an axis without")
    return ((1 - share) * own + share * np.asarray(others)).astype(own.dtype)
