"""A figure set to the width of a paper's column shows its legend whole, and set back looks as before."""

import io

import pytest
from matplotlib.legend import Legend

from grokdyn import plot

FIGURES = {
    "one panel": lambda ds: plot.curves(ds.isel(weight_decay=3, train_fraction=4)),
    "panels": lambda ds: plot.curves(ds.isel(weight_decay=3, train_fraction=slice(0, 4))),
    "hue": lambda ds: plot.curves(ds.isel(weight_decay=3, train_fraction=slice(0, 5)), hue="train_fraction"),
    "phases": lambda ds: plot.phase_diagram(ds, value="phase"),
    "times": lambda ds: plot.phase_diagram(ds, value="step_test"),
    "overview": plot.overview,
}


def drawn(figure, width):
    """Draw at a width; return the texts, and how far legends reach beyond the figure in inches."""
    figure.set_size_inches(width, figure.get_size_inches()[1])
    figure.savefig(io.BytesIO(), format="png", dpi=100)
    legends = figure.findobj(Legend)
    assert legends
    boxes = [legend.get_window_extent() for legend in legends]
    beyond = max(max(-box.x0, box.x1 - figure.bbox.width) for box in boxes) / figure.dpi
    return [text.get_text() for legend in legends for text in legend.get_texts()], beyond


@pytest.mark.parametrize("name", FIGURES)
def test_legends_fit_into_one_column_and_two(name, sweep):
    figure = FIGURES[name](sweep)
    figure.set_dpi(100)
    wide, beyond = drawn(figure, 7.2)
    assert beyond <= 0.02
    narrow, beyond = drawn(figure, 3.25)
    assert beyond <= 0.02
    assert ["".join(text.split()) for text in narrow] == ["".join(text.split()) for text in wide]
    assert drawn(figure, 7.2)[0] == wide
