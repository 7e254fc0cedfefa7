"""Results of the bench as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from grokdyn.bench.costs import CostResult
from grokdyn.bench.measure import FAILED, MISSING, NOT_INSTALLED, SIDES, Result, Timing

TITLES = {"engine": "engine", "hand": "by hand", "torch": "PyTorch, run after run", "torch_batched": "PyTorch, batched"}
PACKAGES = ("grokdyn", "jax", "jaxlib", "optax", "numpy", "torch")
WIDTH = 132  # where the output is no terminal


def machine() -> dict[str, Any]:
    """Return what the timings depend on: devices, cores, load, versions."""
    import jax

    from grokdyn.engine.host.devices import cores

    found = jax.local_devices()
    return {
        "device": f"{len(found)} x {found[0].platform} ({found[0].device_kind})",
        "gpu": jax.default_backend() == "gpu",
        "cores": cores(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "versions": {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}},
    }


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def targets(result: Result, gpu: bool) -> dict[str, dict[str, Any]]:
    """Return every target: the ratio, its bound, whether it is met (None where there is nothing to judge).

    The targets against PyTorch and the floor are stated for two CPU cores and not judged on a GPU.
    """
    over_hand, over_torch = result.ratio("engine", "hand"), result.ratio("torch", "engine")
    least, most = result.case.least_over_torch, result.case.most_over_hand
    return {
        "engine/hand": {
            "ratio": over_hand,
            "at_most": most,
            "met": None if over_hand is None else over_hand <= most,
        },
        "torch/engine": {
            "ratio": over_torch,
            "at_least": None if gpu else least,
            "met": None if over_torch is None or gpu else over_torch >= least,
        },
        "engine/floor": {
            "ratio": result.over_floor,
            "at_most": None if gpu else result.case.most_over_floor,
            "met": within(result.over_floor, None if gpu else result.case.most_over_floor),
        },
    }


def within(ratio: float | None, most: float | None) -> bool | None:
    return None if ratio is None or most is None else ratio <= most


def as_json(
    results: list[Result], costs: list[CostResult], about: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """Return everything measured as plain values."""
    cases = [
        {
            "case": result.name,
            "about": result.case.about,
            "runs": result.runs,
            "sides": sides_as_json(result.timings),
            "targets": targets(result, about["gpu"]),
            "operations_per_run_step": result.operations,
            "peak_operations_per_second": result.peak,
            "share_of_peak": result.share,
            "floor_ms_per_run_step": result.floor,
        }
        for result in results
    ]
    beside = [
        {
            "case": cost.name,
            "about": cost.cost.about,
            "sides": sides_as_json(cost.timings),
            "targets": {"with/without": cost_target(cost)},
        }
        for cost in costs
    ]
    return {"machine": about, "options": options, "cases": cases, "costs": beside}


def sides_as_json(timings: dict[str, Timing]) -> dict[str, dict[str, Any]]:
    return {
        side: {
            "ms_per_run_step": timing.milliseconds,
            "cpu_ms_per_run_step": timing.cpu_milliseconds,
            "runs": timing.runs,
            "steps": timing.steps,
            "seconds": timing.wall,
            "seconds_beside_training": timing.idle,
            "why_not": timing.why_not or None,
        }
        for side, timing in timings.items()
    }


def cost_target(cost: CostResult) -> dict[str, Any]:
    """Return the ratio, its bound, and whether it is met."""
    met = None if cost.ratio is None else cost.ratio <= cost.cost.at_most
    return {"ratio": cost.ratio, "at_most": cost.cost.at_most, "met": met}


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def show(results: list[Result], costs: list[CostResult], about: dict[str, Any]) -> None:
    """Print the tables and what they were measured on."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    tables = [table(results, about["gpu"])] if results else []
    tables += [cost_table(costs)] if costs else []
    console.print(Group(*tables, *footnotes(results, costs, about)), soft_wrap=False)


def table(results: list[Result], gpu: bool) -> Table:
    made = Table(title="milliseconds per run and step, median", title_justify="left")
    ratios = ("engine / by hand", "PyTorch / engine", "engine / floor")
    for title in ("case", "runs", *(TITLES[side] for side in SIDES), "floor", *ratios, "targets"):
        made.add_column(title, justify="left" if title in ("case", "targets") else "right", overflow="fold")
    for result in results:
        judged = targets(result, gpu)
        met = [target["met"] for target in judged.values() if target["met"] is not None]
        made.add_row(
            Text(f"{result.name}: {result.case.about}"),
            str(result.runs),
            *(Text(cell(result.timings[side])) for side in SIDES),
            Text("-" if result.floor is None else f"{result.floor:.3g}"),
            *(Text(judgement(target)) for target in judged.values()),
            Text("-" if not met else "met" if all(met) else "not met"),
        )
    return made


def cost_table(costs: list[CostResult]) -> Table:
    made = Table(title="what a part costs: milliseconds per run and step, median", title_justify="left")
    for title in ("case", "runs", "without", "with", "with / without"):
        made.add_column(title, justify="left" if title == "case" else "right", overflow="fold")
    for line in costs:
        made.add_row(
            Text(f"{line.name}: {line.cost.about}"),
            str(line.without.runs),
            Text(cell(line.without)),
            Text(cell(line.with_it)),
            Text(judgement(cost_target(line))),
        )
    return made


def cell(timing: Timing) -> str:
    for long in (FAILED, MISSING):
        if timing.why_not.startswith(long):
            return long  # the rest goes below
    return timing.why_not or f"{timing.milliseconds:.3g}"


def judgement(target: dict[str, Any]) -> str:
    """Return a ratio with its bound, e.g. ``1.05 (yes: at most 1.1)``."""
    if target["ratio"] is None:
        return "-"
    ratio = f"{target['ratio']:.3g}"
    if target["met"] is None:
        return ratio
    bound = f"at most {target['at_most']:g}" if "at_most" in target else f"at least {target['at_least']:g}"
    return f"{ratio} ({'yes' if target['met'] else 'no'}: {bound})"


def used(result: Result) -> str:
    """Return which share of the machine's speed a case reaches, and what PyTorch / engine would be at all of it."""
    over_torch = result.ratio("torch", "engine")
    most = f" (at 1, PyTorch / engine would be {over_torch / result.share:.2g})" if over_torch and result.share else ""
    return f"{result.name} {result.share:.2f} of {result.peak / 1e9:.0f} GFLOP/s{most}"


def footnotes(results: list[Result], costs: list[CostResult], about: dict[str, Any]) -> list[Text]:
    """Return the lines under the table."""
    load = "unknown" if about["load_average"] is None else f"{about['load_average']:.2f}"
    versions = ", ".join(f"{name} {found}" for name, found in about["versions"].items() if found)
    idle = {r.name: r.timings["engine"].idle for r in results}
    fixed = ", ".join(f"{name} {statistics.median(seconds):.3f} s" for name, seconds in idle.items() if seconds)
    failures = [
        f"{line.name}, {TITLES.get(side, side)} {timing.why_not}"
        for line in [*results, *costs]
        for side, timing in line.timings.items()
        if timing.why_not.startswith(FAILED)
    ]
    lines = [*failures, f"{about['device']}, {about['cores']} cores, load average {load} at the start", versions]
    if any(timing.why_not == NOT_INSTALLED for line in results for timing in line.timings.values()):
        lines.append(f"PyTorch is {NOT_INSTALLED}")
    if fixed:
        lines.append(f"not in the engine's times: planning, start, first record and Dataset of each gd.run, {fixed}")
    if shares := [used(result) for result in results if result.share]:
        lines.append(f"engine's speed over that of a large float32 matrix product here, {', '.join(shares)}")
    if not about["gpu"]:
        lines.append("targets against PyTorch and the floor are stated for two CPU cores")
    if any(result.floor for result in results):
        lines.append("floor: the matrix products of a step alone, each at its best padding, as XLA computes them")
    return [Text(line) for line in lines]
