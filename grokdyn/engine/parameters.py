"""The parameters of a stored run, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.scope import scope
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.store import reading
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.stored import kept, run_number, stored_lane
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.paths import place_of
from grokdyn.train.lane import begin

# The parts of a state that belong to the network.
KEPT = ("params", "model")


def params(path: str | Path, run: int | Mapping[str, Any] = 0, step: int | None = None) -> dict[str, np.ndarray]:
    """Return the parameters of a run at a stored step, and what its model carries beside them, as arrays by name.

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
    sweep, known = reading.read_spec(path), reading.read_manifest(path)
    number = run_number(sweep, run)
    with scope(sweep):
        plan = Plan.stored(path, sweep, known, devices())
    batch = plan.batch_of(number)
    steps = kept(plan.experiments[number], batch.cohort.origin)
    if not steps:
        raise StoreError(f"{str(path)!r} has no snapshots; allowed: a store of a spec with snapshots = [steps]")
    if step is not None and (isinstance(step, bool) or step not in steps):
        raise SpecError("step", step, "one of the snapshots: " + ", ".join(map(str, steps)))
    found, cohort = stored_lane(path, batch, number, steps[-1] if step is None else int(step), known), batch.cohort
    if "0" not in found:
        return {name.partition(".")[2]: leaf for name, leaf in found.items() if name.partition(".")[0] in KEPT}
    # An earlier version numbered the leaves.
    with jax.enable_x64(True):
        _, like = jax.eval_shape(lambda e: begin(cohort.program, e, cohort.table, cohort.given), cohort.template)
    state = jax.tree.unflatten(jax.tree.structure(like), list(found.values()))
    return state.params | state.model


def masks(path: str | Path, run: int | Mapping[str, Any] | None = 0) -> dict[str, np.ndarray]:
    """Return which weights of a run pruning has left, as truth values by the name of their tensor.

    Args:
        path: a store whose runs go on from those of another, pruned ones or not.
        run: as in ``params``; None: all runs, of one structure, the axes of the sweep before those
            of the tensor.

    Raises:
        SpecError: for a run that is not there.
        StoreError: if the folder is not a store, or what its runs began from is damaged.
    """
    path = place_of(path)
    sweep, known = reading.read_spec(path), reading.read_manifest(path)
    with scope(sweep):
        plan = Plan.stored(path, sweep, known, devices())
    if run is None:
        return masks_of_all(plan)
    number = run_number(sweep, run)
    cohort = plan.batch_of(number).cohort
    alive, shapes = cohort.origin.alive(np.asarray([number])), cohort.shapes.params
    return {name: alive[name][0] if name in alive else np.ones(shapes[name].shape, bool) for name in sorted(shapes)}


def masks_of_all(plan: Plan) -> dict[str, np.ndarray]:
    """Return the masks of all runs, each [axes of the sweep..., ...].

    Raises:
        SpecError: if their tensors differ.
    """
    found = {tuple((name, w.shape) for name, w in c.shapes.params.items()) for c in plan.cohorts}
    if len(found) > 1:
        raise SpecError("run", Words("all"), "a run: their tensors differ")
    axes, alive = tuple(plan.sweep.shape.values()), plan.cohorts[0].origin.alive(np.arange(plan.sweep.size))
    shapes = dict(sorted(found.pop()))
    return {n: alive[n].reshape(*axes, *s) if n in alive else np.ones((*axes, *s), bool) for n, s in shapes.items()}
