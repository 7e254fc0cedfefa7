"""Dataset -> matplotlib Figure: curves, phase diagrams, the overview of a sweep, curves beside a paper's values."""

from .beside import Panel, beside
from .diagram import phase_diagram
from .facets import curves
from .summary import overview

__all__ = ["Panel", "beside", "curves", "overview", "phase_diagram"]
