"""Two published diagrams, their lines found with a part of the runs."""

import matplotlib.figure
import numpy as np
from scipy.spatial import KDTree

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Student
from grokdyn.plot import style

KUMAR = "Kumar et al. 2024 (arXiv 2310.06110), figure 3e"
DOSHI = "Doshi et al. 2023 (arXiv 2310.13061), diagrams of weight decay"
ALPHA, EPSILON, FRACTION, NOISE = "output_scale", "epsilon", "train_fraction", "label_noise"
# Where Kumar's contour is read, and the train fractions at which Doshi's line of memorization is.
SMALL, LARGE = 0.08, 0.2
LITTLE, MUCH = 0.55, 0.85
# Half a cell of the fine grid.
HALF = 0.5


def claims(results):
    kumar, doshi = results["kumar"].fit, results["doshi"].fit
    large = kumar.attrs["runs"] >= 100
    apart = [at(kumar, kumar.attrs["asked"], ALPHA, {EPSILON: value}) for value in (SMALL, LARGE)]
    more = [at(doshi, "memorization", NOISE, {FRACTION: value}) for value in (LITTLE, MUCH)]
    return [
        Claim(
            "the contour found with a part of the runs is that of the whole grid: so far apart are 95 % of its length",
            "ours; 14 x 14 cells with 4 seeds of their own",
            "half a cell",
            distance(kumar, results["grid"].fit) if large else None,
            (0, HALF),
            unit="cells",
        ),
        Claim(
            "a stronger quadratic part groks as soon with a larger output scale: the contour of a delay rises",
            KUMAR,
            "delay grows with alpha and with 1/epsilon",
            rise(*apart, kumar.attrs["runs"]) if large else None,
            (0, np.inf),
        ),
        Claim(
            "more data stands more corrupted labels: memorization begins at more noise",
            DOSHI,
            "the edge of memorization rises with the train fraction",
            rise(*more, doshi.attrs["runs"]) if doshi.attrs["runs"] >= 100 else None,
            (0, np.inf),
            unit="share of labels",
        ),
    ]


def cells(fit):
    """Return the points of a line in cells of its grid."""
    sides = ((fit.line_x, fit[ALPHA]), (fit.line_y, fit[EPSILON]))
    return np.stack([np.interp(line, axis, np.arange(axis.size)) for line, axis in sides], axis=1)


def distance(one, other):
    """Return how far 95 % of a line's length is from another at most, with the errors of both there."""
    apart, nearest = KDTree(cells(other)).query(cells(one))
    order = np.argsort(apart)
    length = one.length.values[order].cumsum()
    last = order[np.searchsorted(length, 0.95 * length[-1])]
    errors = one.half_width.values[last] / 1.96, other.half_width.values[nearest[last]] / 1.96
    runs = int(one.attrs["runs"])
    return Student(float(apart[last]), float(np.hypot(*errors)), runs, runs, "distance of 95 % of the line")


def at(fit, question, along, where):
    """Return where a line crosses a line of the plane along an axis, the first time, with its standard error."""
    if question not in fit.question.values:
        return np.nan, np.nan
    one = fit[["surface", "standard_error"]].sel(question=question).interp(where)
    surface, values = one.surface.values, fit[along].values
    changes = np.flatnonzero(np.signbit(surface[1:]) != np.signbit(surface[:-1]))
    if not len(changes):
        return np.nan, np.nan
    i = changes[0]
    slope = (surface[i + 1] - surface[i]) / (values[i + 1] - values[i])
    place = values[i] - surface[i] / slope
    return place, float(np.interp(place, values, one.standard_error.values)) / abs(slope)


def rise(low, high, runs):
    """Return the difference of two places of a line."""
    return Student(float(high[0] - low[0]), float(np.hypot(low[1], high[1])), runs, runs, "difference along the line")


def figure(results):
    kumar, doshi = results["kumar"], results["doshi"]
    with style.context():
        drawn = style.new_figure(7.2, 3.1)
        left, right = drawn.subfigures(1, 2, width_ratios=(1, 1.2))
        axes = left.subplots(), right.subplots()
        gd.plot.boundary(*kumar, ax=axes[0])
        gd.plot.boundary(*doshi, ax=axes[1])
        whole = results["grid"].fit
        line = axes[0].plot(whole.line_x, whole.line_y, ".", ms=1.2, color="#D55E00", label="whole grid")
        axes[0].legend(handles=line, loc="lower right", markerscale=4, facecolor="white", frameon=True, framealpha=0.8)
        told = [f"{fit.attrs['runs']} runs of {fit.attrs['full_grid']}" for _, fit in (kumar, doshi)]
        for letter, ax, text in zip("ab", axes, told, strict=True):
            style.letter(ax, letter)
            ax.set_title(text)
    return drawn if isinstance(drawn, matplotlib.figure.Figure) else drawn.figure
