"""Errors by how often a subpopulation is among the train rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.probes.base import Probe, Shapes, Variable, fits_one_class
from grokdyn.probes.view import View, mean
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Count
from grokdyn.tasks.long_tail import LongTail


class TailError(Probe):
    """Errors on subpopulations that are seen exactly l = 0..``most`` times among the train rows (Feldman 2020).

    All are arrays [times_seen]. ``seen_test_error`` and ``seen_train_error``: share of wrong predictions among the test
    or train rows of subpopulations seen l times, nan where there are none; the train error at l = 1 is the share of
    singletons left unfitted. ``seen_test_share``: their share of all test rows, so that the sum over l of share times
    error is the test error, but for those seen more often. ``seen_count``: number of subpopulations seen l times.

    Of a learner that errs on m_l of the train rows seen l times the paper expects a test error higher by
    sum_l tau_l m_l / l than of one that fits them, see ``grokdyn.theory.long_tail``.
    """

    most: int = field(Count(0, 10_000), default=8, doc="the largest number of times seen that is recorded")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from fits_one_class(self, shapes)
        if not isinstance(shapes.experiment.task, LongTail):
            yield "kind", Words("tail_error"), "another probe, or the task long_tail"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        names = {
            "seen_test_error": "test error of subpopulations seen so often",
            "seen_train_error": "train error of subpopulations seen so often",
            "seen_test_share": "share of test rows of subpopulations seen so often",
            "seen_count": "subpopulations seen so often",
        }
        axis: dict[str, Any] = {"dims": ("times_seen",), "coordinates": {"times_seen": range(self.most + 1)}}
        return {name: Variable(title, **axis) for name, title in names.items()}

    def measure(self, view: View) -> dict[str, jax.Array]:
        task = view.experiment.task
        of = task.members(view.table_key)
        seen = jnp.zeros(task.subpopulations, jnp.int32).at[of].add(view.train.astype(jnp.int32))
        times = jnp.arange(self.most + 1, dtype=jnp.int32)[:, None]
        at, wrong = seen[of] == times, ~view.right(view.labels)
        return {
            "seen_test_error": over(wrong, at & view.test),
            "seen_train_error": over(wrong, at & view.train),
            "seen_test_share": jax.vmap(lambda rows: mean(rows, view.test))(at),
            "seen_count": jnp.sum(seen == times, axis=1, dtype=jnp.float64),
        }


def over(values: jax.Array, rows: jax.Array) -> jax.Array:
    """Return the mean of values [rows] over every set of marked rows [sets, rows]; nan where a set is empty."""
    return jax.vmap(lambda marked: mean(values, marked))(rows)
