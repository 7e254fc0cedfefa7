"""The ledger of experiments: every claim with its verdict, from the JSON that the folders keep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grokdyn.analysis.claims.verdicts import OPEN, lies_between, short
from grokdyn.spec.errors import SpecError, Words

NAME = "README.md"
ORDER = ("full", "cpu", "smoke")
HEAD = """# Experiments

Every claim that a folder keeps results of, with its verdict. `grokdyn ledger experiments` writes this page from
`*/results/*/claims.json`, which hold every number; a verdict is by an interval over seeds, all claims of a folder
counted together (Holm), see `grokdyn.analysis.claims`.
"""


def ledger(folder: Path) -> str:
    """Return the page of a folder of experiments.

    Raises SpecError (a ValueError) where nothing is kept in it, or something cannot be read.
    """
    files = sorted(folder.glob("*/results/*/claims.json"), key=lambda file: (file.parts[-4], place(file)))
    if not files:
        raise SpecError(str(folder), Words("no kept results"), "a folder of experiments with results/SCALE/claims.json")
    kept = {file: read(file) for file in files}
    lines = [HEAD, *counts(kept.values()), ""]
    for file, told in kept.items():
        lines += section(file, told)
    return "\n".join(lines).rstrip() + "\n"


def place(file: Path) -> int:
    scale = file.parts[-2]
    return ORDER.index(scale) if scale in ORDER else len(ORDER)


def read(file: Path) -> dict[str, Any]:
    """Return what a file of claims holds."""
    try:
        told = json.loads(file.read_text())
    except ValueError as error:
        raise SpecError(str(file), Words(f"no JSON ({error})"), "what grokdyn reproduce --keep writes") from error
    if not isinstance(told, dict) or "claims" not in told:
        raise SpecError(str(file), Words("claims of an earlier form"), "those of grokdyn reproduce --keep today")
    return told


def counts(kept) -> list[str]:
    """Return how many claims there are of each verdict."""
    verdicts = [claim["verdict"] for told in kept for claim in told["claims"]]
    each = ", ".join(f"{verdicts.count(name)} {name}" for name in sorted(set(verdicts)))
    return [f"{len(verdicts)} claims: {each}."]


def section(file: Path, told: dict[str, Any]) -> Iterator[str]:
    """Yield the table of one folder's scale."""
    name, scale, made = file.parts[-4], file.parts[-2], told["made"]
    yield f"## [{name}]({name}/README.md), {scale}"
    yield ""
    runs = f"{made['runs']:,} runs, " if made.get("runs") else ""
    cost = f"{made['seconds']:,.0f} s of training, " if made.get("seconds") else ""
    commit = f"commit {made['commit'][:10]}, " if made.get("commit") else ""
    note = f" {str(made['note'])[0].upper()}{str(made['note'])[1:]}." if made.get("note") else ""
    device, date = made.get("device") or "device not kept", made.get("date") or "date not kept"
    yield f"{runs}{cost}{device}, {commit}{date}.{note}"
    yield ""
    yield "| claim | source | estimand | seeds | 95 % interval | verdict |"
    yield "|---|---|---|---|---|---|"
    for claim in told["claims"]:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells(claim)) + " |"
    yield ""


def cells(claim: dict[str, Any]) -> Iterator[str]:
    """Yield the cells of a claim."""
    sides = f"{claim['source']} ({claim['expected']})"
    if claim.get("disputed"):
        sides += f"; **against it**: {claim['disputed']}"
    what = claim["estimand"]["what"] if claim["estimand"] else "not measured"
    yield claim["claim"]
    yield sides
    yield what
    yield str(claim["seeds"])
    yield interval(claim)
    yield f"**{claim['verdict']}**" + why_open(claim)


def why_open(claim: dict[str, Any]) -> str:
    """Return what would decide a claim, or that nothing would."""
    if claim.get("needed_seeds"):
        return f", about {claim['needed_seeds']:,} seeds"
    between = claim["verdict"] == OPEN and lies_between(claim["interval"], claim["agrees"], claim["bears"])
    return ": between what agrees and what contradicts" if between else ""


def interval(claim: dict[str, Any]) -> str:
    """Return an estimate with its interval."""
    if claim["estimate"] is None:
        return "-"
    low, high = (short(end) for end in claim["interval"])
    unit = f" {claim['unit']}" if claim["unit"] else ""
    return f"{short(claim['estimate'])}{unit} ({low} to {high})"
