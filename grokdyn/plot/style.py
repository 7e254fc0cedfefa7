"""The one look of all figures: sizes, colours, names. Nothing global is changed."""

import io
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import matplotlib.figure
from matplotlib.axes import Axes

from grokdyn.analysis import checks

from .fit import fit

# Okabe and Ito's colour-blind-safe palette; the order is that of the phase codes.
PHASE_COLORS = ("#009E73", "#E69F00", "#56B4E9", "#C4C4C4")
# Those of the five phases of corrupted labels, and of more.
CORRUPTION_COLORS = ("#009E73", "#56B4E9", "#0072B2", "#E69F00", "#C4C4C4")
SPLIT_COLORS = {"train": "#0072B2", "test": "#D55E00"}
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINE_STYLES = ("-", (0, (3, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))
NO_VALUE = {"facecolor": "#F7F7F7", "edgecolor": "#A8A8A8", "hatch": "/////", "linewidth": 0.0}
INK = "#222222"
# Characters of a label.
LONGEST = 40

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "figure.titlesize": 9,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "axes.titlepad": 4,
    "axes.labelpad": 2.5,
    "lines.linewidth": 1.3,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.4,
    "legend.labelspacing": 0.3,
    "figure.dpi": 200,
    "figure.facecolor": "white",
    "savefig.facecolor": "auto",
    "text.usetex": False,
}


class Figure(matplotlib.figure.Figure):
    """A Figure outside pyplot's registry that notebooks still show."""

    def draw(self, renderer: Any) -> None:
        """Draw, with text that fits the width that the figure has by now."""
        fit(self, renderer)
        super().draw(renderer)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def phase_colors(count: int) -> tuple[str, ...]:
    """Return a colour for each of so many phases."""
    return PHASE_COLORS if count <= len(PHASE_COLORS) else (*CORRUPTION_COLORS, *CYCLE[3:])[:count]


def context() -> AbstractContextManager[None]:
    """Use the look inside a `with` block only."""
    return mpl.rc_context(RC)


def new_figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)  # type: ignore[union-attr]
    return figure


def room(ax: Axes | None, width: float, height: float) -> Any:
    """Return where panels are drawn: a new figure of this size in inches, or a part of one in place of ``ax``."""
    if ax is None:
        return new_figure(width, height)
    place = ax.get_subplotspec()
    if place is None:
        raise checks.ArgumentError("ax: holds one panel, several are drawn; expected axes of figure.subplots(...).")
    parent = ax.figure
    ax.remove()
    return parent.add_subfigure(place)


def whole(figure: Any) -> matplotlib.figure.Figure:
    """Return the figure that something was drawn into, of a part of one the whole."""
    return figure if isinstance(figure, matplotlib.figure.Figure) else figure.figure


def name_of(array: Any) -> str:
    """Return the words for a variable or coordinate: its `long_name`, else its name without underscores."""
    return plain(str(array.attrs.get("long_name", array.name)).replace("_", " "))


def label_of(array: Any) -> str:
    """Return the words with the units behind, where there are any."""
    units = plain(array.attrs.get("units", ""))
    return name_of(array) if units in ("", "1", "dimensionless") else f"{name_of(array)} ({units})"


def number(value: Any) -> str:
    """Write a coordinate value shortly: 0.1, 1e-05, 113, relu."""
    return f"{value:.4g}" if isinstance(value, float) else shortened(str(value))


def plain(text: Any) -> str:
    """Return text that a figure shows as it is: no mathematics between dollars, no control characters.

    matplotlib leaves out of a legend what begins with an underscore.
    """
    seen = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text)).replace("$", r"\$")
    return f" {seen}" if seen.startswith("_") else seen


def shortened(text: str) -> str:
    """Return a label, without its middle where it is long: those of parts of a spec differ at both ends."""
    half = LONGEST // 2 - 1
    return plain(text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}")


def letter(ax: Axes, text: str) -> None:
    """Put a bold panel letter in line with the title, at its left."""
    ax.set_title(text, loc="left", fontweight="bold", fontsize=9)
