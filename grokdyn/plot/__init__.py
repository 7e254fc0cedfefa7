"""Dataset -> matplotlib Figure: curves, phase diagrams, the overview of a sweep, curves beside a paper's values,
survival curves, and what a network has inside: its Fourier spectrum, its neurons, the circles of its embeddings, its
progress."""

from .beside import Panel, beside
from .circles import circles
from .diagram import phase_diagram
from .facets import curves
from .fourier import fourier
from .neurons import neurons
from .progress import progress
from .summary import overview
from .survival import survival

__all__ = [
    "Panel",
    "beside",
    "circles",
    "curves",
    "fourier",
    "neurons",
    "overview",
    "phase_diagram",
    "progress",
    "survival",
]
