"""Swept values as cells of a diagram: edges, the scale they were swept on, ticks at the centres."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from . import style

LINEAR_TOLERANCE = 1e-3  # of a step: values typed with three digits are even
LOG_TOLERANCE = 0.3  # of a step in log: 1, 3, 10 and 1, 2, 5, 10 are meant as even
MAX_TICKS, ROOM = 12, 32  # ticks on an axis; characters under one


@dataclass(frozen=True)
class CellAxis:
    """The cells of one axis: `edges` has one entry more than `centres`; `scale` is linear, log or category."""

    scale: str
    centres: np.ndarray
    edges: np.ndarray
    labels: tuple[str, ...]
    title: str

    def inner(self, index: int, share: float) -> tuple[float, float]:
        """Return the ends of the middle `share` of a cell, as it looks on this scale."""
        low, high = self._forward(self.edges[index : index + 2])
        margin = (1 - share) / 2 * (high - low)
        return self._backward(low + margin), self._backward(high - margin)

    def draw(self, ax: Axes, side: str, labelled: bool = True) -> None:
        """Set scale, ticks and label of the x or y axis."""
        axis = ax.xaxis if side == "x" else ax.yaxis
        if self.scale == "log":
            ax.set(**{f"{side}scale": "log"})
        longest = max(map(len, self.labels))
        crowded = side == "x" and longest * len(self.labels) > ROOM
        turned = crowded and self.scale == "category"
        fitting = max(ROOM // longest, 2) if crowded and not turned else MAX_TICKS
        every = -(-len(self.centres) // fitting)
        shown = slice((len(self.centres) - 1) % every // 2, None, every)
        turn = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if turned else {}
        axis.set_ticks(self.centres[shown], self.labels[shown], **turn)
        axis.set_ticks([], minor=True)
        axis.set_tick_params(length=2)
        if labelled:
            axis.set_label_text(self.title)

    def _forward(self, values: np.ndarray) -> np.ndarray:
        return np.log(values) if self.scale == "log" else values

    def _backward(self, value: float) -> float:
        return float(np.exp(value) if self.scale == "log" else value)


def cell_axis(coordinate: xr.DataArray) -> CellAxis:
    """Choose the scale of sorted swept values.

    Evenly spaced values get a linear scale, positive values evenly spaced in log a log scale, each with edges half way
    (in that scale) between neighbours. All else, such as words, or a zero before log-spaced values, becomes categories:
    equally wide cells at 0, 1, 2, ... with the value written at each.
    """
    values = coordinate.values
    labels = tuple(style.number(v) for v in values.tolist())
    scale = _scale(values)
    if scale == "category":
        values = np.arange(len(labels), dtype=float)
    values = values.astype(float)
    edges = np.exp(_edges(np.log(values))) if scale == "log" else _edges(values)
    return CellAxis(scale, values, edges, labels, style.label_of(coordinate))


def _scale(values: np.ndarray) -> str:
    if values.dtype.kind not in "iuf" or len(values) < 2:
        return "category"
    wide = len(values) == 2 and values[1] > 4 * values[0] > 0  # two values are even on any scale
    if _even(values.astype(float), LINEAR_TOLERANCE) and not wide:
        return "linear"
    if values[0] > 0 and _even(np.log(values), LOG_TOLERANCE):
        return "log"
    return "category"


def _even(values: np.ndarray, tolerance: float) -> bool:
    gaps = np.diff(values)
    return bool(np.all(np.abs(gaps - gaps.mean()) <= tolerance * gaps.mean()))


def _edges(centres: np.ndarray) -> np.ndarray:
    if len(centres) == 1:
        return centres[0] + np.array([-0.5, 0.5])
    between = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - between[0]], between, [2 * centres[-1] - between[-1]]])
