"""Claims of papers as data: what was expected, where it is said, what was measured, and whether it holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from .checks import ArgumentError

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"
# A claim holds or fails when this share of the decided runs agree.
AGREEMENT = 0.75


@dataclass(frozen=True)
class Claim:
    """A statement that is checked on every run.

    Attributes:
        text: the statement, in a sentence.
        source: who says so, and where the number comes from.
        expected: the value in the source, in words.
        measured: one value per run (any shape); nan where a run does not decide, e.g. where its budget was too short.
        low, high: the values that agree with the claim, ends included.
        unit: of the values.
    """

    text: str
    source: str
    expected: str
    measured: Any
    low: float = -np.inf
    high: float = np.inf
    unit: str = ""

    @property
    def values(self) -> np.ndarray:
        """The measured values, one per run."""
        return np.asarray(self.measured, np.float64).ravel()

    @property
    def agreeing(self) -> tuple[int, int]:
        """How many runs agree, of how many that decide."""
        decided = self.values[~np.isnan(self.values)]
        return int(np.sum((decided >= self.low) & (decided <= self.high))), len(decided)

    @property
    def verdict(self) -> str:
        """Holds when at least three quarters of the runs that decide agree, fails when at most a quarter do.

        Not decided in between, and when fewer than half of the runs decide.
        """
        agree, decided = self.agreeing
        if decided == 0 or 2 * decided < len(self.values):
            return OPEN
        if agree >= AGREEMENT * decided:
            return HOLDS
        return FAILS if agree <= (1 - AGREEMENT) * decided else OPEN

    @property
    def told(self) -> str:
        """The measured values: median and range over runs."""
        known = self.values[~np.isnan(self.values)]
        if not len(known):
            return "nothing within the budget"
        unit = f" {self.unit}" if self.unit else ""
        text = f"{short(float(np.median(known)))}{unit}"
        if len(known) > 1:
            text += f" ({short(float(known.min()))} to {short(float(known.max()))})"
        missing = len(self.values) - len(known)
        return text + (f", {missing} of {len(self.values)} undecided" if missing else "")


def short(value: float) -> str:
    """Return a number with the digits that a reader wants."""
    if np.isinf(value):
        return "never" if value > 0 else "-inf"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def interpolated_step(values: xr.DataArray, threshold: float) -> xr.DataArray:
    """Return the step at which values first reach a threshold, linear between records; inf where they never do.

    A claim about a time in a run whose budget ended early should turn inf into nan itself, where the budget was too
    short to decide.
    """
    if "step" not in values.dims:
        raise ArgumentError(f"values: expected a dimension 'step'; they have {', '.join(map(str, values.dims))}.")
    steps = values["step"].values.astype(np.float64)

    def one(series: np.ndarray) -> float:
        known = ~np.isnan(series)
        y, t = series[known], steps[known]
        hit = np.flatnonzero(y >= threshold)
        if not len(hit):
            return np.inf
        i = hit[0]
        if i == 0:
            return float(t[0])
        return float(t[i - 1] + (t[i] - t[i - 1]) * (threshold - y[i - 1]) / (y[i] - y[i - 1]))

    return xr.apply_ufunc(one, values, input_core_dims=[["step"]], vectorize=True)


def as_json(claims: Sequence[Claim]) -> str:
    """Return claims with their measured values as JSON."""
    rows = [
        {
            "claim": c.text,
            "source": c.source,
            "expected": c.expected,
            "agrees": [bound if np.isfinite(bound) else None for bound in (c.low, c.high)],
            "measured": [None if np.isnan(v) else ("never" if np.isinf(v) else v) for v in c.values],
            "unit": c.unit,
            "agreeing": list(c.agreeing),
            "verdict": c.verdict,
        }
        for c in claims
    ]
    return json.dumps(rows, indent=1) + "\n"


def as_markdown(claims: Sequence[Claim]) -> str:
    """Return claims as a table."""
    lines = ["| claim | expected | source | measured | runs | verdict |", "|---|---|---|---|---|---|"]
    for c in claims:
        agree, decided = c.agreeing
        cells = (c.text, c.expected, c.source, c.told, f"{agree} of {decided}", f"**{c.verdict}**")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
