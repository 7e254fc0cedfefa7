"""The parameters of a stored run, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grokdyn.engine import pieces, plan, store
from grokdyn.engine.devices import devices
from grokdyn.engine.files import StoreError
from grokdyn.engine.scope import scope
from grokdyn.engine.snapshots import kept, run_number, stored_lane
from grokdyn.spec.errors import SpecError
from grokdyn.spec.paths import place_of


def params(path: str | Path, run: int | Mapping[str, Any] = 0, step: int | None = None) -> dict[str, np.ndarray]:
    """Return the parameters of a run at a stored step, as arrays by the name of their tensor.

    ``gd.Start(params=...)`` takes them as they are.

    Args:
        path: a store whose spec has ``snapshots``.
        run: number of the run in the sweep, or its coordinates, e.g. ``{"weight_decay": 1.0, "seed": 0}``.
        step: one of the snapshots; default: the last.

    Raises:
        SpecError: for a run or step that is not there, naming those that are.
        StoreError: if the folder is not a store, its snapshot is damaged, or the run was over before the step.
    """
    path = place_of(path)
    sweep, known = store.read_spec(path), store.read_manifest(path)
    number = run_number(sweep, run)
    experiments, origin = list(sweep.experiments()), pieces.read_origin(path, known)
    steps = kept(experiments[number], origin)
    if not steps:
        raise StoreError(f"{str(path)!r} has no snapshots; allowed: a store of a spec with snapshots = [steps]")
    if step is not None and (isinstance(step, bool) or step not in steps):
        raise SpecError("step", step, "one of the snapshots: " + ", ".join(map(str, steps)))
    with scope(sweep):
        sizes, start = plan.sizes_of(known), pieces.read_start(path, known)
        planned = plan.cohorts(experiments, start, devices(), sizes, origin)
    at = steps[-1] if step is None else int(step)
    leaves, _ = stored_lane(path, planned, number, at, known)
    (cohort,) = (cohort for cohort in planned if number in cohort.runs)
    # The state's leaves begin with the parameters, which JAX sorts by name.
    return dict(zip(sorted(cohort.shapes.params), leaves, strict=False))
