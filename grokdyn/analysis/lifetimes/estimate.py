"""When runs have come to an event, group by group, with bands: survival curves of a Dataset."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import xarray as xr

from .. import checks
from ..censoring import CENSORING, DIVERGED
from .curve import BANDS, Curve, curve
from .events import DIVERGED_AS, Times, event_times, flat, reached_by_any
from .logrank import logrank
from .means import incidence, restricted_mean

SCALARS = ("median_time", "median_low", "median_high", "restricted_mean", "restricted_mean_low", "restricted_mean_high")


def survival(
    ds: xr.Dataset,
    event: str = "test",
    by: str | Sequence[str] = (),
    *,
    threshold: float = 0.9,
    part: str = "test",
    confidence: float = 0.95,
    horizon: float | None = None,
    diverged: str = "never",
    band: str = "beta",
) -> xr.Dataset:
    """Estimate the share of runs that have not come to an event, over time, in groups of runs.

    `survival` is the estimate of largest likelihood for events between two records (Turnbull 1976), evenly spread
    there; `kaplan_meier` takes an event to be where it was first recorded. Both know runs that ended before.

    Args:
        event: as for ``event_times``: "train", "test", "delay", or a condition such as "weight_norm <= 30".
        by: the axes whose values are groups; all others, such as the seed, are runs of one group.
        threshold: the accuracy that counts; part: the part of the rows whose delay is asked for.
        horizon: end of the restricted mean; by default the time up to which all groups are known.
        diverged: "never": the curve tells P(not there by t), and a run that diverged before never is; "censored": that
            of runs which do not diverge, as far as they are like the others.
        band: "beta" (Fay, Brittain & Proschan 2013, mid-p), or "log-log" (Greenwood), pointwise.

    Returns a Dataset over `by`: `survival`, `survival_low`, `survival_high`, `kaplan_meier`, `at_risk` and
    `diverged_share` (Aalen & Johansen 1978) over `time`; `median_time` with `median_low` and `median_high`, inf where
    the curve or its band stays above a half, above all that was seen (the lower end is then `followed_to` at most);
    `restricted_mean` with its interval; `runs`, and how many of each kind of censoring. Attributes tell the log-rank
    test where there are groups.

    Raises ArgumentError (a ValueError) in a line for an unknown event, axis or variable, one group only, or an event
    that no run came to.
    """
    checks.choice(band, BANDS, "band")
    checks.choice(diverged, DIVERGED_AS, "diverged")
    (confidence,) = checks.probabilities(confidence, "confidence")
    found = event_times(ds, event, threshold, part)
    reached_by_any(found, f"event={event!r}")
    axes = grouped(ds, found, by)
    end = float(ds["step"].values[-1])
    cells = cells_of(found, axes)
    groups = [flat(found.isel(at), diverged, end) for at in cells]
    if not all(len(group.low) for group in groups):
        empty = next(at for at, group in zip(cells, groups, strict=True) if not len(group.low))
        raise checks.ArgumentError(f"event={event!r}: no run is at risk of it where {told_cell(found, empty)}.")
    curves = [curve(group.low, group.high, confidence, band) for group in groups]
    limit = common_end(curves) if horizon is None else checks.number(horizon, "horizon")
    out = together(found, axes, groups, curves, confidence, limit)
    out.attrs |= {"event": groups[0].name, "confidence": confidence, "horizon": limit, "band": band}
    return out.assign_attrs(_test(groups)) if axes else out


def common_end(curves: list[Curve]) -> float:
    """Return up to when all curves are known; one that has come to 0 is known for ever."""
    last = [float(c.time[-1]) for c in curves]
    return min((end for end, c in zip(last, curves, strict=True) if c.value[-1] > 0), default=max(last))


def grouped(ds: xr.Dataset, found: xr.Dataset, by: str | Sequence[str]) -> tuple[str, ...]:
    """Return the axes of groups."""
    axes = tuple(checks.dimension(ds, a, "by", checks.swept_axes(ds)) for a in ([by] if isinstance(by, str) else by))
    if axes and all(found.sizes[axis] == 1 for axis in axes):
        raise checks.ArgumentError(f"by={by!r}: there is one group only; a comparison needs two.")
    return axes


def cells_of(found: xr.Dataset, axes: tuple[str, ...]) -> list[dict[str, int]]:
    return [dict(zip(axes, at, strict=True)) for at in itertools.product(*(range(found.sizes[a]) for a in axes))]


def told_cell(found: xr.Dataset, at: dict[str, int]) -> str:
    values = {axis: found[axis].values[i] if axis in found.coords else i for axis, i in at.items()}
    return ", ".join(f"{axis} = {value}" for axis, value in values.items())


def together(found, axes, groups: list[Times], curves: list[Curve], confidence: float, horizon: float) -> xr.Dataset:
    """Return the curves of all groups over their common times."""
    times = np.unique(np.concatenate([c.time for c in curves]))
    shape = tuple(found.sizes[a] for a in axes)
    columns = {name: np.stack([c.at(times, what) for c in curves]) for name, what in CURVES.items()}
    steps = [curve(np.where(np.isfinite(g.high), g.high, g.low), g.high) for g in groups]
    columns["kaplan_meier"] = np.stack([c.at(times) for c in steps])
    ends = [np.sort(np.where(np.isfinite(g.high), g.high, g.low)) for g in groups]
    columns["at_risk"] = np.stack([len(e) - np.searchsorted(e, times, side="left") for e in ends])
    shares = [incidence(g.low, g.high, g.censoring == DIVERGED, times) for g in groups]
    columns["diverged_share"] = np.stack(shares)
    out = xr.Dataset(coords={**{a: found[a] for a in axes if a in found.coords}, "time": times})
    for name, values in columns.items():
        out[name] = ((*axes, "time"), values.reshape(*shape, len(times)), {"long_name": LABELS[name], "units": "1"})
    rows = [scalars(c, confidence, horizon) for c in curves]
    for name, values in zip(SCALARS, np.array(rows).T, strict=True):
        out[name] = (axes, values.reshape(shape), {"long_name": name.replace("_", " "), "units": "steps"})
    out["followed_to"] = (axes, np.array([c.time[-1] for c in curves]).reshape(shape), {"units": "steps"})
    out["runs"] = (axes, np.array([len(g.low) for g in groups]).reshape(shape))
    out["time"] = ("time", times, {"long_name": groups[0].name, "units": "steps"})
    return out.assign(counted(found, axes))


CURVES = {"survival": "value", "survival_low": "low", "survival_high": "high"}
LABELS = {
    "survival": "runs not there yet",
    "survival_low": "lower end of its band",
    "survival_high": "upper end of its band",
    "kaplan_meier": "runs not recorded there yet",
    "at_risk": "runs at risk",
    "diverged_share": "runs that diverged before",
}


def scalars(found: Curve, confidence: float, horizon: float) -> tuple[float, ...]:
    # The median is early where the curve is low: its lower end is where the lower end of the band comes to a half.
    return (
        found.reaches(0.5),
        found.median_from,
        found.reaches(0.5, "high"),
        *restricted_mean(found, horizon, confidence),
    )


def counted(found: xr.Dataset, axes: tuple[str, ...]) -> dict[str, xr.DataArray]:
    """Return how many runs are of each kind of censoring."""
    code = found["censoring"]
    over = [d for d in code.dims if d not in axes]
    return {f"runs_{kind}": (code == i).sum(over).transpose(*axes) for i, kind in enumerate(CENSORING)}


def _test(groups: list[Times]) -> dict[str, object]:
    time = np.concatenate([np.where(np.isfinite(g.high), g.high, g.low) for g in groups])
    seen = np.concatenate([np.isfinite(g.high) for g in groups])
    group = np.repeat(np.arange(len(groups)), [len(g.low) for g in groups])
    found = logrank(time, seen, group)
    names = ("logrank", "logrank_freedom", "logrank_p", "logrank_method")
    return dict(zip(names, found, strict=True))
