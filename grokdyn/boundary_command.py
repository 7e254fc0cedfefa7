"""What ``grokdyn boundary`` does: search, tell, draw."""

from __future__ import annotations

import csv
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grokdyn.spec.paths import path_of
from grokdyn.usage import UsageError, default_folder, hint, read, say, shown

if TYPE_CHECKING:
    from grokdyn.boundaries import Boundary, Stage
    from grokdyn.spec.plane import Search

# The options that are fields of the table [boundary].
HELP = {
    "question": "what is asked of every run: 'test_accuracy >= 0.9', 'test_accuracy >= 0.9 within 1000', phase, ...",
    "seeds": "runs in a cell, each with a seed of its own (default: as many as [sweep] has, or 4)",
    "budget": "runs at most (default: a quarter of the full grid)",
    "batch": "runs in a round (default: half of the coarse grid)",
    "whole": "true: begin with all cells of the fine grid, to compare with",
}
OPTIONS = {f"--{name}": 1 for name in HELP}


def add_options(parser: ArgumentParser) -> None:
    """Add the options that are fields of a search."""
    for name, told in HELP.items():
        parser.add_argument(f"--{name}", metavar=name.upper(), help=told)


def boundary(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Search the boundary that a file and options describe."""
    from grokdyn.machines import cluster_of
    from grokdyn.spec.plane import BOUNDARY, FIELDS, Search

    cluster, spec = cluster_of(options), path_of(options.spec, "spec")
    asked = {f"{BOUNDARY}.{name}": text for name in FIELDS if (text := getattr(options, name)) is not None}
    described = read(spec, options.scale, {**overrides, **asked})
    if not isinstance(described, Search):
        raise UsageError(
            f"{options.spec}: got no table [{BOUNDARY}]; allowed: one, or --question 'test_accuracy >= 0.9'"
        )
    return find(described, spec, options.out, options.quiet, not options.no_figures, cluster)


def find(search: Search, spec: Path, out: str | None, quiet: bool, figures: bool, cluster: Any) -> int:
    """Search a boundary, or go on with it; tell what was found, draw it, say where it lies."""
    from grokdyn.boundaries import searched
    from grokdyn.engine.host.say import say as say_beside
    from grokdyn.spec.paths import place_of
    from grokdyn.terminal import show_facts

    folder = default_folder(spec).with_name(f"{default_folder(spec).name}-boundary") if out is None else path_of(out)
    full = search.plane.full

    def told(stage: Stage) -> None:
        runs = f"{stage.runs:,} runs of the {full:,} of a full grid"
        say_beside(f"round {stage.round}: {runs}; boundary known to {stage.known_to:.2g} cells")

    found = searched(search, place_of(folder, "out"), False if quiet else None, cluster, None if quiet else told)
    if not quiet:
        show_facts(facts(found))
    for path in (*(drawn(found, folder / "figures") if figures else ()), folder):
        say(path)
    if not quiet:
        hint(next_step(found, spec, folder))
    return 0


def facts(found: Boundary) -> dict[str, str]:
    """Return what a search has found, in words."""
    told = found.fit.attrs
    known = f"to {told['known_to']:.2g} cells at 95 % of its length"
    if told["ended"] == "budget":
        known += f"; another round would pass {told['budget']:,} runs"
    return {
        "question": told["asked"],
        "boundary known": known,
        "runs": f"{told['runs']:,}; a full grid takes {told['full_grid']:,}",
        "may be missed": f"what is smaller than {told['widest_gap']:.0f} cells, the widest gap between runs",
    }


def drawn(found: Boundary, folder: Path) -> list[Path]:
    """Draw the boundary and write its points into a folder; return the files."""
    from grokdyn.engine.store.files import whole, writing
    from grokdyn.figures import save
    from grokdyn.plot import boundary as draw
    from grokdyn.plot.line import axes_of

    figure, table = save(draw(*found), folder, "boundary", "png"), folder / "boundary.csv"
    fit, names = found.fit, axes_of(found.fit)
    with writing(table), whole(table, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["question", *names, "half_width_cells"])
        columns = (fit[name].values for name in ("of", "line_x", "line_y", "half_width"))
        for of, *numbers in zip(*columns, strict=True):
            rows.writerow([fit["question"].values[of], *(f"{number:.6g}" for number in numbers)])
    return [figure, table]


def next_step(found: Boundary, spec: Path, folder: Path) -> str:
    """Return what a user would do next."""
    if found.fit.attrs["ended"] == "budget":
        more = f"--out {shown(folder)} --budget {2 * found.fit.attrs['budget']}"
        return f"grokdyn boundary {shown(spec)} {more} goes on from here"
    return f"grokdyn report {shown(folder)} writes a page of all runs"
