"""Text that fits a figure's width, whatever it was set to after drawing: a column of a paper is 3.25 inches wide."""

import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.legend import Legend

# Shares of the figure's width that a legend may take: beside the panels, inside or over one, along the figure.
BESIDE, OVER, ALONG = 0.45, 0.7, 0.98
# Share of a panel's part of the width that its title may take.
TITLE = 0.85
NARROWEST = 8  # characters


def fit(figure: Any, renderer: Any) -> None:
    """Break the lines of legends and of panels' titles that are wider than there is room."""
    for legend in figure.findobj(Legend):
        fit_texts(legend.get_texts(), legend, room(legend, figure), renderer)
    for ax in figure.axes:
        place = ax.get_subplotspec()
        if place is not None:
            columns = place.get_gridspec().ncols / (place.colspan.stop - place.colspan.start)
            fit_texts([ax.title], ax.title, TITLE * ax.get_figure(root=False).bbox.width / columns, renderer)


def room(legend: Legend, figure: Any) -> float:
    """Return the width in pixels that a legend may have."""
    parent, width = legend.parent, figure.bbox.width
    if isinstance(parent, Axes):
        return (BESIDE if legend.get_bbox_to_anchor().x0 >= parent.bbox.x1 else OVER) * width
    return (BESIDE if legend.get_gid() == "beside" else ALONG) * width


def fit_texts(texts: list[Any], whole: Any, width: float, renderer: Any) -> None:
    """Break the lines of texts, the longest first, until what they are part of is not wider."""
    for text in texts:  # a figure may have become wider again
        text.original = getattr(text, "original", text.get_text()) if broken(text) else text.get_text()
        text.set_text(text.original)
    characters = max((len(line) for text in texts for line in text.original.split("\n")), default=0)
    while whole.get_window_extent(renderer).width > width and characters > NARROWEST:
        characters -= 1
        for text in texts:
            lines = (textwrap.fill(line, characters, break_long_words=False) for line in text.original.split("\n"))
            text.fitted = "\n".join(lines)
            text.set_text(text.fitted)


def broken(text: Any) -> bool:
    """Return whether a text is as it was left here."""
    return getattr(text, "fitted", None) == text.get_text()
