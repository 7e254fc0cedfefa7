"""Tables of ``grokdyn bench --gpu-plan`` and ``grokdyn bench --device``."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from grokdyn.bench.accelerators import ACCELERATORS, GRID_CASE, GRID_RUNS, GRID_STEPS, Accelerator, Demand
from grokdyn.bench.device import Growth
from grokdyn.bench.measure import Result, Timing
from grokdyn.bench.report import WIDTH, cell, sides_as_json


def show_plan(demands: dict[str, Demand]) -> None:
    """Print the floors of cases on every accelerator, and what they are made of."""
    lines = [
        "o: bound by float32 operations; b: by memory, which every product passes once, the rest fused into it",
        "nothing of it is measured: grokdyn bench --device, on a device, says how near the engine comes",
    ]
    if GRID_CASE in demands:
        each = {d.name: demands[GRID_CASE].floor(d)[0] * GRID_RUNS * GRID_STEPS for d in ACCELERATORS}
        told = ", ".join(f"{name} {seconds:.2g} s" for name, seconds in each.items())
        lines.append(f"Doshi's grid, {GRID_RUNS:,} runs of {GRID_STEPS:,} steps, at the floor: {told}")
    show([plan_table(demands)], lines)


def show_growth(grown: list[Growth], about: dict[str, Any]) -> None:
    """Print how cases speed up with lanes, and what Doshi's grid would take."""
    lines = [f"{one.name}: {one.stopped}" for one in grown if one.stopped]
    lines.append(f"{about['device']}, {about['cores']} cores; share: of a large float32 matrix product here")
    for one in grown:
        if one.name == GRID_CASE and (best := one.best()):
            hours = best[1] * GRID_RUNS * GRID_STEPS / 3.6e6
            lines.append(f"Doshi's grid, {GRID_RUNS:,} runs of {GRID_STEPS:,} steps: {hours:.2g} h at {best[0]} lanes")
    show([growth_table(one) for one in grown], lines)


def show(tables: list[Table], lines: list[str]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    for made in tables:
        console.print(made)
    for line in lines:
        console.print(Text(line))


def plan_table(demands: dict[str, Demand]) -> Table:
    title = "least microseconds per run and step on accelerators, by their data sheets"
    made = Table(title=title, title_justify="left")
    for column in ("case", "MFLOP", "MiB", *(device.name for device in ACCELERATORS)):
        made.add_column(column, justify="left" if column == "case" else "right")
    for name, found in demands.items():
        sizes = f"{found.operations / 1e6:.3g}", f"{found.traffic / 2**20:.3g}"
        made.add_row(name, *sizes, *(floor_cell(found, device) for device in ACCELERATORS))
    return made


def floor_cell(found: Demand, device: Accelerator) -> str:
    seconds, by = found.floor(device)
    return f"{1e6 * seconds:.3g} {by[0]}"


def growth_table(found: Growth) -> Table:
    made = Table(title=f"{found.name}: {found.case.about}", title_justify="left")
    for column in ("lanes", "engine, ms per run-step", "run-steps/s", "share", "PyTorch, run after run", "batched"):
        made.add_column(column, justify="right")
    for lanes, result in found.results.items():
        engine, batched = result.timings["engine"], result.timings["torch_batched"]
        alone = cell(found.alone) if lanes == 1 else ""
        share = "-" if result.share is None else f"{result.share:.2g}"
        made.add_row(str(lanes), cell(engine), rate(engine), share, alone, cell(batched))
    return made


def rate(timing: Timing) -> str:
    return "-" if timing.milliseconds is None else f"{1e3 / timing.milliseconds:,.0f}"


def growth_as_json(grown: list[Growth], about: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return everything measured as plain values."""
    cases = [
        {"case": one.name, "about": one.case.about, "stopped": one.stopped or None, "lanes": lanes_as_json(one.results)}
        for one in grown
    ]
    return {"machine": about, "options": options, "cases": cases}


def lanes_as_json(results: dict[int, Result]) -> list[dict[str, Any]]:
    return [
        {
            "lanes": lanes,
            "sides": sides_as_json(one.timings),
            "operations_per_run_step": one.operations,
            "peak_operations_per_second": one.peak,
            "share_of_peak": one.share,
        }
        for lanes, one in results.items()
    ]
