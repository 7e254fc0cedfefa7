"""Which inputs of a traced program its outputs depend on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from grokdyn.tasks.base import Table
from grokdyn.train.lane import Lane, Program, State, begin
from grokdyn.train.rows import lasting_rows
from grokdyn.train.step import advance, update


def needed(jaxpr: Any, outputs: Sequence[bool]) -> list[bool]:
    """Return for every input of a jaxpr whether one of the wanted outputs is computed from it.

    Loops, branches and calls are looked into; any other operation counts as needing all its inputs. So what is not
    needed is certainly not; what counts as needed may be multiplied by zero.
    """
    wanted = {v for v, want in zip(jaxpr.outvars, outputs, strict=True) if want and not isinstance(v, Literal)}
    for eqn in reversed(jaxpr.eqns):
        outs = [v in wanted for v in eqn.outvars]
        if any(outs):
            inner = inputs_of(eqn, outs)
            wanted |= {v for v, want in zip(eqn.invars, inner, strict=True) if want and not isinstance(v, Literal)}
    return [v in wanted for v in jaxpr.invars]


def inputs_of(eqn: Any, outs: list[bool]) -> list[bool]:
    """Return for every input of an operation whether its wanted outputs depend on it."""
    name, params = eqn.primitive.name, eqn.params
    inner = opened(params.get("jaxpr", params.get("call_jaxpr")))
    if name == "scan" and inner is not None:
        # Carries keep their shape, what is scanned loses an axis; JAX's own counts are named anew from time to time.
        carries = sum(v.aval.ndim == x.aval.ndim for v, x in zip(inner.outvars, eqn.outvars, strict=True))
        scanned = sum(v.aval.ndim < x.aval.ndim for v, x in zip(inner.invars, eqn.invars, strict=True))
        return looped(inner, outs, len(eqn.invars) - carries - scanned, carries)
    if name == "while" and {"cond_jaxpr", "cond_nconsts", "body_jaxpr", "body_nconsts"} <= set(params):
        first, body = params["cond_nconsts"], params["body_nconsts"]
        test = needed(opened(params["cond_jaxpr"]), [True])
        carried = [a or b for a, b in zip(outs, test[first:], strict=True)]
        return test[:first] + looped(opened(params["body_jaxpr"]), carried, body, len(carried))
    if name == "cond" and "branches" in params:
        found = [needed(opened(branch), outs) for branch in params["branches"]]
        return [True, *map(any, zip(*found, strict=True))]
    if inner is not None and (len(inner.invars), len(inner.outvars)) == (len(eqn.invars), len(outs)):
        return needed(inner, outs)
    return [True] * len(eqn.invars)


def opened(jaxpr: Any) -> Any:
    """Return a jaxpr without the constants around it; None for what is none."""
    while not hasattr(jaxpr, "eqns") or hasattr(jaxpr, "consts"):
        inner = getattr(jaxpr, "jaxpr", None)
        if inner is None or inner is jaxpr:
            return jaxpr if hasattr(jaxpr, "eqns") else None
        jaxpr = inner
    return jaxpr


def looped(body: Any, outs: Sequence[bool], consts: int, carries: int) -> list[bool]:
    """Return the needed inputs of a loop whose body maps consts, carries and more to carries and more."""
    outs = list(outs)
    while True:
        found = needed(body, outs)
        carried = [a or b for a, b in zip(outs[:carries], found[consts : consts + carries], strict=True)]
        if carried == outs[:carries]:
            return found[:consts] + carried + found[consts + carries :]
        outs[:carries] = carried


def read_numbers(
    program: Program,
    experiments: Any,
    table: Any,
    given: Any,
    stretches: Any,
    due: Any,
    resumed: bool,
    asked: Sequence[int],
) -> set[int]:
    """Return which of some leaves of an experiment are read: what is trained or recorded depends on them.

    An update alone is looked at first. It is traced in a fraction of the time that all probes take, and reads most.

    Args:
        experiments: the description with leaves [runs].
        stretches, due: as in ``advance``.
        resumed: whether the state is a stored one, and that of step 0 only tells its shape.
        asked: the places of those leaves.
    """

    def begun(experiment: Any, table: Any, given: Any) -> tuple[Lane, State]:
        # Between the compiled programs all is JAX's, also what a user's task made with numpy.
        lane, state = jax.tree.map(jnp.asarray, begin(program, experiment, table, given))
        return lane, jax.tree.map(jnp.zeros_like, state) if resumed else state

    def one_update(experiment: Any, table: Any, given: Any, stretches: Any, due: Any) -> Any:
        lane, state = begun(experiment, table, given)
        rows = lasting_rows(program, lane, cast(Table, lane.table if table is None else table))
        return update(program, lane, rows, state)

    def whole(experiment: Any, table: Any, given: Any, stretches: Any, due: Any) -> Any:
        lane, state = begun(experiment, table, given)
        return advance(program, lane, state, table, stretches, due)

    numbers, found = jax.tree.map(lambda column: jax.ShapeDtypeStruct((), column.dtype), experiments), set()
    for function in (one_update, whole):
        jaxpr = jax.make_jaxpr(function)(numbers, table, given, stretches, due).jaxpr
        read = needed(jaxpr, [True] * len(jaxpr.outvars))
        found |= {place for place in asked if read[place]}
        if len(found) == len(asked):
            break
    return found
