"""When a probe measures, and under which names: what ``every`` and ``name`` of any probe make of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.view import View
from grokdyn.tasks.shapes import Shapes


def due(steps: np.ndarray, every: int) -> np.ndarray:
    """Return at which records a probe with a cadence measures, bool like the recorded steps.

    The first, the last, and each that is the first at or after a multiple of ``every``.
    """
    steps = np.asarray(steps, np.int64)
    passed = steps // every
    found = np.diff(passed, prepend=-1) > 0
    found[:1] = found[-1:] = True
    return found


def pauses_due(pauses: np.ndarray, recorded: np.ndarray, probes: Iterable[Probe]) -> dict[str, np.ndarray]:
    """Return for every cadence at which pauses of the compiled program its probes measure, bool like ``pauses``.

    Args:
        recorded: the recorded steps; the program pauses at these and at others.
    """
    return {str(every): np.isin(pauses, recorded[due(recorded, every)]) for every in cadences(probes)}


def cadences(probes: Iterable[Probe]) -> list[int]:
    """Return the cadences among probes."""
    return sorted({probe.every for probe in probes if probe.every is not None})


def called(probe: Probe, word: str) -> str:
    """Return what a variable or axis of a probe is called: its own name with that of the probe before it."""
    return word if probe.name is None else f"{probe.name}_{word}"


def declared(probe: Probe, shapes: Shapes) -> dict[str, Variable]:
    """Return the variables of a probe as a Dataset holds them."""
    return {called(probe, word): renamed(probe, v) for word, v in probe.variables(shapes).items()}


def renamed(probe: Probe, variable: Variable) -> Variable:
    """Return a variable with the probe's cadence, its axes under the probe's name."""
    variable = variable._replace(long_name=probe.told(variable.long_name))
    if probe.name is None and probe.every is None:
        return variable
    axes = {called(probe, dim): values for dim, values in variable.coordinates.items()}
    dims = tuple(called(probe, dim) for dim in variable.dims)
    return variable._replace(dims=dims, coordinates=axes, every=probe.every or 0)


def measured(probes: Sequence[Probe], view: View) -> dict[str, jax.Array]:
    """Return what probes measure, whatever their cadence."""
    return {called(probe, word): value for probe in probes for word, value in probe.measure(probe.seen(view)).items()}


def measured_where(wanted: jax.Array, probes: Sequence[Probe], view: View) -> dict[str, jax.Array]:
    """Return what probes measure where that is wanted, nan where it is not; then they cost nothing.

    Args:
        wanted: one truth value, which is no run's own: under ``vmap`` it stays a branch only where it is not batched.
    """

    def look() -> dict[str, jax.Array]:
        # What is computed in the branch stays in it; what the view knows already is read.
        found = measured(probes, view.apart())
        return {word: jnp.asarray(value, floating(value)) for word, value in found.items()}

    shapes = jax.eval_shape(look)
    return jax.lax.cond(wanted, look, lambda: {word: jnp.full(x.shape, jnp.nan, x.dtype) for word, x in shapes.items()})


def floating(value: Any) -> Any:
    """Return the dtype that holds a value or nan."""
    dtype = jnp.result_type(value)
    return dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.dtype("float64")


def together(probes: Sequence[Probe], view: View, wanted: Mapping[str, jax.Array]) -> tuple[dict, dict]:
    """Return what probes measure at every record, and what those with a cadence do.

    Args:
        wanted: cadence -> whether this record is one of its own; all measure where it says nothing.
    """
    always = [probe for probe in probes if str(probe.every) not in wanted]
    found, others = measured(always, view), {}
    for every, now in wanted.items():
        others |= measured_where(now, [probe for probe in probes if str(probe.every) == every], view)
    return found, others
