"""The times of an event in the runs of a Dataset, each an interval with what is known of it."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import xarray as xr

from .. import checks
from ..censoring import DIVERGED, UNFITTED, UNKNOWN
from ..parts import parts
from ..times import DIRECTIONS, first_step, grokking_time

CONDITION = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*(\S+)\s*")
# A run that diverged before the event: either it never sees it, or all that is known is that it had not by then.
DIVERGED_AS = ("never", "censored")


class Times(NamedTuple):
    """When an event happened: in (low, high], exactly then where both are one, after low where high is inf.

    Attributes:
        low, high: [runs], in steps.
        censoring: codes as in ``CENSORING`` [runs].
        name: of the event.
    """

    low: np.ndarray
    high: np.ndarray
    censoring: np.ndarray
    name: str


def event_times(ds: xr.Dataset, event: str, threshold: float = 0.9, part: str = "test") -> xr.Dataset:
    """Return `low`, `high` and `censoring` of an event over the swept axes.

    Args:
        event: "train", "test" or another part that has accuracies: the time at which that accuracy reaches
            `threshold`; "delay": from train to `part`; or a condition such as "weight_norm <= 30".

    Raises ArgumentError (a ValueError) for an unknown event or variable.
    """
    known = (*parts(ds), "delay")
    if event in known:
        about = part if event in ("delay", "train") else event
        found = grokking_time(ds, threshold, about)
        names = {f"{event}_{name}": name for name in ("low", "high", "censoring")}
        label = "delay of generalization" if event == "delay" else f"time to {event} accuracy ≥ {threshold:g}"
        return found[list(names)].rename(names).assign_attrs(event=label)
    matched = CONDITION.fullmatch(event) if isinstance(event, str) else None
    if matched is None:
        raise checks.ArgumentError(
            f"event={event!r}: expected one of {checks.listed(known)}, or a condition such as 'weight_norm <= 30'."
            f"{checks.nearest(event, known)}"
        )
    variable, direction, bound = matched.groups()
    checks.choice(direction, DIRECTIONS, "event")
    checks.variable(ds, variable, "event")
    found = first_step(ds, variable, checks.number(number_of(bound), "event"), direction)
    if own := set(found["low"].dims) - set(checks.swept_axes(ds)):
        raise checks.ArgumentError(f"event={event!r}: {variable} has several values a run, along {checks.listed(own)}.")
    return found[["low", "high", "censoring"]].assign_attrs(event=found["first_step"].attrs["long_name"])


def number_of(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def flat(found: xr.Dataset, diverged: str, end: float) -> Times:
    """Return the times of runs of which something is known, one after another, at risk of the event.

    Runs that never fitted are not at risk of a delay; runs that diverged are there to the end, `end`, where they count
    as runs that never see the event.
    """
    low, high, code = (found[name].values.ravel() for name in ("low", "high", "censoring"))
    kept = (code != UNKNOWN) & (code != UNFITTED) & ((code != DIVERGED) | np.isfinite(low) | (diverged == "never"))
    low, high, code = low[kept], high[kept], code[kept]
    if diverged == "never":
        low = np.where(code == DIVERGED, end, low)
    return Times(low, high, code, str(found.attrs.get("event", "event")))


def reached_by_any(found: xr.Dataset, argument: str) -> None:
    """Refuse times none of which is known, in a line."""
    if not np.isfinite(found["high"].values).any():
        last = np.nanmax(np.where(np.isfinite(found["low"]), found["low"], np.nan), initial=0)
        name = found.attrs.get("event", "the event")
        raise checks.ArgumentError(
            f"{argument}: no run reached it within {last:.0f} steps ({name}), so no time is known; "
            "lower the threshold or train longer."
        )
