"""Points: runs that are named one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.sweep import Sweep
from grokdyn.spec.values import listed

# What the dimension of single points is called.
RUN = "run"
POINTS = "a list of points, each a table: path = value, all of the same paths"


def points(base: Experiment, given: Sequence[Mapping[str, Any]]) -> Sweep:
    """Return the sweep of single points: the results have the dimension ``run``, and what varies along it.

    ``gd.to_grid`` makes a grid of the results where the points lie on one. In a TOML file the same is
    ``[sweep.run.zip]`` with a list of values for every path.

    Args:
        base: what all runs share.
        given: path -> value for every run, e.g. ``[{"seed": 0, "optimizer.weight_decay": 0.1}, ...]``.

    Raises:
        SpecError: for points that lack a path, a point twice, or what ``Sweep`` refuses.
    """
    return Sweep(base, {RUN: {"zip": columns(given)}})


def columns(given: Any, paths: Sequence[str] | None = None) -> dict[str, list[Any]]:
    """Return the values of every path of some points.

    Args:
        paths: what they are of; default: those of the first.
    """
    found = listed(given)
    if isinstance(found, str | Mapping) or not isinstance(found, Sequence) or not found:
        raise SpecError("points", given, POINTS)
    for i, point in enumerate(found):
        if not isinstance(point, Mapping) or not point:
            raise SpecError(f"points[{i}]", point, "a table: path = value")
    paths = list(found[0]) if paths is None else list(paths)
    for i, point in enumerate(found):
        for path in {*paths, *point}:
            if path not in point:
                raise SpecError(f"points[{i}].{path}", Words("nothing"), f"a value of every path: {', '.join(paths)}")
            if path not in paths:
                raise SpecError(f"points[{i}].{path}", point[path], f"only the paths that all have: {', '.join(paths)}")
    return {path: [point[path] for point in found] for path in paths}
