"""Whether a variable that needs no test rows tells that a run will generalise, and how early."""

from __future__ import annotations

import numpy as np
import xarray as xr

from . import checks

NAMES = ("correlation", "alarm_low", "alarm_high", "event_low", "event_high", "lead_low", "lead_high")
LONG_NAMES = ("correlation since the fit", *("step of the alarm",) * 2, *("step of the event",) * 2, *("lead",) * 2)


def foretelling(
    ds: xr.Dataset,
    variable: str,
    change: float = -0.2,
    of: str = "test_accuracy",
    level: float = 0.5,
    fitted: float = 0.99,
) -> xr.Dataset:
    """Compare when a variable has fallen or risen, since a run fitted, with when another comes to a level.

    The alarm is the first record since ``train_accuracy`` came to ``fitted`` at which the variable is at most
    1 + change times the largest of its values since then, or for a change above 0 at least 1 + change times the
    smallest: it reads no later record, so that it could be raised while the run goes on. The event is that ``of`` comes
    to ``level``. Both are known between two records, and the lead, event - alarm, with them.

    Args:
        variable: one value a record, above 0.
        change: of the variable, relative, from -1 on; not 0.

    Returns a Dataset over the swept axes, float64: ``alarm_low``, ``alarm_high``, ``event_low``, ``event_high``, upper
    ends inf where a run ended before; ``lead_low``, ``lead_high`` in steps, -inf or inf where only a bound is known,
    nan where neither came; ``correlation``, Pearson's of the variable with ``of`` over the records since the fit, nan
    where there are fewer than three of them or one does not vary.

    Raises ArgumentError (a ValueError) for an unknown variable, one with axes of its own, a change of 0 or below -1, or
    a share ``fitted`` outside (0, 1].
    """
    arrays = [checks.recorded(ds, name, where) for name, where in ((variable, "variable"), (of, "of"))]
    arrays.append(checks.recorded(ds, "train_accuracy", "ds"))
    for array in arrays:
        own = [dim for dim in array.dims if dim not in (*checks.swept_axes(ds), "step")]
        if own:
            raise checks.ArgumentError(
                f"variable={array.name!r}: has {checks.listed(own)}; expected one value a record."
            )
    if checks.number(change, "change") <= -1 or change == 0:
        raise checks.ArgumentError(f"change={change!r}: expected a relative change above -1 that is not 0.")
    fitted, level = checks.fraction(fitted, "fitted"), checks.number(level, "level")
    steps = ds["step"].values.astype(np.float64)

    def one(values: np.ndarray, target: np.ndarray, train: np.ndarray) -> np.ndarray:
        return np.array(of_run(steps, values, target, train, change, level, fitted))

    found = xr.apply_ufunc(
        one,
        *(array.astype(np.float64) for array in arrays),
        input_core_dims=[["step"]] * 3,
        output_core_dims=[["found"]],
        vectorize=True,
    )
    out = xr.Dataset({name: found.isel(found=i) for i, name in enumerate(NAMES)}, attrs=ds.attrs)
    for name, long_name in zip(NAMES, LONG_NAMES, strict=True):
        out[name].attrs = {"long_name": long_name, "units": "1" if name == "correlation" else "steps"}
    return out


def of_run(
    t: np.ndarray, values: np.ndarray, target: np.ndarray, train: np.ndarray, change: float, level: float, fitted: float
) -> tuple[float, ...]:
    """Return what is found of one run, in the order of ``NAMES``."""
    since = np.logical_or.accumulate(train >= fitted) & np.isfinite(values)
    sign = -np.sign(change)
    farthest = sign * np.fmax.accumulate(np.where(since, sign * values, -np.inf))
    alarm = between(t, since & (sign * values <= sign * (1 + change) * farthest), np.isfinite(values))
    event = between(t, target >= level, np.isfinite(target))
    neither = np.isinf(alarm[1]) and np.isinf(event[1])
    lead = (np.nan, np.nan) if neither else (event[0] - alarm[1], event[1] - alarm[0])
    return correlation(values[since], target[since]), *alarm, *event, *lead


def between(t: np.ndarray, holds: np.ndarray, known: np.ndarray) -> tuple[float, float]:
    """Return between which of the known records something first holds, (low, high]; high inf where it never does."""
    t, holds = t[known], holds[known]
    if not len(t):
        return np.nan, np.nan
    if not holds.any():
        return float(t[-1]), np.inf
    first = int(np.argmax(holds))
    return float(t[first - 1]) if first else 0.0, float(t[first])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation, nan where a value is missing or does not vary, or of fewer than three."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])
