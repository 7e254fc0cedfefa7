"""Whole tensors: frozen, rescaled, drawn anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from grokdyn.interventions.base import Intervention, Runs, Shapes, chosen
from grokdyn.interventions.prune import SCOPES, largest, most_kept
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Choice, Count, Names, Number, Optional


class Freeze(Intervention):
    """Hold tensors where they are: no gradient, no update, no decay."""

    tensors: tuple[str, ...] = field(Names(), doc="which")

    def left(self, shapes: Shapes, sizes: Mapping[str, int]) -> Mapping[str, int]:
        chosen(shapes, self.tensors, "apply.freeze")
        return sizes

    def applied(self, runs: Runs) -> Runs:
        names = chosen(runs.shapes, self.tensors, "apply.freeze") if self.tensors else []
        return replace(runs, moves={**runs.moves, **{name: np.zeros_like(runs.moves[name]) for name in names}})

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if not self.tensors:
            yield "tensors", Words("no tensors"), "at least one"


class Reinitialise(Intervention):
    """Draw tensors anew, as the model draws them; what was pruned stays zero."""

    tensors: tuple[str, ...] = field(Names(), default=(), doc="which; default: all")
    seed: int = field(Count(0), default=1, doc="tells draws of the same run apart; 0 gives its first parameters again")

    def left(self, shapes: Shapes, sizes: Mapping[str, int]) -> Mapping[str, int]:
        chosen(shapes, self.tensors, "apply.reinitialise")
        return sizes

    def applied(self, runs: Runs) -> Runs:
        names, drawn = chosen(runs.shapes, self.tensors, "apply.reinitialise", matrices=False), runs.drawn(self.seed)
        return replace(runs, params={**runs.params, **{name: drawn[name] for name in names}})


class Rescale(Intervention):
    """Multiply tensors by a factor, or to the norm that they would have if they were pruned.

    With ``keep`` the factor is |m w|_p / |w|_p, w the parameters with which the round begins, m those of the largest
    magnitude at the step that is looked at, both over all the tensors: the dense control of a ticket (Minegishi et al.
    2023).
    """

    factor: float | None = field(Optional(Number(0, open_low=True)), default=None, doc="the factor")
    keep: float | None = field(Optional(Number(0, 1, open_low=True)), default=None, doc="share that pruning would keep")
    norm: str = field(Choice(("l1", "l2")), default="l2", doc="which norm is that of the pruned weights")
    scope: str = field(Choice(SCOPES), default="global", doc="whether the share is of all tensors together or of each")
    tensors: tuple[str, ...] = field(Names(), default=(), doc="which; default: all of two dimensions and more")

    def left(self, shapes: Shapes, sizes: Mapping[str, int]) -> Mapping[str, int]:
        names = chosen(shapes, self.tensors, "apply.rescale")
        if self.keep is not None:
            most_kept(sizes, names, self.keep, self.scope)
        return sizes

    def applied(self, runs: Runs) -> Runs:
        names = chosen(runs.shapes, self.tensors, "apply.rescale")
        factor = np.full(runs.count, self.factor) if self.factor is not None else self.shrinking(runs, names)
        scaled = {name: runs.params[name] * across(factor, runs.params[name]) for name in names}
        return replace(runs, params={**runs.params, **scaled})

    def shrinking(self, runs: Runs, names: list[str]) -> np.ndarray:
        """Return the norm of the pruned weights over that of all [runs]."""
        assert self.keep is not None
        kept = largest({name: np.abs(runs.seen[name]) for name in names}, runs.alive, names, self.keep, self.scope)
        power = {"l1": 1, "l2": 2}[self.norm]

        def total(masks: Any) -> np.ndarray:
            sizes = [np.abs(np.asarray(runs.params[n], np.float64)) ** power * masks[n] for n in names]
            return np.sum([size.reshape(runs.count, -1).sum(1) for size in sizes], axis=0)

        return (total(kept) / total(runs.alive)) ** (1 / power)

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if (self.factor is None) == (self.keep is None):
            yield "factor", Words("both" if self.factor else "neither"), "one of factor and keep"


def across(factors: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Return a factor for every run, to be multiplied with [runs, ...]."""
    return factors.reshape(-1, *[1] * (like.ndim - 1)).astype(like.dtype)
