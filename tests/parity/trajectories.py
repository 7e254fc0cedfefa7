"""Reference trajectories of independent PyTorch code, and how closely a run must follow them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"
# (steps, largest relative error of the training loss): float32 rounding grows through chaotic dynamics.
TOLERANCES = ((10, 1e-5), (25, 2e-3), (50, 3e-2))


def load(name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a reference run, see ``data/README.md``."""
    with np.load(DATA / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def relative_errors(ours: np.ndarray, theirs: np.ndarray) -> dict[int, float]:
    """Return the largest relative error of the training loss over the first steps of each tolerance."""
    errors = np.abs(ours[: len(theirs)] - theirs[: len(ours)]) / np.abs(theirs[: len(ours)])
    return {steps: float(errors[:steps].max()) for steps, _ in TOLERANCES}


def assert_follows(ours: np.ndarray, theirs: np.ndarray) -> None:
    errors = relative_errors(ours, theirs)
    assert all(errors[steps] <= tolerance for steps, tolerance in TOLERANCES), errors
