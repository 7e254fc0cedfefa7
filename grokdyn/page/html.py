"""The page as text: what is said in words, arrays as blocks, and the scripts that draw them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from grokdyn.plot import style

from .sheet import Sheet

FOLDER = Path(__file__).parent
SCRIPTS = ("elements", "blocks", "scales", "runs", "quantity", "map", "curves", "spread", "table", "main")
# Points of a colour map between which the page mixes.
COLOURS = 33
# What a claim says in columns of its own; whatever else it has that is short is told behind what was measured.
TOLD = ("claim", "expected", "source", "measured", "unit", "verdict")
LONGEST_EXTRA = 120
# How a verdict begins -> how it is marked.
VERDICTS = {"holds": "good", "does not hold": "bad"}


def page(
    title: str,
    sheets: Sequence[Sheet],
    claims: Sequence[Mapping[str, Any]] = (),
    figure: bytes | None = None,
    lead: str = "",
) -> str:
    """Return the page of one or more sweeps.

    Args:
        claims: claims of a folder with their verdicts, as its ``claims.json`` has them.
        figure: the folder's figure as PNG.
        lead: a line below the title.
    """
    script = "(() => {\n'use strict';\n" + "\n".join(read(f"{name}.js") for name in SCRIPTS) + "})();\n"
    css = read("page.css")
    # Nothing is fetched, and no script runs but this one, whatever stands in a spec.
    allowed = f"default-src 'none'; img-src data:; style-src {digest(css)}; script-src {digest(script)}"
    body = "\n".join([*opening(title, lead), *claims_told(claims), *figure_told(figure), *sweeps_told(sheets)])
    known = {"colors": colors(), "sweeps": [sheet.told for sheet in sheets]}
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(allowed)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>{plain(title)}</title>
<style>{css}</style>
</head>
<body>
{body}
<script type="application/json" id="about">{as_script(known)}</script>
{blocks(sheets)}
<script>{script}</script>
</body>
</html>
"""


def read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def plain(text: Any) -> str:
    """Return text as HTML shows it; control characters and halves of letters are spelled out."""
    seen = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(text))
    return escape(seen)


def as_script(value: Any) -> str:
    """Return JSON that ends no script element and begins no comment in one."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def colors() -> dict[str, Any]:
    """Return the colours of the package's figures."""
    shares = np.linspace(0, 1, COLOURS)
    ramps = {name: (np.asarray(mpl.colormaps[name](shares))[:, :3] * 255).round().astype(int).tolist() for name in MAPS}
    fixed = {"cycle": style.CYCLE, "phases": style.PHASE_COLORS, "split": style.SPLIT_COLORS}
    return {**ramps, **fixed}


MAPS = ("viridis", "cividis_r")


def opening(title: str, lead: str) -> Iterator[str]:
    yield f"<header><h1>{plain(title)}</h1>"
    yield f'<p class="lead">{plain(lead)}</p></header>' if lead else "</header>"
    yield "<noscript><p>The diagrams are drawn by a script in this page, which is switched off here.</p></noscript>"
    yield '<p id="old" class="problem" hidden>This browser is too old to unpack the arrays in this page: Chrome 80, '
    yield "Firefox 113 or Safari 16.4 draw them.</p>"


def claims_told(claims: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table of claims, those of earlier and later versions alike."""
    if not claims:
        return
    yield '<section id="claims"><h2>Claims</h2><div class="wide"><table><thead><tr>'
    yield "".join(f"<th>{head}</th>" for head in ("verdict", "claim", "expected", "measured", "source"))
    yield "</tr></thead><tbody>"
    for claim in claims:
        verdict = str(claim.get("verdict", ""))
        kind = next((kind for begin, kind in VERDICTS.items() if verdict.startswith(begin)), "open")
        cells = (claim.get("claim", ""), claim.get("expected", ""), measured(claim), claim.get("source", ""))
        yield f'<tr><td class="verdict {kind}">{plain(verdict)}</td>'
        yield "".join(f"<td>{plain(cell)}</td>" for cell in cells) + "</tr>"
    yield "</tbody></table></div></section>"


def measured(claim: Mapping[str, Any]) -> str:
    """Return what was measured of a claim: the median and range of its numbers, and what else is short."""
    values = claim.get("measured")
    if isinstance(values, str):  # told in full already
        disputed = claim.get("disputed")
        return f"{values} Disputed: {disputed}" if disputed else values
    parts = [spread_told(values, str(claim.get("unit", "")))] if isinstance(values, list) else []
    if values is not None and not isinstance(values, list | dict):
        parts.append(" ".join(filter(None, (number(values), str(claim.get("unit", ""))))))
    for name, value in claim.items():
        told = bounds(name, value)
        if name not in TOLD and told and len(told) <= LONGEST_EXTRA:
            parts.append(f"{name.replace('_', ' ')} {told}")
    return "; ".join(filter(None, parts))


def spread_told(values: list[Any], unit: str) -> str:
    known = [value for value in values if isinstance(value, int | float)]
    never, absent = sum(value == "never" for value in values), sum(value is None for value in values)
    told = [f"{number(float(np.median(known)))} {unit}".strip()] if known else []
    if len(known) > 1:
        told.append(f"({number(min(known))} to {number(max(known))}, {len(known)} runs)")
    told += [f"{never} never"] if never else []
    return " ".join(told) + (f", {absent} undecided" if absent else "")


def bounds(name: str, value: Any) -> str:
    """Return numbers and words of a claim; nothing of what is empty or nested."""
    if not isinstance(value, list):
        return "" if value is None or isinstance(value, dict) else number(value)
    if any(isinstance(one, list | dict) for one in value):
        return ""
    if len(value) == 2 and (value[0] is None) != (value[1] is None):
        return f"at least {number(value[0])}" if value[1] is None else f"at most {number(value[1])}"
    return (" of " if name == "agreeing" else " to ").join(map(number, value))


def number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def figure_told(figure: bytes | None) -> Iterator[str]:
    if figure is not None:
        data = base64.b64encode(figure).decode()
        yield f'<section><h2>Figure</h2><img class="paper" alt="figure" src="data:image/png;base64,{data}"></section>'


def sweeps_told(sheets: Sequence[Sheet]) -> Iterator[str]:
    """Yield what is said of every sweep, and the places where scripts draw."""
    if len(sheets) > 1:
        buttons = "".join(f'<button type="button">{plain(sheet.name)}</button> ' for sheet in sheets)
        yield f'<nav aria-label="sweeps"><h2>Sweeps</h2><div class="controls">{buttons}</div></nav>'
    for number, sheet in enumerate(sheets):
        yield f'<section data-sweep="{number}"><h2>{plain(sheet.name)}</h2>'
        rows = "".join(f"<dt>{plain(k)}</dt><dd>{plain(v)}</dd>" for k, v in sheet.told.get("facts", {}).items())
        yield f'<dl class="facts">{rows}</dl>' if rows else ""
        yield "".join(f'<p class="note">{plain(note)}</p>' for note in (*sheet.notes, precision(sheet)))
        if sheet.told.get("spec"):
            yield f"<details><summary>The whole spec</summary><pre>{plain(sheet.told['spec'])}</pre></details>"
        yield '<div class="explorer"></div></section>'


def precision(sheet: Sheet) -> str:
    """Say to how many digits the page holds numbers."""
    exact = "times, ends and axes exactly"
    return f"The page holds what was recorded to {sheet.told['digits']} significant digits, {exact}."


def blocks(sheets: Sequence[Sheet]) -> str:
    return "\n".join(
        f'<script type="text/plain" id="b{i}_{j}">{block}</script>'
        for i, sheet in enumerate(sheets)
        for j, block in enumerate(sheet.blocks)
    )
