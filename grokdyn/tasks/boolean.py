"""Functions on the cube {-1, +1}^d, of which only a part is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Choice, Count, Counts, Function, Optional
from grokdyn.tasks import signs
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import ONE_PART, Inputs, Reals, Tokens, Vectors

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **{name: function for name, (function, _) in signs.UNSEEN.items()},
    "parity": signs.parity,
    "majority": signs.majority,
    "staircase": signs.staircase,
    "weighted_pairs": signs.weighted_pairs,
    "alternating": signs.alternating,
    "pointer_value": signs.pointer_value,
}
# Rules with fields of their own, and those that come with a function.
EVERYTHING, OWN, FROZEN, LIGHT = "all", "own", "frozen", "light"
RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {name: seen for name, (_, seen) in signs.UNSEEN.items()}
# Coordinates that a named function or rule needs.
LEAST = {"2parity": 2, "threesym": 3, "cyclic3": 3}
POINTERS = 11


class Boolean(Task):
    """Learn a real function of d signs from a part of the cube {-1, +1}^d (Abbe et al. 2022, 2023).

    Row r has x_i = -1 where bit i of r is set, x_0 the lowest bit: row 0 is all +1. The target is the function's value.
    Named functions are those of ``theory.boolean``; ``active`` gives them the first coordinates alone, so that
    ``parity`` with active = 3 is x_0 x_1 x_2.

    Where not all is seen, the part ``seen`` is the pool and ``unseen`` only tests. ``frozen``: seen where all of the
    coordinates ``coordinates`` have the ``value`` (the canonical holdout). ``light``: seen where at most ``weight``
    coordinates are -1 (length generalisation). ``threesym``, ``2parity`` and ``cyclic3``: the rules that come with
    these functions in the papers, x_0 x_1 x_2 = 1, not both x_0 and x_1 are -1, not all of x_0, x_1, x_2 are -1;
    ``own`` is the one of the function itself.

    ``tokens`` writes +1 as token 0 and -1 as token 1, for models of tokens.
    """

    function: str | Callable = field(
        Function(tuple(FUNCTIONS), "f(x) of points [rows, d] of 1 and -1"), default="threesym", doc="the target"
    )
    dimension: int = field(Count(1, 20), default=8, doc="d, number of coordinates")
    active: int | None = field(
        Optional(Count(1, 20)), default=None, doc="how many coordinates the function is given, the first; none: all"
    )
    seen: str | Callable = field(
        Function((EVERYTHING, OWN, FROZEN, LIGHT, *RULES), "f(x) of points [rows, d] that tells which are seen"),
        default=EVERYTHING,
        doc="which points are seen",
    )
    coordinates: tuple[int, ...] = field(Counts(0, 19, increasing=True), default=(0,), doc="those that are frozen")
    value: str = field(Choice(("+1", "-1")), default="+1", doc="of the frozen coordinates")
    weight: int = field(Count(0, 20), default=1, doc="most coordinates of -1 of a light point")
    encoding: str = field(Choice(("vectors", "tokens")), default="vectors", doc="of a point in the inputs")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        given = self.dimension if self.active is None else self.active
        if given > self.dimension:
            yield "active", given, f"at most {self.dimension}, the dimension"
            return
        if self.seen == FROZEN and self.coordinates[-1] >= self.dimension:
            yield "coordinates", list(self.coordinates), f"coordinates below {self.dimension}, the dimension"
            return
        if self.function == "pointer_value" and given != POINTERS:
            yield "function", self.function, f"a function of {given} coordinates; pointer_value has {POINTERS}"
        if self.seen == OWN and self.function not in RULES:
            yield "seen", self.seen, f"another rule, unless the function is one of {', '.join(RULES)}"
            return
        for name, of in (("function", given), ("seen", self.dimension)):
            needed = LEAST.get(getattr(self, name), 1)
            if needed > of:
                yield name, getattr(self, name), f"one of {of} coordinates; it needs {needed}"
                return
        if callable(self.function):
            yield from problems_of("function", self.function, signs.cube(given), "numbers")
        if callable(self.seen):
            yield from problems_of("seen", self.seen, signs.cube(self.dimension), "truth values, some of them true")
        elif self.seen == LIGHT and self.weight >= self.dimension:
            yield "weight", self.weight, f"below {self.dimension}, or seen = 'all'"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        yield from super().ignored(steps)
        if self.seen != FROZEN:
            yield from ((name, "seen is not 'frozen'") for name in ("coordinates", "value"))
        if self.seen != LIGHT:
            yield "weight", "seen is not 'light'"

    def features(self, inputs: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        """``minus``: how many coordinates are -1."""
        tokens = self.encoding == "tokens"
        return {"minus": jnp.sum(inputs if tokens else inputs < 0, axis=1)}

    def signature(self) -> Signature:
        inputs: Inputs = Vectors(self.dimension) if self.encoding == "vectors" else Tokens(2, self.dimension)
        whole = self.seen == EVERYTHING or (callable(self.seen) and bool(self.seen_rows().all()))
        parts = ONE_PART if whole else {"seen": "pool", "unseen": "test"}
        return Signature(inputs, Reals(1), 2**self.dimension, parts)

    def membership(self) -> np.ndarray:
        return np.where(self.seen_rows(), "seen", "unseen")

    def seen_rows(self) -> np.ndarray:
        """Return which points are seen, bool [2^d]."""
        x = signs.cube(self.dimension)
        if self.seen == EVERYTHING:
            return np.ones(len(x), bool)
        if self.seen == FROZEN:
            return np.all([signs.frozen(x, k, int(self.value)) for k in self.coordinates], axis=0)
        if self.seen == LIGHT:
            return signs.light(x, self.weight)
        rule = self.function if self.seen == OWN else self.seen
        return np.asarray(rule(x) if callable(rule) else RULES[rule](x)).astype(bool)

    def values(self) -> np.ndarray:
        """Return the function's value at every point, float64 [2^d]."""
        x = signs.cube(self.dimension)[:, : self.active]
        found = self.function(x) if callable(self.function) else FUNCTIONS[self.function](x)
        return np.asarray(found).astype(np.float64)

    def table(self) -> Table:
        x = signs.cube(self.dimension)
        inputs = x.astype(np.float32) if self.encoding == "vectors" else ((1 - x) // 2).astype(np.int32)
        return Table(inputs, self.values().astype(np.float32)[:, None])


def problems_of(name: str, function: Callable, x: np.ndarray, what: str) -> Iterator[tuple[str, Any, str]]:
    """Yield what is wrong with a user's function of the points."""
    allowed = f"a function of points [rows, d] that returns {what}, one per row"
    try:
        values = np.asarray(function(x.copy()))
    except Exception as error:  # whatever the user's function raises is told in one line
        yield name, error, allowed
        return
    if values.shape != x.shape[:1] or values.dtype.kind not in "biuf":
        yield name, Words(f"{values.dtype} of shape {values.shape}"), allowed
    elif name == "seen" and not (np.isin(values, (0, 1)).all() and values.any()):
        yield name, Words("values other than true and false" if values.any() else "no seen point"), allowed
    elif not np.isfinite(values.astype(np.float32)).all():
        yield name, Words("a value that is not finite in float32"), allowed
