"""Verdicts as JSON, which holds every number and can be judged again, and as text for a terminal."""

from __future__ import annotations

import dataclasses
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..checks import ArgumentError
from .between import Between
from .estimands import Contrast, Estimand, Median, Order, Probability, Student
from .farthest import MaximalError
from .restricted import RestrictedDifference
from .verdicts import ALPHA, LEVEL, OPEN, Claim, Verdict, judge, lies_between, region_told, short

SCHEMA = 2
KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (Between, Contrast, MaximalError, Median, Order, Probability, RestrictedDifference, Student)
}
WIDTH = 110
# Of the numbers of runs.
DIGITS = 9


def as_json(verdicts: Sequence[Verdict], made: Mapping[str, Any]) -> str:
    """Return verdicts, with all that they were judged by, and how the runs were made."""
    rows = [row(v) for v in verdicts]
    lines = ",\n".join("  " + json.dumps(r) for r in rows)
    head = {"schema": SCHEMA, "made": dict(made), "alpha": ALPHA, "level": LEVEL}
    return json.dumps(head, indent=1)[:-2] + ',\n "claims": [\n' + lines + "\n ]\n}\n"


def row(v: Verdict) -> dict[str, Any]:
    """Return a verdict as plain values: inf is "inf", nan is null."""
    c = v.claim
    told = {
        "claim": c.text,
        "verdict": v.verdict,
        "measured": measured_told(v),
        "source": c.source,
        "disputed": c.disputed,
        "expected": c.expected,
        "published": c.published,
        "unit": c.unit,
        "agrees": c.agrees,
        "bears": c.bears,
        "seeds": c.estimand.seeds if c.estimand else 0,
        "estimate": v.estimate,
        "interval": (v.low, v.high),
        "p": v.p,
        "p_holm": v.adjusted,
        "needed_seeds": v.needed,
        "published_place": v.place,
        "estimand": None if c.estimand is None else described(c.estimand),
    }
    return {name: plain(value) for name, value in told.items()}


def described(estimand: Estimand) -> dict[str, Any]:
    """Return an estimand with its runs."""
    fields = {f.name: getattr(estimand, f.name) for f in dataclasses.fields(estimand)}  # type: ignore[arg-type]
    return {"kind": type(estimand).__name__, "what": estimand.what, **fields}


def plain(value: Any) -> Any:
    """Return a value as JSON has it; a tuple, of ends or arms, is a list."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    array = np.asarray(value, np.float64)
    return number(float(array)) if array.ndim == 0 else [plain(one) for one in array]


def number(value: float) -> Any:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return int(value) if value == round(value) and abs(value) < 1e15 else float(f"{value:.{DIGITS}g}")


def again(text: str, decides: bool = True) -> tuple[list[Verdict], dict[str, Any]]:
    """Judge the claims of a JSON text again, from its runs; return the verdicts, and how the runs were made.

    Raises ArgumentError (a ValueError) for what is no such text, or one of an earlier form, which lacks the runs' ends.
    """
    told = json.loads(text)
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise ArgumentError(f"claims: expected JSON of schema {SCHEMA}; reproduce the folder again to have it.")
    claims = [claim_of(one) for one in told["claims"]]
    return judge(claims, decides=decides), told["made"]


def claim_of(one: Mapping[str, Any]) -> Claim:
    """Return a claim of a JSON text."""
    kept = {name: one[name] for name in ("source", "expected", "unit", "disputed")}
    agrees, bears = (region and (value_of(region[0]), value_of(region[1])) for region in (one["agrees"], one["bears"]))
    return Claim(
        text=one["claim"],
        estimand=estimand_of(one["estimand"]),
        agrees=agrees,
        bears=bears,
        published=one["published"],
        **kept,
    )


def value_of(value: Any) -> float:
    return math.nan if value is None else float(value)


def estimand_of(one: Mapping[str, Any] | None) -> Estimand | None:
    """Return an estimand of a JSON text."""
    if one is None:
        return None
    fields = {name: value for name, value in one.items() if name not in ("kind", "what")}
    if one["kind"] == "Student":
        numbers = [value_of(one[name]) for name in ("value", "error", "freedom")]
        return Student(*numbers, seeds=int(one["seeds"]), what=one["what"])
    read = {name: value if isinstance(value, str | bool) else arrays(value) for name, value in fields.items()}
    if one["kind"] == "Order":
        read["arms"] = tuple(arrays(arm) for arm in fields["arms"])
    return KINDS[one["kind"]](**read)


def arrays(value: Any) -> Any:
    """Return a number, an array of numbers, or the two of a pair of ends."""
    if not isinstance(value, list):
        return value_of(value)
    if len(value) == 2 and all(isinstance(end, list) for end in value):
        return tuple(arrays(end) for end in value)
    return np.array([arrays(one) if isinstance(one, list) else value_of(one) for one in value])


def as_markdown(verdicts: Sequence[Verdict], made: Mapping[str, Any]) -> str:
    """Return verdicts as a list that reads well in a terminal."""
    head = f"# {made.get('experiment', 'claims')}, scale {made.get('scale', '?')}"
    lines = [head, "", *textwrap.wrap(made_told(made), WIDTH), ""]
    for i, v in enumerate(verdicts, 1):
        mark = f"{i}. "
        for text in (f"**{v.verdict}**: {v.claim.text}.", measured_told(v), source_told(v)):
            lines += textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent="   ")
            mark = "   "
    note = (
        f"Intervals are at {LEVEL:.0%}. A verdict is by the interval of a level at which all claims of this page "
        f"together have at most one chance in {1 / ALPHA:.0f} of a false one (Holm)."
    )
    return "\n".join([*lines, "", *textwrap.wrap(note, WIDTH)]) + "\n"


def made_told(made: Mapping[str, Any]) -> str:
    """Return how runs were made, in words."""
    words = [f"{made[name]}" for name in ("date", "device") if made.get(name)]
    if made.get("seconds") is not None:
        words.append(f"{made['seconds']:,.0f} s of training")
    if made.get("commit"):
        words.append(f"commit {made['commit'][:10]}")
    if made.get("note"):
        words.append(str(made["note"]))
    return ", ".join(words) or "made by hand"


def measured_told(v: Verdict) -> str:
    """Return what was measured, in a sentence or three."""
    c = v.claim
    if c.estimand is None or not c.estimand.seeds:
        return "Not measured at this scale."
    unit = f" {c.unit}" if c.unit else ""
    what = c.estimand.what[0].upper() + c.estimand.what[1:]
    told = f"{what}, {c.estimand.seeds} seeds: {short(v.estimate)}{unit} ({short(v.low)} to {short(v.high)}); agrees: "
    told += region_told(c.agrees)
    if c.bears:
        told += f", does not contradict: {region_told(c.bears)}"
    told += f"; p {v.adjusted:.2g}." if v.verdict != OPEN else "."
    if v.needed:
        told += f" About {v.needed:,} seeds would decide."
    if v.verdict == OPEN and lies_between((v.low, v.high), c.agrees, c.bears):
        told += " The interval lies between what agrees and what contradicts: more seeds would not decide."
    if v.place:
        share, low, high = (f"{100 * x:.0f}" for x in v.place)
        told += f" Of our runs {share} % ({low} to {high}) are below the published {short(c.published)}."
    return told


def source_told(v: Verdict) -> str:
    """Return who says so and who says otherwise."""
    told = f"{v.claim.source}: {v.claim.expected}."
    return told + (f" Disputed: {v.claim.disputed}." if v.claim.disputed else "")
