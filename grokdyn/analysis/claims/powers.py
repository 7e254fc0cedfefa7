"""Exponents of a law of times as estimands: of all runs, of both halves of an axis, and what published laws say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr

from ..checks import ArgumentError
from ..lifetimes import scaling
from .estimands import Student
from .verdicts import Claim

# An exponent is a published one within NEAR; two halves whose exponents are more than BREAK apart have not one power.
NEAR, BREAK = 0.05, 0.1
RESAMPLES = 100
TOLD = {"train_fraction": "data"}


def told(term: str) -> str:
    """Return what an axis is called in a sentence."""
    return TOLD.get(term, term.replace("_", " "))


def power_law(ds: xr.Dataset, names: Sequence[str], event: str = "delay") -> xr.Dataset | None:
    """Return ``scaling`` of an event by powers of axes, runs resampled; None where too few runs came to it."""
    try:
        return scaling(ds, f"{event} ~ " + " + ".join(names), over="run", resamples=RESAMPLES)
    except ArgumentError:
        return None


def resampled_exponent(law: xr.Dataset | None, term: str) -> Student | None:
    """Return an exponent, its error that of resampled runs, which also holds where the law is not quite the data's."""
    if law is None:
        return None
    row, runs = law.sel(term=term), int(law.runs)
    error = float(np.nanstd(row["resample"], ddof=1))
    return Student(float(row.exponent), error, runs - law.sizes["term"], runs, f"exponent of {told(term)}")


def halves(ds: xr.Dataset, names: Sequence[str], term: str, event: str = "delay") -> list[Student | None]:
    """Return an exponent on the lower and on the upper half of its axis, a middle value in both."""
    axis = ds[term].dims[0]
    n = ds.sizes[axis]
    parts = (slice(0, (n + 1) // 2), slice(n // 2, n))
    return [resampled_exponent(power_law(ds.isel({axis: part}), names, event), term) for part in parts]


def change(ds: xr.Dataset, names: Sequence[str], term: str, event: str = "delay") -> Student | None:
    """Return by how much the exponent of the upper half of an axis is above that of the lower."""
    low, high = halves(ds, names, term, event)
    if low is None or high is None:
        return None
    name = f"change of the exponent of {told(term)}"
    error = float(np.hypot(low.error, high.error))
    return Student(high.value - low.value, error, low.freedom, min(low.seeds, high.seeds), name)


def published_claims(
    ds: xr.Dataset, kind: str, published: Mapping[str, Mapping[str, float]], one_power: str
) -> Iterator[Claim]:
    """Yield a claim for each published exponent of the delay, then one for each axis: that one power is enough.

    Args:
        ds: results with all axes as coordinates; kind: of what network; published: by axis, who says which exponent;
            one_power: who says that one is enough.
    """
    names = tuple(published)
    law = power_law(ds, names)
    for term, sources in published.items():
        for source, value in sources.items():
            others = ", ".join(f"{v:g} {s}" for s, v in sources.items() if s != source)
            text = f"{kind}: the delay's exponent in {told(term)} is {value:g}, to {NEAR:g}"
            region = (value - NEAR, value + NEAR)
            yield Claim(text, source, f"{value:g}", resampled_exponent(law, term), region, disputed=others)
    for term in names:
        text = f"{kind}: one power of {told(term)}, the same in both halves of its range to {BREAK:g}"
        yield Claim(text, one_power, "no change", change(ds, names, term), (-BREAK, BREAK))
