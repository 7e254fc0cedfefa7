"""Find a boundary in the plane of two axes with few runs: batch after batch where it is known least."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grokdyn.analysis.boundary import choice, found
from grokdyn.analysis.boundary.answers import asked
from grokdyn.engine.extend import extend
from grokdyn.engine.host.devices import devices
from grokdyn.engine.host.scope import scope
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.run import resume, run
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.reading import read_spec
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.paths import place_of
from grokdyn.spec.plane import DEFAULT_SEEDS, Plane, Search

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

# Half a cell of the fine grid: as well as a grid of these values could show it.
ENOUGH = 0.5
# Cells of a batch come in a multiple of this, so that devices have equally many.
TOGETHER = 8


class Boundary(NamedTuple):
    """What a search has found; ``gd.plot.boundary(*found)`` draws it.

    Attributes:
        runs: results of all runs, along ``run``; fit: the boundary, as ``gd.analysis.boundary`` has it, with the
            attributes ``full_grid``, the runs of the whole fine grid, ``budget``, and ``ended``: "known" or "budget".
    """

    runs: xr.Dataset
    fit: xr.Dataset


class Stage(NamedTuple):
    """How far a search is: a round, runs so far, in what many, and how many cells the line is known to."""

    round: int
    runs: int
    known_to: float


def boundary(
    exp: Experiment,
    axes: Mapping[str, Any],
    question: str,
    seeds: int = DEFAULT_SEEDS,
    budget: int | None = None,
    out: str | Path | None = None,
    batch: int | None = None,
    whole: bool = False,
    progress: bool | None = None,
    cluster: Any = None,
    told: Callable[[Stage], None] | None = None,
) -> Boundary:
    """Find the boundary between runs that answer a question otherwise, with a part of the runs of a full grid.

    A coarse grid comes first. Then whole batches of runs: between neighbours that disagree, until they are as close as
    the transition is wide; where the fitted line is known least; and a tenth where nothing was run. It ends when 95 %
    of the line's length is known to half a cell of the fine grid (a pointwise 95 % band), or before a batch that would
    go beyond the budget. See ``gd.analysis.boundary`` for the fit and Bryan et al. 2005 and Picheny et al. 2010 for the
    choice. What to run next depends on the runs that there are and on nothing else: called again with the same ``out``
    it goes on after an interruption or a kill, to the same bits, and with a larger budget beyond where it ended.

    Args:
        exp: what all runs share.
        axes: two paths -> values of the fine grid, x first; as in a ``Sweep``.
        question: as in ``gd.analysis.boundary``, such as "test_accuracy >= 0.9", "phase".
        seeds: runs in a cell. Every cell has seeds of its own, so that chance does not move the whole line.
        budget: runs at most; default: a quarter of the full grid, or what the coarse grid and two batches take.
        out: folder for the store of all runs; default: they stay in memory.
        batch: runs in a round; default: half of the coarse grid. It is rounded up to whole cells, eight at a time.
        whole: begin with all cells of the fine grid, for those who want to compare; the budget is then that of all.
        progress, cluster: as in ``run``.
        told: is called with how far it is after every round.

    Returns:
        ``Boundary(runs, fit)``.

    Raises:
        SpecError, ArgumentError: (ValueErrors) for axes, a question or a budget that cannot be; before anything is
            trained or written. Where all runs of the coarse grid answer alike: afterwards; they stay in ``out``.
        StoreError: if ``out`` holds other runs, or another process trains or extends it.
        Interrupted: as ``run``.
    """
    search = Search(Plane(exp, axes, seeds), question, budget, batch, whole)
    if out is None:
        with tempfile.TemporaryDirectory(prefix="grokdyn-") as folder:
            held = searched(search, Path(folder) / "runs", progress, cluster, told)
            return Boundary(held.runs.load(), held.fit)
    return searched(search, place_of(out, "out"), progress, cluster, told)


def searched(
    search: Search,
    path: Path,
    progress: bool | None = None,
    cluster: Any = None,
    told: Callable[[Stage], None] | None = None,
) -> Boundary:
    """Run the coarse grid, or what of it there is not, then batch after batch; arguments and errors as ``boundary``."""
    plane, question = search.plane, search.question
    cells = np.argwhere(np.ones(plane.size)) if search.whole else choice.coarse(plane.size)
    first = [(int(i), int(j), 0) for i, j in cells]
    each = cells_of_a_round(search, len(first))
    limit = allowed(search, len(first), each)
    check_question(plane, question)
    if (path / "spec.toml").is_file():
        check_mine(plane, path)
        runs = resume(path, progress=progress, cluster=cluster)
    else:
        runs = run(plane.runs(first), out=path, progress=progress, cluster=cluster)
    rounds, values = 0, dict(zip(plane.names, plane.values, strict=True))
    while True:
        at = found.places(runs, plane.names, values)
        replies = found.divided(found.replied(runs, question), question)
        fits = found.fitted(at, replies, plane.size)
        known, rounds = found.known_to(fits), rounds + 1
        if told is not None:
            told(Stage(rounds, len(at), known))
        if known <= ENOUGH or len(at) + each * plane.seeds > limit:
            break
        seen = found.seen(at, replies, plane.seeds)
        more = choice.following([fit.surface for fit in fits], seen, plane.seeds, each)
        runs = extend(path, plane.points(more), progress=progress, cluster=cluster)
    fit = found.described(fits, at, plane.names, values, question, runs)
    ended = "known" if known <= ENOUGH else "budget"
    return Boundary(runs, fit.assign_attrs(full_grid=plane.full, budget=limit, ended=ended))


def cells_of_a_round(search: Search, coarse: int) -> int:
    """Return how many cells a round runs."""
    wanted = coarse / 2 if search.batch is None else search.batch / search.plane.seeds
    return int(np.ceil(wanted / TOGETHER)) * TOGETHER


def allowed(search: Search, coarse: int, each: int) -> int:
    """Return how many runs there may be.

    Raises:
        SpecError: if they are less than the coarse grid.
    """
    seeds = search.plane.seeds
    if search.budget is None and search.whole:
        return search.plane.full
    if search.budget is None:
        return max(search.plane.full // 4, (coarse + 2 * each) * seeds)
    if search.budget < coarse * seeds:
        grid = "whole" if search.whole else "coarse"
        least = f"at least {coarse * seeds}, those of the {grid} grid: {coarse} cells with {seeds} seeds each"
        raise SpecError("budget", Words(f"{search.budget} runs"), least)
    return search.budget


def check_question(plane: Plane, question: str) -> None:
    """Raise what is wrong with a question, by what results will have: before anything is trained."""
    import xarray as xr

    about = asked(question)
    some = plane.runs([(0, 0, 0), (plane.size[0] - 1, plane.size[1] - 1, 0)])
    with scope(some):
        cohorts = Plan.of(some, devices()).cohorts
    axes = {
        name: values for cohort in cohorts for v in cohort.variables.values() for name, values in v.coordinates.items()
    }
    axes["step"] = cohorts[0].recorded
    blank = {
        name: (("run", "step", *v.dims), np.full((1, *(len(axes[dim]) for dim in ("step", *v.dims))), np.nan))
        for name, v in cohorts[0].variables.items()
    }
    beside = {name: ("run", [float(values[0])]) for name, values in zip(plane.names, plane.values, strict=True)}
    found.answers(xr.Dataset(blank, {**axes, **beside}, {"axes": "run"}), about, ("run",))


def check_mine(plane: Plane, path: Path) -> None:
    """Raise StoreError where a store holds runs that are none of a plane."""
    if not plane.holds(read_spec(path)):
        told = "holds runs that are not of this plane: another spec, other axes or another number of seeds"
        raise StoreError(f"out: {str(path)!r} {told}; allowed: a new folder, or the spec that it was made with")
