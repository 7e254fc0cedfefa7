"""The boundary between the answers of runs, over what they answered."""

from __future__ import annotations

import matplotlib.figure
import xarray as xr
from matplotlib.axes import Axes

from grokdyn.analysis.boundary.answers import CLASSES
from grokdyn.analysis.boundary.found import yes

from .diagram import phase_diagram
from .line import axes_of


def boundary(
    ds: xr.Dataset, fit: xr.Dataset, value: str | None = None, *, ax: Axes | None = None
) -> matplotlib.figure.Figure:
    """Draw runs in the plane of two axes, the fitted boundary between their answers, and its band.

    The band holds the whole line with the confidence that it was fitted with; a point alone is known better.

    Args:
        ds: the runs, a grid or single points: their cells then have different sizes.
        fit: as `gd.analysis.boundary` returns it; `gd.plot.boundary(*gd.boundary(...))` draws a search.
        value: what the cells show, as in `phase_diagram`; default: phases where these were asked for, else the share
            of runs that answer yes.

    Returns the Figure, that of `ax` where one is given. Raises ValueError as `phase_diagram`, or for what is no fit.
    """
    x, y = axes_of(fit)
    asked = str(fit.attrs["asked"])
    if value is None and asked.split()[0] in CLASSES:
        ds, value = ds.assign(phase=CLASSES[asked.split()[0]][0](ds)["phase"]), "phase"
    elif value is None:
        told = {"long_name": "share of runs that answer yes", "valid_range": (0.0, 1.0)}
        ds, value = ds.assign(answers_yes=yes(ds, asked)[0].assign_attrs(told)), "answers_yes"
    return phase_diagram(ds, x, y, value, boundary=fit, ax=ax)
