"""Probes of what trains, which may be asked of other rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grokdyn.probes.base import Probe, Shapes
from grokdyn.probes.subset import places_of, rows_misfit
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.errors import Missing
from grokdyn.spec.rules import Count, Name, Optional
from grokdyn.tasks.shapes import Conflicts, needs_one_answer, needs_rows_alone


class OverRows(Probe):
    """Base: probes of the loss or logits of all train rows, or with ``rows`` of so many rows of a ``part``.

    Which rows these are is told in ``SubsetProbe``; ``measure`` sees a view whose train rows they are, with labels as
    trained. A divisor of the loss and what the model is rescaled by stay: the mean loss of a part has the gradient and
    Hessian that training would have, were those its train rows. A probe of this kind is there twice under two names.
    """

    rows: int | None = field(
        Optional(Count(2, 1_000_000)), default=None, doc="how many; none: all train rows", kw_only=True
    )
    part: str = field(
        Name(),
        default="train",
        doc="which rows they are taken from: table, train, test or another part",
        kw_only=True,
    )

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from self.fits(shapes)
        if self.rows is not None:
            yield from rows_misfit(shapes, self.part, self.rows)
            yield from needs_rows_alone(shapes)
        elif self.part != "train":
            yield "rows", Missing(), f"a number of rows, where part is {self.part!r}"

    def fits(self, shapes: Shapes) -> Conflicts:
        """Yield what ``Probe.conflicts`` does, whatever the rows."""
        return needs_one_answer(shapes, "a probe")

    def told(self, long_name: str) -> str:
        if self.rows is None:
            return long_name
        whose = f"{self.rows} {self.part} rows"
        return long_name.replace("train rows", whose) if "train rows" in long_name else f"{long_name}, {whose}"

    def seen(self, view: View) -> View:
        if self.rows is None:
            return view
        part, rows = self.part, self.rows
        return view.once(("over", part, rows), lambda: view.over(places_of(view, part, rows)))
