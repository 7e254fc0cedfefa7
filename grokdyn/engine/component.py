"""check_component: the contract that holds for every component, tried on one of a user's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from grokdyn.checks.contract import changed_at, numbers
from grokdyn.engine.host.devices import devices
from grokdyn.engine.plan.cohorts import cohorts
from grokdyn.engine.run import run
from grokdyn.engine.store.results import STATUS
from grokdyn.models.transformer import Transformer
from grokdyn.spec import base
from grokdyn.spec.declare import a, family_of
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.imports import location
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.places import PUBLIC_BASES
from grokdyn.spec.record import Every
from grokdyn.spec.sweep import Sweep
from grokdyn.tasks.fit import checked_signature
from grokdyn.tasks.signature import Reals, Tokens
from grokdyn.train.compiled import TRACES

TINY = {"task": {"kind": "modular", "p": 5}, "model": {"kind": "mlp", "hidden": [8]}, "loss": "cross_entropy"}
# What serves real targets: accuracy, among the probes by default, does not.
REAL: dict[str, Any] = {"loss": "mse", "probes": ("loss", "weight_norm")}
# Where a part may be at home that does not fit the first: other inputs, other targets, other activations.
HOMES: tuple[dict[str, Any], ...] = (
    {},
    {"task": {"kind": "sparse_parity", "bits": 2, "noise_bits": 4, "strings": 20}},
    {"task": {"kind": "modular", "p": 5, "sequence": "a b ="}, "model": Transformer(1, 8, 2, 8)},
    {"task": {"kind": "multi_index", "dimension": 4, "points": 20, "indices": 1}, **REAL},
    {"task": {"kind": "boolean", "dimension": 4}, **REAL},
)
# Where a family's part stands in an experiment, if not under its own name.
PLACES = {"schedule": "optimizer.schedule", "probe": "probes", "stop": "stop", "transform": "transforms"}
LISTS = ("probe", "stop", "transform")


def check_component(component: Any, experiment: Experiment | None = None) -> None:
    """Run the contract tests of the package on a component of one's own, and print what holds.

    It fits (shapes, dtypes, declared variables) in float32 and float64; its description survives TOML; its numbers are
    swept in one program, and a swept number gives the bits of the same number fixed.

    Args:
        component: an instance.
        experiment: what it is put into; default: a tiny one that it fits. A few steps are trained.

    Returns nothing.

    Raises:
        SpecError: for the first test that fails, naming what came and what is expected.
    """
    family = family_of(type(component))
    if not family:
        names = ", ".join(f"gd.{name}" for name in PUBLIC_BASES.values())
        raise SpecError("component", component, f"an instance of a class that extends one of {names}")
    home = at_home(family, component, experiment)
    where = "the experiment" if experiment else f"a tiny experiment ({kind_of(home.task)}, {kind_of(home.model)})"
    print(f"{type(component).__name__}, {a(family)}, in {where}:")
    print("  it fits in float32 and float64: shapes, dtypes, what is declared")
    for told in (written(component, home), *swept(family, component, home), *further(family, home)):
        print(f"  {told}")


def at_home(family: str, component: Any, experiment: Experiment | None) -> Experiment:
    """Return an experiment that holds the component and can be planned in both dtypes."""
    first: SpecError | None = None
    for home in HOMES if experiment is None else ({},):
        try:
            found = within(family, component, tiny(family, component, home) if experiment is None else experiment)
            for dtype in ("float32", "float64"):
                cohorts([found.replace(dtype=dtype)], None, devices())
            return found
        except SpecError as error:
            first = first or error
    assert first is not None
    if experiment is None:
        first.args = (f"{first} (in a tiny experiment; or give its own: check_component(part, experiment))",)
    raise first


def tiny(family: str, component: Any, home: dict[str, Any]) -> Experiment:
    """Return a tiny experiment with some of its parts changed."""
    parts = TINY | home | {"optimizer": "adamw", "steps": 4, "record": Every(2)}
    if family == "task":  # what serves its targets
        signature = checked_signature(component)
        parts |= {"task": component, **(REAL if isinstance(signature.targets, Reals) else {})}
        if component.endless:
            parts["batch_size"] = 4
        padded = isinstance(signature.inputs, Tokens) and signature.inputs.padded
        if signature.answers > 1 or padded:
            parts["model"] = Transformer(1, 8, 2, 8, answers=signature.answers, padded=padded)
    if family == "record":
        parts["steps"] = max(4, *(int(step) for step in component.at(4)))
    return Experiment(**parts)


def within(family: str, component: Any, experiment: Experiment) -> Experiment:
    """Return an experiment with the component in its place."""
    whole = base.check(experiment)
    return base.check(whole.replace(**{place(family): value_of(family, component)}))


def place(family: str) -> str:
    return PLACES.get(family, family)


def value_of(family: str, component: Any) -> Any:
    return (component,) if family in LISTS else component


def written(component: Any, home: Experiment) -> str:
    """Return whether the component's description is read back as it was written."""
    where = location(type(component))
    if where.startswith("__main__:") or "<locals>" in where:
        return f"TOML: not tried, {where} cannot be imported; put it into a module for stores and files"
    text = home.to_toml()
    if Experiment.from_toml(text) != home:
        raise SpecError(type(component).__name__, Words("another description, read back from TOML"), "the same")
    return "TOML: read back as it was written"


def swept(family: str, component: Any, home: Experiment) -> Iterator[str]:
    """Yield what was found of its numbers: one program, the bits of fixed ones, those that do nothing here."""
    others = {path: changed_at(component, path) for path in numbers(component)}
    others = {path: other for path, other in others.items() if other != component}
    if not others:
        yield "numbers: none"
        return
    name, axis, traced = type(component).__name__, place(family), TRACES["advance"]
    sweep = Sweep(home, {axis: [value_of(family, each) for each in (component, *others.values())]})
    planned = cohorts(list(sweep.experiments()), None, devices())
    if len(planned) > 1:
        raise SpecError(name, Words("numbers that change the structure"), "numbers that are leaves: Number, Integer")
    found = run(sweep, progress=False)
    if TRACES["advance"] > traced + 1:
        raise SpecError(name, Words("a program for every number"), "one program for all")
    last = len(others)
    seeds = [home.seed + i for i in range(last + 1)]
    fixed = run(Sweep(within(family, [*others.values()][-1], home), {"seed": seeds}), progress=False)
    if not same(found, last, fixed, 0):
        raise SpecError(name, Words(f"a swept {[*others][-1]} unlike the same number fixed"), "the same bits")
    yield f"numbers, swept in one program, with the bits of fixed ones: {', '.join(others)}"
    idle = [path for i, path in enumerate(others, 1) if same(found, i, found, 0)]
    if idle:
        yield f"numbers that changed nothing in these few steps: {', '.join(idle)}"


def same(one: Any, i: int, other: Any, j: int) -> bool:
    """Return whether two runs of two sweeps of one axis, the first dim, have the same records.

    A sweep in which some runs have corrupted labels also has variables about those, the other need not.
    """
    names = [name for name in one.data_vars if name not in STATUS and name in other]
    return all(np.array_equal(one[n].values[i], other[n].values[j], equal_nan=True) for n in names)


def further(family: str, home: Experiment) -> Iterator[str]:
    """Yield what else was found, of a task that its table is the same every time, of a model that rows are alone."""
    if family == "task" and not home.task.drawn:
        first, again = (home.task.table() for _ in range(2))
        if not all(np.array_equal(x, y) for x, y in zip(first, again, strict=True)):
            raise SpecError(
                "task", Words("another table at the second call"), "the same, or drawn = True and draw(key)"
            )
        yield "the table is the same every time"
    if family == "model":
        apart(home)
        yield "rows do not see each other" + (" where they are measured" if home.model.rows_interact else "")


def apart(home: Experiment) -> None:
    """Raise SpecError where a row's logits depend on the rows beside it: training takes rows in tiles."""
    with jax.enable_x64(True):
        signature = home.task.signature()
        table = home.task.table() if not home.task.drawn else home.task.draw(jax.random.key(0))
        params = home.model.start(jax.random.key(0), signature, "float64")
        state = home.model.initial_state(signature, "float64")
        whole, part = (np.asarray(home.model.forward(params, table.inputs[:n], state=state).logits) for n in (8, 3))
    if not np.allclose(whole[:3], part, rtol=1e-10, atol=1e-12 * np.abs(whole).max()):
        raise SpecError("model", Words("logits of a row that depend on other rows"), "rows that do not see each other")
