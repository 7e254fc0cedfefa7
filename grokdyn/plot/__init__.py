"""Dataset -> matplotlib Figure: training curves, phase diagrams, and the overview of a sweep."""

from .diagram import phase_diagram
from .facets import curves
from .summary import overview

__all__ = ["curves", "overview", "phase_diagram"]
