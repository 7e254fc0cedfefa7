"""Reference trajectories of independent PyTorch code, and how closely a run must follow them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

DATA = Path(__file__).parent / "data"
# (steps, largest relative error of the training loss): float32 rounding grows through chaotic dynamics.
TOLERANCES = ((10, 1e-5), (25, 2e-3), (50, 3e-2))


def load(name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a reference run, see ``data/README.md``."""
    with np.load(DATA / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


# Steps at which a run is looked at, which costs as much as an update: an error goes on into all later ones.
LOOKS = (*range(11), *range(15, 50, 5), 49)


def relative_errors(ours: xr.DataArray, theirs: np.ndarray) -> dict[int, float]:
    """Return the largest relative error of a run's training loss over the first steps of each tolerance."""
    at = ours.step.values
    errors = np.abs(ours.values - theirs[at]) / np.abs(theirs[at])
    return {steps: float(errors[at < steps].max()) for steps, _ in TOLERANCES}


def assert_follows(ours: xr.DataArray, theirs: np.ndarray) -> None:
    errors = relative_errors(ours, theirs)
    assert all(errors[steps] <= tolerance for steps, tolerance in TOLERANCES), errors
