"""How a command ends: results shown and drawn, where they lie, and what comes next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grokdyn.figures import draw
from grokdyn.terminal import show
from grokdyn.usage import hint, say, shown

# With fewer seeds a user is told that more would say more.
FEW_SEEDS = 4


def tell(found: Any, folder: Path, quiet: bool, figures: bool) -> int:
    """Show results, draw them into their store, say where they lie."""
    if not quiet:
        show(found)
    drawn = draw(found, folder / "figures") if figures else []
    for path in (*drawn, folder):
        say(path)
    if not quiet:
        hint(next_step(found, folder))
    return 0


def next_step(found: Any, folder: Path) -> str:
    """Return what a user would do next with the results of a sweep."""
    if bool((found["status"] < 0).any()):
        return f"grokdyn resume {shown(folder)} goes on with the runs that are not there yet"
    seeds = found.sizes.get("seed", 1)
    more = "" if seeds >= FEW_SEEDS else "; more seeds would tell chance from effect: --sweep.seed '{range = [0, 8]}'"
    return f"grokdyn report {shown(folder)} writes a page to click through{more}"
