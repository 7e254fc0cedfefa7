"""How a command ends: results shown and drawn, where they lie, and what comes next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grokdyn.figures import draw
from grokdyn.spec.plane import FEWEST, SEED
from grokdyn.terminal import show
from grokdyn.usage import hint, say, shown

# With fewer seeds a user is told that more would say more.
FEW_SEEDS = 4
# Test accuracy that counts as generalisation.
LEVEL = 0.9


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
    if is_divided(found):
        held = " --seed 0" if SEED in found.dims else ""
        spec = shown(folder / "spec.toml")
        more = f"; grokdyn boundary {spec}{held} --question 'test_accuracy >= {LEVEL}' finds the edge of generalisation"
    elif found.sizes.get(SEED, 1) < FEW_SEEDS:
        more = "; more seeds would tell chance from effect: --sweep.seed '{range = [0, 8]}'"
    else:
        more = ""
    return f"grokdyn report {shown(folder)} writes a page to click through{more}"


def is_divided(found: Any) -> bool:
    """Return whether a sweep is a grid of two axes, some of whose runs generalise and some do not."""
    axes = [name for name in str(found.attrs.get("axes", "")).split() if name != SEED]
    numbers = all(found[name].dtype.kind in "if" and found.sizes[name] >= FEWEST for name in axes)
    if len(axes) != 2 or not numbers or "test_accuracy" not in found:
        return False
    generalises = found["test_accuracy"].max("step") >= LEVEL
    return bool(generalises.any()) and not bool(generalises.all())
