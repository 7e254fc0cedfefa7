"""A user's own parts, traced with the shapes of the run: outputs, losses, updates, what probes measure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.checks.told import AbsentError, telling
from grokdyn.models.output import Mode, Output
from grokdyn.optim.base import AnyOptimizer
from grokdyn.optim.gradient import Gradient
from grokdyn.probes.base import Shapes, Variable
from grokdyn.probes.view import View
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.foreign import has_foreign
from grokdyn.tasks.base import Table
from grokdyn.tasks.signature import Reals, Tokens
from grokdyn.train.lane import Lane, Program, State, begin
from grokdyn.train.rows import lasting_rows
from grokdyn.train.step import update, view_of

FLOAT64 = (
    "(float64 comes from float64 constants and from jnp.eye, jnp.zeros, jax.nn.one_hot and the like without a dtype)"
)

# What earlier versions asked where the gradient is taken, and what takes its place.
BEFORE = ("ascends", "elsewhere")
INSTEAD = (
    "estimate(self, gradient, params, memory), which calls gradient(params) where it wants and returns its memory too"
)


def check_traced(program: Program, stacked: Any, table: Table | None, given: Any, shapes: Shapes) -> None:
    """Raise SpecError where a part of a user's own does not give what the others need; nothing is compiled.

    Experiments of the package's own parts alone are not looked at: its tests do.

    Args:
        stacked: the experiment with the numbers of all runs [runs].
    """
    template = shapes.experiment
    if not has_foreign(template):
        return
    with jax.enable_x64(True):
        experiment = jax.tree.map(lambda column: jax.ShapeDtypeStruct(column.shape[1:], column.dtype), stacked)
        shared, start = (jax.tree.map(abstract, tree) for tree in (table, given))
        jax.eval_shape(lambda e: check_parts(program, e, shapes.params), experiment)

        def whole(experiment: Any, shared: Any, start: Any) -> None:
            with telling("optimizer", template.optimizer, "transform"):
                lane, state = begin(program, experiment, shared, start)
            table = lane.table if shared is None else shared
            assert table is not None
            check_run(program, lane, state, table, shapes)

        jax.eval_shape(whole, experiment, shared, start)


def abstract(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(array), jnp.result_type(array))


def check_params(model: Any, params: Any) -> None:
    """Raise SpecError unless the parameters of a model are floating-point arrays by name."""
    name = f"{type(model).__name__}.initial"
    if not isinstance(params, dict) or not params:
        raise SpecError("model", Words(f"{name}: {picture(params)}"), "a dict of arrays by name, not empty")
    check_arrays(name, params)


def check_arrays(name: str, arrays: Mapping[Any, Any]) -> None:
    """Raise SpecError unless a mapping holds floating-point arrays by name."""
    for word, value in arrays.items():
        if not isinstance(word, str) or not hasattr(value, "dtype"):
            raise SpecError("model", Words(f"{name}: {word!r}: {picture(value)}"), "arrays by name, in one flat dict")
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise SpecError("model", Words(f"{name}: {word} of {value.dtype}"), "floating-point numbers")


def check_parts(program: Program, experiment: Any, params: Any) -> None:
    """Raise SpecError unless the model gives logits, and the loss a value for each of their rows."""
    signature, rows = program.signature, program.rows
    check_state(experiment.model, experiment.model.initial_state(signature, experiment.dtype), params)
    tokens = isinstance(signature.inputs, Tokens)
    inputs = jnp.zeros((rows, *signature.inputs.shape), jnp.int32 if tokens else jnp.float32)
    params = jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), params)
    key = jax.random.key(0) if program.stochastic else None
    for mode in (Mode(), Mode(True, key)) if key is not None or experiment.model.takes_mode else (Mode(),):
        check_output(program, experiment, params, inputs, mode)
    logits = jnp.zeros((rows * signature.answers, signature.outputs), experiment.dtype)
    real = isinstance(signature.targets, Reals)
    several = (signature.outputs,) if real else ()
    labels = jnp.zeros((rows * signature.answers, *several), jnp.float32 if real else jnp.int32)
    name = f"{type(experiment.loss).__name__}.rows"
    with telling("loss", experiment.loss, "rows"):
        losses = experiment.loss.in_force(jnp.int32(0)).rows(logits, labels)
    if jnp.shape(losses) != logits.shape[:1] or not jnp.issubdtype(jnp.result_type(losses), jnp.floating):
        came = Words(f"{name}: {picture(losses)} for {len(logits)} rows")
        raise SpecError("loss", came, f"a floating-point value for every row, of shape [{len(logits)}]")


def check_state(model: Any, state: Any, params: Any) -> None:
    """Raise SpecError unless what a model carries is floating-point arrays by names of their own."""
    name = f"{type(model).__name__}.initial_state"
    if not isinstance(state, dict):
        raise SpecError("model", Words(f"{name}: {picture(state)}"), "a dict of arrays by name")
    check_arrays(name, state)
    if set(state) & set(params):
        raise SpecError("model", Words(f"{name}: {', '.join(set(state) & set(params))}"), "names that no parameter has")
    if state and not model.rows_interact:
        allowed = "rows_interact to be true: the state is of all rows that are passed together"
        raise SpecError("model", Words(f"{name}: a state of {', '.join(state)}"), allowed)


def check_output(program: Program, experiment: Any, params: Any, inputs: Any, mode: Mode) -> None:
    """Raise SpecError unless a model's output is what training and probes read."""
    model, signature = experiment.model, program.signature
    name = f"{type(model).__name__}.apply"
    state = model.initial_state(signature, experiment.dtype)
    more = (mode._replace(state=state),) if model.takes_mode else () if mode.key is None else (mode.key,)
    with telling("model", model, "apply"):
        found = model.apply(params, inputs, *more)
    if not isinstance(found, tuple) or not 2 <= len(found) <= 4 or not isinstance(found[1], Mapping):
        raise SpecError("model", Words(f"{name}: {picture(found)}"), "Output(logits, activations), activations a dict")
    after = Output(*found).state
    if after is not None and jax.tree.map(abstract, after) != jax.tree.map(abstract, state):
        came = Words(f"{name}: a state of {', '.join(map(str, after)) or 'nothing'}")
        raise SpecError("model", came, "the names, shapes and dtypes of initial_state, or None where it stays")
    if (Output(*found).penalty is not None) != model.penalised:
        came = "no penalty" if model.penalised else "a penalty"
        raise SpecError("model", Words(f"{name}: {came}"), f"what its penalised says: {model.penalised}")
    answers = (signature.answers,) if signature.answers > 1 else ()
    wanted = (len(inputs), *answers, signature.outputs)
    if jnp.shape(found[0]) != wanted:
        came = Words(f"{name}: logits of shape {list(jnp.shape(found[0]))}")
        raise SpecError("model", came, f"{list(wanted)} for inputs of shape {list(inputs.shape)}, one logit an output")
    if jnp.result_type(found[0]) != experiment.dtype:
        came = Words(f"{name}: logits of {jnp.result_type(found[0])}")
        raise SpecError("model", came, f"{experiment.dtype}, the dtype of the experiment and of params {FLOAT64}")
    for word, value in found[1].items():
        if not isinstance(word, str) or not hasattr(value, "shape"):
            raise SpecError("model", Words(f"{name}: activation {word!r}: {picture(value)}"), "arrays by name")


def check_run(program: Program, lane: Lane, state: State, table: Table, shapes: Shapes) -> None:
    """Raise SpecError where an update would change a shape, or a probe measures other than it declares."""
    experiment = lane.experiment
    check_update(experiment.optimizer, state, program.signature.outputs)
    rows = lasting_rows(program, lane, table)
    with telling("model", experiment.model, "apply, differentiated"):
        after, _ = update(program, lane, rows, state)
    with telling("optimizer", experiment.optimizer, "transform"):  # as the loop over updates will
        jax.tree.map(same_type, after, state)
    view = view_of(program, lane, rows, state, table, Watched)
    for i, probe in enumerate(experiment.probes):
        with telling(f"probes[{i}]", probe, "measure"):
            found = probe.measure(probe.seen(view))
        check_measured(f"probes[{i}]", probe, found, probe.variables(shapes))


def check_update(optimizer: Any, state: State, outputs: int) -> None:
    """Raise SpecError unless updates are shaped as parameters and the memory keeps its shape."""
    own = "update" if type(optimizer).update is not AnyOptimizer.update else "transform"
    name = f"{type(optimizer).__name__}.{own}"
    for old in BEFORE:
        if hasattr(optimizer, old):
            raise SpecError("optimizer", Words(f"{type(optimizer).__name__}.{old}"), INSTEAD)
    with telling("optimizer", optimizer, own):
        logits = jnp.zeros((2, outputs), jax.tree.leaves(state.params)[0].dtype), jnp.zeros(2, jnp.int32)
        seen = {"logits_of_rows": lambda params: logits, "with_term": lambda params, term: zeros(params)}
        gradient = Gradient(zeros, state.step, lambda: jax.random.key(0), zeros_of_rows, **seen)
        updates, memory = optimizer.update(gradient, state.params, state.optimizer)
    for what, new, old in (("updates", updates, state.params), ("its memory", memory, state.optimizer)):
        if jax.tree.structure(new) != jax.tree.structure(old):
            allowed = "a tree like the parameters" if what == "updates" else "the tree that init made"
            raise SpecError("optimizer", Words(f"{name}: {what} in another tree"), allowed)
        for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(new), jax.tree.leaves(old), strict=True):
            where = f"{what}{jax.tree_util.keystr(path)}"
            if jnp.shape(x) != jnp.shape(y):
                came = Words(f"{name}: {where} of shape {list(jnp.shape(x))}")
                raise SpecError("optimizer", came, f"{list(jnp.shape(y))}, the shape it has before")
            if not fits(jnp.result_type(x), jnp.result_type(y)):
                came = Words(f"{name}: {where} of {jnp.result_type(x)}")
                raise SpecError("optimizer", came, f"{jnp.result_type(y)}, as before")


def zeros(params: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, params)


def zeros_of_rows(params: Any) -> tuple[Any, jax.Array]:
    return jax.tree.map(lambda w: jnp.zeros((2, *w.shape), w.dtype), params), jnp.ones(2, bool)


def same_type(new: Any, old: Any) -> None:
    if jnp.result_type(new) != jnp.result_type(old):
        raise TypeError(f"{jnp.result_type(new)} after an update, {jnp.result_type(old)} before")


def fits(new: Any, old: Any) -> bool:
    """Return whether numbers of a dtype can be rounded to another without losing a fraction or an imaginary part."""
    if new == old:
        return True
    kinds = (jnp.bool_, jnp.integer, jnp.floating, jnp.complexfloating)
    wide = [i for dtype in (new, old) for i, kind in enumerate(kinds) if jnp.issubdtype(dtype, kind)]
    return len(wide) == 2 and wide[0] <= wide[1]


def check_measured(path: str, probe: Any, found: Any, declared: Mapping[str, Variable]) -> None:
    """Raise SpecError unless a probe measured the variables it declares, with the shapes of their dims."""
    name = f"{type(probe).__name__}.measure"
    if not isinstance(found, Mapping):
        raise SpecError(path, Words(f"{name}: {picture(found)}"), "a dict of values by the names of its variables")
    if found.keys() != declared.keys():
        told = ", ".join(map(str, found)) or "nothing"
        raise SpecError(
            path, Words(f"{name}: {told}"), f"what its variables declare: {', '.join(declared) or 'nothing'}"
        )
    for word, variable in declared.items():
        wanted = tuple(len(variable.coordinates[dim]) for dim in variable.dims)
        if not isinstance(found[word], jax.Array | np.ndarray | np.generic | int | float):
            raise SpecError(path, Words(f"{name}: {word}: {picture(found[word])}"), "an array")
        shape, dtype = jnp.shape(found[word]), jnp.result_type(found[word])
        if shape != wanted:
            dims = f", its dims {', '.join(variable.dims)}" if variable.dims else ", a single number, as it has no dims"
            raise SpecError(path, Words(f"{name}: {word} of shape {list(shape)}"), f"{list(wanted)}{dims}")
        if not fits(dtype, jnp.dtype("float64")):
            raise SpecError(path, Words(f"{name}: {word} of {dtype}"), "real numbers")


def picture(thing: Any) -> str:
    """Return a few words on what came."""
    if hasattr(thing, "shape") and hasattr(thing, "dtype"):
        return f"an array of {thing.dtype}, shape {list(thing.shape)}"
    return "nothing" if thing is None else f"a {type(thing).__name__}"


class Watched(View):
    """A view that says what is not there."""

    @property
    def initial_params(self) -> Any:
        if self._first is None:
            allowed = "initial_params for a probe whose class says needs_initial_params = True"
            raise AbsentError("view.initial_params", allowed)
        return self._first

    @initial_params.setter
    def initial_params(self, params: Any) -> None:
        self._first = params

    @cached_property
    def output(self) -> Output:
        found = super().output
        return found._replace(activations=Activations(found.activations, type(self.experiment.model).__name__))


@jax.tree_util.register_pytree_with_keys_class
class Activations(dict):
    """Activations that name themselves where one is asked for that is not there."""

    def __init__(self, values: Mapping[str, Any], model: str):
        super().__init__(values)
        self.model = model

    def __missing__(self, name: Any) -> Any:
        told = ", ".join(sorted(self)) or "none"
        raise AbsentError(f"activation {name!r}", f"one that {self.model} gives: {told}")

    def tree_flatten_with_keys(self) -> Any:
        names = sorted(self)
        return [(jax.tree_util.DictKey(name), self[name]) for name in names], (tuple(names), self.model)

    @classmethod
    def tree_unflatten(cls, known: Any, values: Any) -> Activations:
        return cls(dict(zip(known[0], values, strict=True)), known[1])
