"""What a switch from one task to the next does to the tasks of before, at every record."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from . import checks
from .own_steps import measured
from .parts import one_part


def stability(ds: xr.Dataset, parts: Sequence[str], switches: int | Sequence[int], *, window: int = 10) -> xr.Dataset:
    """Measure how far the accuracies of tasks fall while others are learned (De Lange et al. 2022, arXiv 2205.13452).

    Task i = 1, 2, ... is learned up to step T_i, A_i(t) is its accuracy at step t; a record at T_i sees no update on
    task i + 1 yet. All of it is of what is recorded: minima between two records are not seen.

    Args:
        parts: the part of every task, in the order in which they are learned, as in `first_unseen_accuracy`.
        switches: T_1, T_2, ..., one fewer, or a single number; all of them records.
        window: updates that a window of windowed forgetting spans.

    Returns a Dataset over the swept axes. Over `step`, k being the task that is learned then:
    `min_accuracy`, the mean over i < k of min A_i(s), T_i < s <= t, nan up to T_1; `worst_case_accuracy`,
    A_k / k + (1 - 1 / k) min_accuracy. Over `switch` and `part`, for the tasks learned before a switch at T, nan for
    others, E being the step of the next switch or the last: `before`, A_i(T); `after`, A_i(E); `lowest`, the least of
    A_i in (T, E]; `lowest_after`, updates from T to the first such record; `gap_depth`, max(0, min(before, after) -
    lowest), what is lost and comes back; `gap_area`, the integral over (T, E) of max(0, min(before, after) - A_i), by
    trapezoids, in updates. `windowed_forgetting`, the mean over tasks of the largest A_i(s) - A_i(t), 0 < t - s <
    window, 0 where none falls. A nan among the records that one of these is of makes it nan.

    Raises ArgumentError (a ValueError) for a part without accuracies, fewer than two parts, or switches that are no
    increasing records before the last.
    """
    names = [one_part(ds, part) for part in checked_parts(parts)]
    arrays = [measured(ds, name) for name in names]
    axes = [dim for dim in arrays[0].dims if dim != "step"]
    like = arrays[0].transpose(*axes, "step")
    steps = like["step"].values
    at = places(steps, switches, len(parts))
    if checks.number(window, "window") < 2:
        raise checks.ArgumentError(f"window={window!r}: expected at least 2 updates.")
    A = np.stack([array.transpose(*axes, "step").values for array in arrays], -2)
    shape, A = A.shape[:-2], A.reshape(-1, *A.shape[-2:]).astype(np.float64)
    found = xr.Dataset(coords={**like.coords, "switch": steps[at], "part": list(parts[:-1])}, attrs=ds.attrs)
    over = running(A, at)
    for name, values, told in zip(("min_accuracy", "worst_case_accuracy"), over, OVER_STEPS, strict=True):
        found[name] = ((*axes, "step"), values.reshape(*shape, -1), {"long_name": told})
    for name, values in at_switches(A, steps, at).items():
        attrs = {"long_name": AT_SWITCHES[name], "units": UNITS.get(name, "1")}
        found[name] = ((*axes, "switch", "part"), values.reshape(*shape, *values.shape[1:]), attrs)
    found["windowed_forgetting"] = (axes, windowed(A, steps, window).mean(1).reshape(shape), {"long_name": WINDOWED})
    return found


OVER_STEPS = ("mean of the least accuracies of earlier tasks", "worst-case accuracy")
AT_SWITCHES = {
    "before": "accuracy at the switch",
    "after": "accuracy at the next switch, or the end",
    "lowest": "least accuracy in between",
    "lowest_after": "updates from the switch to the least accuracy",
    "gap_depth": "accuracy that is lost and comes back",
    "gap_area": "area of what is lost and comes back",
}
UNITS = {"lowest_after": "steps", "gap_area": "steps"}
WINDOWED = "largest fall of accuracy within a window"


def checked_parts(parts: Sequence[str]) -> Sequence[str]:
    if isinstance(parts, str) or len(parts) < 2 or len(set(parts)) < len(parts):
        raise checks.ArgumentError(f"parts={parts!r}: expected two or more distinct parts, in their order.")
    return parts


def places(steps: np.ndarray, switches: int | Sequence[int], count: int) -> np.ndarray:
    """Return the places of the switches among the records."""
    wanted = np.atleast_1d(np.asarray(switches))
    at = np.searchsorted(steps, wanted)
    fine = wanted.ndim == 1 and len(wanted) == count - 1 and np.all(np.diff(wanted) > 0)
    if not fine or np.any(at >= len(steps) - 1) or np.any(steps[at] != wanted):
        told = f"expected {count - 1} increasing records before the last, {steps[-1]}"
        raise checks.ArgumentError(f"switches={switches!r}: {told}.")
    return at


def running(A: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return min-accuracy and worst-case accuracy [runs, records] of accuracies [runs, tasks, records]."""
    runs, _, records = A.shape
    worst = A[:, 0].copy()
    minima, least = np.full((runs, records), np.nan), np.zeros((runs, records))
    for i, first in enumerate(at + 1):
        k = i + 2
        least[:, first:] += np.minimum.accumulate(A[:, i, first:], axis=1)
        minima[:, first:] = least[:, first:] / (k - 1)
        worst[:, first:] = A[:, k - 1, first:] / k + (1 - 1 / k) * minima[:, first:]
    return minima, worst


def at_switches(A: np.ndarray, steps: np.ndarray, at: np.ndarray) -> dict[str, np.ndarray]:
    """Return what happens after every switch to every task learned before [runs, switches, tasks - 1]."""
    count = len(at)
    found = {name: np.full((len(A), count, count), np.nan) for name in AT_SWITCHES}
    for j, (begin, end) in enumerate(zip(at, [*at[1:], len(steps) - 1], strict=True)):
        mine, t = A[:, : j + 1, begin : end + 1], steps[begin : end + 1].astype(np.float64)
        before, after, later = mine[..., 0], mine[..., -1], mine[..., 1:]
        level = np.minimum(before, after)
        lost = np.maximum(0, level[..., None] - mine)
        known = ~np.isnan(mine).any(-1)
        values = {
            "before": before,
            "after": after,
            "lowest": later.min(-1),
            "lowest_after": np.where(known, t[1 + later.argmin(-1)] - t[0], np.nan),
            "gap_depth": np.maximum(0, level - later.min(-1)),
            "gap_area": ((lost[..., 1:] + lost[..., :-1]) / 2 * np.diff(t)).sum(-1),
        }
        for name, value in values.items():
            found[name][:, j, : j + 1] = value
    return found


def windowed(A: np.ndarray, steps: np.ndarray, window: int) -> np.ndarray:
    """Return the largest fall within fewer than ``window`` updates [runs, tasks]."""
    found = np.zeros(A.shape[:2])
    for lag in range(1, len(steps)):
        near = steps[lag:] - steps[:-lag] < window
        if not near.any():
            break
        falls = (A[..., :-lag] - A[..., lag:])[..., near]
        found = np.maximum(found, falls.max(-1))
    return np.where(np.isnan(A).any(-1), np.nan, found)
