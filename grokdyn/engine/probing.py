"""Probes of the states that a store keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.scope import scope
from grokdyn.engine.loop.batch import Batch, Shared
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.store import folder, states
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.results import Part, dataset
from grokdyn.engine.store.trust import warn_of_untrusted
from grokdyn.engine.stored import kept, same_as_ever
from grokdyn.spec.base import put
from grokdyn.spec.kinds import Parts
from grokdyn.spec.paths import place_of
from grokdyn.spec.record import At

if TYPE_CHECKING:
    import xarray as xr


def probe(path: str | Path, add: Sequence[Any], anyway: bool = False) -> xr.Dataset:
    """Measure probes on the snapshots of a store, without training.

    Args:
        path: a store whose spec has ``snapshots``.
        add: probes, or their names.
        anyway: although versions, device or settings have changed since; another random generator, say, draws other
            train rows.

    Returns:
        Dataset with dims (swept axes..., step, probe axes...), ``step`` the snapshots; also written to the store, as
        ``probes/`` and the probes' names, which is its ``encoding["source"]``.

    Raises:
        SpecError: for a mistake in the probes.
        StoreError: if there are no snapshots, the folder is not a store or is damaged, or something has changed.
    """
    path = place_of(path)
    sweep, known = same_as_ever(path, anyway, "probe")
    probes = Parts("probe").decode(add, "probes")
    origin = states.read_origin(path, known)
    steps = kept(sweep.base, origin)
    if not steps or "snapshots" in sweep.axes:
        raise StoreError(f"{str(path)!r} has no snapshots; allowed: a store of a spec with snapshots = [steps]")
    changed = put(put(put(sweep.base, "probes", probes), "record", At(steps)), "stop", ())
    if {"probes", "record", "stop"} & sweep.axes.keys():
        raise StoreError(f"{str(path)!r} sweeps what it records; its snapshots cannot be probed together")
    probing = sweep.along(changed)
    with scope(probing):
        found = dataset(probing, list(measured(path, Plan.stored(path, probing, known, devices()), known)))
    names = "+".join(sorted({type(p).__name__.lower() for p in probes}))
    place = path / "probes" / f"{names}.zarr"
    folder.write_dataset(path, place, found)
    found.encoding["source"] = str(place)
    return warn_of_untrusted(found)


def measured(path: Path, plan: Plan, known: Mapping[str, Any]) -> Iterator[Part]:
    """Yield what the probes see in every batch's snapshots."""
    place, shared = -1, None
    for planned in plan.batches():
        cohort, runs = planned.cohort, planned.runs
        if shared is None or planned.place != place:
            place, shared = planned.place, Shared.of(cohort, devices())
        batch, seen, steps = Batch(cohort, planned.lanes, shared), cohort.variables, cohort.snapshots
        arrays = {
            name: np.full((len(runs), len(steps), *(len(v.coordinates[dim]) for dim in v.dims)), np.nan)
            for name, v in seen.items()
        }
        for i, step in enumerate(steps.tolist()):
            found, there = states.read_snapshot(path, planned.number, step, known)
            if there.any():
                batch.adopt(found)
                for name, values in batch.look().items():
                    arrays[name][there, i] = values[batch.lanes.real][there]
        yield Part(runs, steps, seen, arrays, batch.status())
