"""The four phases of a training run, and the phase that most runs of a cell are in."""

import numpy as np
import xarray as xr

from . import checks
from .times import grokking_time, last_record

PHASES = ("comprehension", "grokking", "memorization", "confusion")
COMPREHENSION, GROKKING, MEMORIZATION, CONFUSION = range(4)
UNKNOWN = -1
# Without a delay in steps: generalising counts as late from this multiple of the time to fit on.
LATE = 5
FLAGS = {"flag_values": list(range(4)), "flag_meanings": " ".join(PHASES), "missing_value": UNKNOWN}


def phases(ds: xr.Dataset, threshold: float = 0.9, delay: float | None = None, part: str = "test") -> xr.Dataset:
    """Classify every run as comprehension, grokking, memorization or confusion.

    After Liu et al. 2022, "Towards understanding grokking", with `step_train`, `step_test` of `grokking_time`:

        code  phase          train reaches  test reaches  step_test - step_train
        0     comprehension  yes            yes           < delay
        1     grokking       yes            yes           >= delay
        2     memorization   yes            no
        3     confusion      no

    "Reaches" is within the recorded steps, also for a run that later became non-finite. A run that at its last record
    holds neither, because it forgot what it had fitted, is in confusion too: under strong decay networks fit, then die.
    The paper used threshold 0.9,
    delay 1000 and 1e5 steps; a fixed number of steps means little at another learning rate or budget. With
    `delay=None` the rule is relative: grokking when the test accuracy was still recorded below the threshold at or
    after `5 * step_train`, i.e. generalising took, beyond doubt of the record interval, five times as long as
    fitting. It depends neither on the budget nor on the time scale of the optimizer. `part` names the part of the rows
    that generalising is read from, as in `grokking_time`.

    Returns a Dataset with `phase` (int8 over the swept axes, CF attributes `flag_values`, `flag_meanings`; -1 for a
    run without any record). Raises ValueError as `grokking_time`, and for a negative `delay`.
    """
    if delay is not None and checks.number(delay, "delay") < 0:
        raise checks.ArgumentError(f"delay={delay!r}: expected a number of steps >= 0, or None for the relative rule.")
    times = grokking_time(ds, threshold, part)
    late = _outlasts(ds, times, part) if delay is None else times["delay"] >= delay
    fitted, generalised = times["step_train"].notnull(), times[f"step_{part}"].notnull()
    code = xr.full_like(times["step_train"], COMPREHENSION).where(~late, GROKKING)
    code = code.where(generalised, MEMORIZATION).where(fitted & ~_forgot(ds, threshold, part), CONFUSION)
    code = code.where(fitted | times["train_censored"], UNKNOWN)
    rule = f"≥ {LATE} × train time" if delay is None else f"≥ {delay:g} steps later"
    code.attrs = {"long_name": "phase", **FLAGS, "threshold": float(threshold), "grokking_rule": rule}
    return xr.Dataset({"phase": code.astype(np.int8)}, attrs=ds.attrs)


def _forgot(ds: xr.Dataset, threshold: float, part: str) -> xr.DataArray:
    """Say where neither accuracy is at the threshold at a run's last record."""
    last = [last_record(ds[name]) for name in ("train_accuracy", f"{part}_accuracy")]
    return (last[0] < threshold) & (last[1] < threshold)


def _outlasts(ds: xr.Dataset, times: xr.Dataset, part: str) -> xr.DataArray:
    """Say where the run's last record before `step_test`, that of the part, lies at or after `LATE * step_train`."""
    before = ds[f"{part}_accuracy"].notnull() & (ds["step"] < times[f"step_{part}"])
    below = ds["step"].where(before).max("step")
    return (below >= LATE * times["step_train"]) & (below > times["step_train"])


def majority(phase: xr.DataArray, over: tuple[str, ...]) -> xr.Dataset:
    """Count phases over some dims: the commonest, the second, and the share of runs in each.

    Phases are those of the attribute `flag_values`, or else the four of `phases`; those of -1 are left out. Ties go
    to the larger code, the phase that generalises less. Returns `phase`, `second` (int8, -1 where there is none) and
    `share`, `second_share` (of the runs counted; 0 where there are none).
    """
    codes = np.sort(phase.attrs.get("flag_values", range(len(PHASES))))[::-1]
    counts = xr.concat([(phase == code).astype(int).sum(over) for code in codes], "code").transpose("code", ...)
    order = np.argsort(-counts.values, axis=0, kind="stable")
    ranked = np.take_along_axis(counts.values, order, axis=0)
    total = np.maximum(ranked.sum(axis=0), 1)
    out, empty = {}, counts.isel(code=0, drop=True)
    for rank, prefix in enumerate(("", "second_")):
        winner = np.where(ranked[rank] > 0, codes[order[rank]], UNKNOWN).astype(np.int8)
        out[prefix.rstrip("_") or "phase"] = empty.copy(data=winner)
        out[f"{prefix}share"] = empty.copy(data=ranked[rank] / total)
    out["phase"].attrs = phase.attrs
    return xr.Dataset(out)
