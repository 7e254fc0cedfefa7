"""What the command line prints: tables of results, costs and claims."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr
from rich import box
from rich.table import Table

from grokdyn import analysis
from grokdyn.analysis.checks import swept_axes
from grokdyn.analysis.claims import Verdict
from grokdyn.analysis.claims.written import measured_told, source_told
from grokdyn.analysis.times import last_record
from grokdyn.analysis.words import written
from grokdyn.engine.host import memory
from grokdyn.engine.host.console import Console
from grokdyn.engine.loop.estimate import Estimate
from grokdyn.engine.store.spec_text import brought_by
from grokdyn.plot.summary import ACCURACIES
from grokdyn.spec.errors import printable

MOST_ROWS = 40
MOST_VALUES = 100


def show(ds: xr.Dataset) -> None:
    """Print the outcome: a grid for two axes besides the seed, else a row per cell."""
    console = Console()
    if not has_accuracies(ds):
        console.print(str(ds.drop_attrs(deep=False)), highlight=False)  # without the spec, which is a file of the store
        return
    axes = cell_axes(ds)
    console.print(grid(ds, *axes) if len(axes) == 2 else rows(ds, axes))
    broke = int((ds["status"] > 0).sum())
    if broke:
        console.print(f"{broke} of {ds['status'].size} runs diverged; their step is in diverged_at.")


def has_accuracies(ds: xr.Dataset) -> bool:
    return all(name in ds for name in ACCURACIES)


def cell_axes(ds: xr.Dataset) -> list[str]:
    """Return the swept axes besides the seed."""
    return [axis for axis in swept_axes(ds) if axis != "seed"]


def over_seeds(values: xr.DataArray, how: str) -> xr.DataArray:
    return getattr(values, how)("seed") if "seed" in values.dims else values


def grid(ds: xr.Dataset, up: str, across: str) -> Table:
    """Return the final test accuracy, mean over seeds, along two axes."""
    final = over_seeds(at_end(ds)["test_accuracy"], "mean").transpose(up, across)
    table = Table(title=f"test accuracy {end_told(ds)}{seeds_told(ds)}", caption=f"down: {up}, across: {across}")
    table.add_column(up, justify="right")
    for value in ds[across].values:
        table.add_column(word(value), justify="right")
    for value, line in zip(ds[up].values, final.values, strict=True):
        table.add_row(word(value), *(f"{x:.2f}" for x in line))
    return table


def at_end(ds: xr.Dataset) -> xr.Dataset:
    """Return the accuracies of all parts at the end of every run; nan where it diverged or is still to come."""
    return ds[[f"{part}_accuracy" for part in analysis.parts(ds)]].map(last_record).where(ds["status"] == 0)


def end_told(ds: xr.Dataset) -> str:
    """Return when runs ended: by a stop rule, or with fewer steps, some may have before the others."""
    ended = ds["step"].where(ds["test_accuracy"].notnull() & (ds["status"] == 0)).max("step").values
    ends = np.unique(ended[~np.isnan(ended)])
    return f"after {ends[0]:.0f} steps" if len(ends) == 1 else "at the end of each run"


def seeds_told(ds: xr.Dataset) -> str:
    return f", mean over {ds.sizes['seed']} seeds" if "seed" in ds.dims else ""


def rows(ds: xr.Dataset, axes: list[str]) -> Table:
    """Return accuracies and times, a row for every cell."""
    times = analysis.grokking_time(ds)
    final, ends = at_end(ds), ds["step"].where(ds["test_accuracy"].notnull()).max("step")
    table = Table(title=end_told(ds) + seeds_told(ds), caption="times: median step to 90 %")
    heads = (*axes, *(str(name).replace("_", " ") for name in final), "train fitted at", "test at")
    for head in heads:
        table.add_column(head, justify="right")
    cells = list(itertools.product(*(range(ds.sizes[axis]) for axis in axes)))
    for cell in cells[:MOST_ROWS]:
        at = dict(zip(axes, cell, strict=True))
        accuracies = [f"{float(over_seeds(final[name].isel(at), 'mean')):.3f}" for name in final]
        steps = [median_told(times[name].isel(at).values, ends.isel(at).values) for name in ("step_train", "step_test")]
        table.add_row(*(word(ds[axis].values[i]) for axis, i in at.items()), *accuracies, *steps)
    if len(cells) > MOST_ROWS:
        table.caption = f"{len(cells) - MOST_ROWS} more cells are in the store; {table.caption}"
    return table


def median_told(steps: np.ndarray, ends: np.ndarray) -> str:
    """Return the median over runs, a missing step being later than all others, or what it is above.

    Args:
        ends: the last step that was recorded of each run; nan: none yet.
    """
    known, begun = ~np.isnan(steps), ~np.isnan(ends)
    if not begun.any():
        return "-"
    middle, above = (np.median(np.where(known, steps, later)[begun]) for later in (np.inf, ends))
    return f"{middle:.0f}" if np.isfinite(middle) else f"> {above:.0f}"


def word(value: Any) -> str:
    """Return a value of an axis for a table."""
    return printable(written(value))


def describe(ds: xr.Dataset, manifest: dict[str, Any]) -> None:
    """Print how a store was made and what axes it has."""
    show_facts(facts(ds, manifest))


def show_facts(told: dict[str, str]) -> None:
    """Print what is known, by name."""
    table = Table(show_header=False)
    for name, words in told.items():
        table.add_row(name, words)
    Console().print(table)


def facts(ds: xr.Dataset, manifest: dict[str, Any]) -> dict[str, str]:
    """Return how a store was made and what axes it has, in words."""
    missing, ok, broke = (int((ds["status"] == code).sum()) for code in (-1, 0, 1))
    return {
        "runs": f"{ds['status'].size}: {ok} done, {broke} diverged, {missing} to come",
        "steps": f"{int(ds['step'][-1])}, {ds.sizes['step']} records" if ds.sizes["step"] else "none yet",
        **{axis: values_told(ds[axis].values) for axis in swept_axes(ds) if axis in ds.coords},
        "variables": ", ".join(str(name) for name in ds.data_vars),
        **({"own code": brought} if (brought := ", ".join(brought_by(ds.attrs.get("spec", "")))) else {}),
        "device": f"{manifest.get('devices', '?')} x {manifest.get('device_kind', '?')}",
        "cohorts": str(len(manifest.get("cohorts", []))),
        **({"parent": parent_told(manifest["parent"])} if "parent" in manifest else {}),
        **costs(manifest),
        "finished": finished_told(bool(manifest.get("finished")), missing),
        "versions": ", ".join(f"{p} {manifest[p]}" for p in ("grokdyn", "jax", "numpy") if p in manifest),
    }


def finished_told(finished: bool, missing: int) -> str:
    """Return whether a sweep has ended, and what it lacks although it has."""
    lost = f", but of {missing} run{'s' * (missing != 1)} something is lost: grokdyn resume trains again"
    return "no" if not finished else "yes" + lost * bool(missing)


def parent_told(parent: dict[str, Any]) -> str:
    """Return where the runs of a store go on from."""
    begin = f"round {parent.get('round', '?')}, from step {parent.get('begin', '?')} of {parent.get('store', '?')}"
    steps, apply = parent.get("step", "?"), parent.get("apply", [])
    if isinstance(steps, list):
        return f"{begin}, {len(steps)} ways, the first after {'; '.join(apply[0]) or 'nothing'} at step {steps[0]}"
    done = "; ".join(map(str, apply))
    return f"{begin}, after {done} at step {steps}" if done else begin


def values_told(values: np.ndarray) -> str:
    """Return the values of an axis; of a long one the ends."""
    if len(values) <= MOST_VALUES:
        return ", ".join(word(value) for value in values)
    return f"{len(values)} values, {word(values[0])} to {word(values[-1])}"


def costs(manifest: dict[str, Any]) -> dict[str, str]:
    """Return what training took, beside what was planned as far as that was known."""
    sessions, planned = manifest.get("sessions", []), manifest.get("planned_seconds")
    took = duration(sum(session["seconds"] for session in sessions))
    many = f"{len(sessions)} session{'s' * (len(sessions) != 1)}"
    told = {"time": f"{took} in {many}" + (f", planned {duration(planned)}" if planned else "")}
    peak = max((session.get("peak_bytes") or 0 for session in sessions), default=0)
    if peak and manifest.get("bytes_per_batch"):
        batch = max(manifest["bytes_per_batch"]) / 2**20
        told["memory"] = f"{peak / 2**20:,.0f} MiB at most, of which {batch:,.1f} MiB planned for a batch"
    return told


def show_estimates(estimates: Sequence[Estimate]) -> None:
    """Print what cohorts will cost."""
    table = Table(title="plan", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, caption_justify="left")
    for head in ("runs", "batches", "lanes a\ndevice", "steps", "MiB", "FLOP", "compile", "training", "of it\nrecords"):
        table.add_column(head, justify="right", overflow="fold")
    for e in estimates:
        together = f", {e.lanes_per_block} at once" if e.lanes_per_block > 1 else ""
        lanes = f"{e.lanes_per_device:,}{together}"
        cells = (f"{e.runs:,}", f"{e.batches} x {e.runs_per_batch:,}", lanes, f"{e.steps:,}", f"{e.bytes / 2**20:,.1f}")
        times = (f"{e.speed.compile_seconds:.1f} s", duration(e.seconds), f"{e.recording:.0%}")
        table.add_row(*cells, f"{e.operations:.1e}".replace("e+", "e"), *times)
    total = sum(e.seconds + e.speed.compile_seconds for e in estimates)
    known = "measured now" if any(e.speed.measured for e in estimates) else "measured earlier"
    table.caption = f"together about {duration(total)} on this machine; speed {known}"
    Console().print(table)
    print("\n".join(kept_told(estimates[0].results, estimates[0].snapshots)))


def kept_told(results: int, snapshots: int) -> Iterator[str]:
    """Yield what results and snapshots take, and where there is not enough of it here."""
    free, there = shutil.disk_usage(".").free, memory.available()
    snaps = f", and snapshots of at most {memory.told(snapshots)}" if snapshots else ""
    yield f"results: {memory.told(results)} in memory, at most that on the disk{snaps}"
    if results + memory.SPARE > there:
        yield f"without a folder they do not fit: {memory.told(there)} of memory can be had"
    if 2 * results + snapshots > free:  # at the end the parts lie beside the results
        yield f"the disk of this folder may be too small: {memory.told(free)} are free, and parts lie beside results"


def duration(seconds: float) -> str:
    """Return a time in the unit that a reader wants."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def show_claims(verdicts: Sequence[Verdict]) -> None:
    """Print claims with who says so, what was measured, and whether they hold."""
    table = Table(title="claims", show_lines=True)
    for head in ("claim", "measured", "verdict"):
        table.add_column(head, overflow="fold")
    for verdict in verdicts:
        text = "\n".join(map(printable, (verdict.claim.text, source_told(verdict))))
        table.add_row(text, *map(printable, (measured_told(verdict), verdict.verdict)))
    Console().print(table)
