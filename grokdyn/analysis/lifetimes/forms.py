"""Three forms of a law of times in one number beside powers of others: with an offset, a power, with an edge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from .events import event_times
from .laws import LAWS
from .regression import NEAR, fit
from .scaling import logarithms

# Offsets r, and edges over the least x run, that are tried.
OFFSETS, EDGES = np.concatenate([[0], np.geomspace(0.05, 20, 60)]), np.linspace(0, 0.98, 50)
# By how much the log-likelihood falls at the end of a 95 % interval: half of chi-squared's quantile.
LOSS = 1.92


class Runs(NamedTuple):
    """Ends of log T of runs, the number x of each, and the columns of the rest of the law [runs, columns]."""

    low: np.ndarray
    high: np.ndarray
    x: np.ndarray
    rest: np.ndarray


def forms(ds: xr.Dataset, event: str, axis: str, others: tuple[str, ...], resamples: int = 0) -> dict[str, dict] | None:
    """Compare T = c (r + 1 / x) (A), c x^a (B) and c (x - e)^a (C), each with powers of other axes.

    By the likelihood of log-normal times known to an interval, r and e on a grid.

    Args:
        ds: results; event: as of ``event_times``; axis: the name of x; others: names of the other axes.
        resamples: how often runs are drawn anew for the error of the power of C, the edge found anew each time.

    Returns of each form its `aic`; `offset` of A, `power` of B, and of C `power`, its `error` over draws, `edge`,
    the `interval` of the edge that a loss of 1.92 in log-likelihood gives, and `runs`; None where no run came to it.
    Raises ArgumentError (a ValueError) for an unknown event.
    """
    found = event_times(ds, event)
    if not np.isfinite(found.high).any():
        return None
    runs = table(ds, found, axis, others)
    ones = np.ones(len(runs.low))
    a = [level(runs, ones, offset=np.log(r + 1 / runs.x))[0] for r in OFFSETS]
    b, power = level(runs, ones, column=np.log(runs.x))
    edges = EDGES * runs.x.min()
    levels, powers = edged(runs, ones, edges)
    best = int(np.argmax(levels))
    inside = edges[levels > levels[best] - LOSS]
    count = runs.rest.shape[1] + 1  # with the spread
    return {
        "A": {"aic": 2 * (count + 1) - 2 * max(a), "offset": float(OFFSETS[int(np.argmax(a))])},
        "B": {"aic": 2 * (count + 1) - 2 * b, "power": power},
        "C": {
            "aic": 2 * (count + 2) - 2 * levels[best],
            "power": powers[best],
            "error": spread(runs, edges, resamples),
            "edge": float(edges[best]),
            "interval": (float(inside[0]), float(inside[-1])),
            "runs": len(runs.low),
        },
    }


def table(ds: xr.Dataset, found: xr.Dataset, axis: str, others: tuple[str, ...]) -> Runs:
    """Return times and columns of the runs whose time has a logarithm."""
    low, high, kept = logarithms(found, None)
    dims = found["low"].dims
    values = [ds[n].broadcast_like(found["low"]).transpose(*dims).values.ravel() for n in (axis, *others)]
    x, *rest = (one[kept].astype(float) for one in values)
    columns = np.column_stack([np.ones(len(x)), *(np.log(one) for one in rest)])
    return Runs(low[kept], high[kept], x, columns)


def level(runs: Runs, weight: np.ndarray, offset: np.ndarray | float = 0.0, column: np.ndarray | None = None):
    """Return the largest log-likelihood of log T less an offset, and the last coefficient."""
    columns = runs.rest if column is None else np.column_stack([runs.rest, column])
    kept = weight > 0
    off = np.broadcast_to(offset, kept.shape)[kept]
    one = fit(LAWS["lognormal"], runs.low[kept] - off, runs.high[kept] - off, columns[kept], weight[kept], flat=NEAR)
    return one.log_likelihood, float(one.values[-2])


def edged(runs: Runs, weight: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Return the log-likelihood and the power of C at every edge."""
    found = [level(runs, weight, column=np.log(runs.x - edge)) for edge in edges]
    return np.array([one[0] for one in found]), [one[1] for one in found]


def spread(runs: Runs, edges: np.ndarray, resamples: int) -> float:
    """Return the standard deviation of the power of C over runs drawn with replacement (generator seed 0)."""
    if not resamples:
        return float("nan")
    rng, n, found = np.random.default_rng(0), len(runs.low), []
    for _ in range(resamples):
        weight = np.bincount(rng.integers(n, size=n), minlength=n).astype(float)
        levels, powers = edged(runs, weight, edges[::5])
        found.append(powers[int(np.argmax(levels))])
    return float(np.std(found, ddof=1))
