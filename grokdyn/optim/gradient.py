"""What an optimizer is given: the gradient of the rows of one update, as a function of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


def no_rows(*_: Any) -> Any:
    raise AssertionError("what reads rows is outermost: Wrapper.problems")


class Gradient(NamedTuple):
    """The gradient that an update descends, as a function; every call at other parameters costs a gradient.

    Attributes:
        at: params -> gradient, a tree like them: over the rows of this update, with the same dropout at every call. At
            the run's own parameters it is known already.
        step: int32, number of updates made.
        draws: () -> key of this update's own random numbers, the same in training and in recording.
        of_rows: params -> the gradients of single rows, trees [rows, ...], and which rows are no padding, bool [rows];
            the mean over those is the gradient. Not where another optimizer changes what is seen.
        logits_of_rows: params -> the logits of the rows of this update [rows, outputs], as they are measured, and the
            places of these rows in the table, int32 [rows]; padding repeats a row. Not of fresh or transformed rows.
        with_term: (params, term) -> the gradient where ``term(logits, places)`` [rows] joins the losses of rows, of the
            very logits that the loss sees.
    """

    at: Callable[[Any], Any]
    step: jax.Array
    draws: Callable[[], jax.Array]
    of_rows: Callable[[Any], tuple[Any, jax.Array]] = no_rows
    logits_of_rows: Callable[[Any], tuple[jax.Array, jax.Array]] = no_rows
    with_term: Callable[[Any, Callable[[jax.Array, jax.Array], jax.Array]], Any] = no_rows

    def __call__(self, params: Any) -> Any:
        return self.at(params)

    @property
    def key(self) -> jax.Array:
        """A key of this update's own random numbers."""
        return self.draws()

    def seen_through(self, change: Callable[[Callable[[Any], Any], Any], Any]) -> Gradient:
        """Return the gradient whose value at params is ``change(gradient, params)``."""
        alone = {"of_rows": no_rows, "logits_of_rows": no_rows, "with_term": no_rows}
        return self._replace(at=lambda params: change(self.at, params), **alone)


def known_at(params: Any, value: Any, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function whose value at these very parameters is known."""
    return lambda asked: value if asked is params else function(asked)
