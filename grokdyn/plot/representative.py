"""Choose the cell of a diagram that stands for a phase."""

import numpy as np
import xarray as xr


def representatives(field: xr.Dataset, codes: range) -> dict[int, tuple[int, int]]:
    """Return for each phase the (row, column) of the cell that shows it best, without the phases that are absent.

    `field` as from `majority`. The cell on whose phase most runs agree; among those the one furthest from any cell of
    another phase; among those the one nearest to the middle of them all; among those the first.
    """
    phase, share = field["phase"].values, field["share"].values
    return {code: _best(phase == code, share) for code in codes if np.any(phase == code)}


def _best(inside: np.ndarray, share: np.ndarray) -> tuple[int, int]:
    cells = np.argwhere(inside & (share >= share[inside].max() - 1e-9))
    others = np.argwhere(~inside)
    if len(others):
        depth = np.min(np.linalg.norm(cells[:, None] - others[None], axis=-1), axis=1)
        cells = cells[depth >= depth.max() - 1e-9]
    nearest = np.argmin(np.linalg.norm(cells - cells.mean(axis=0), axis=1))
    row, column = cells[nearest].tolist()
    return row, column
