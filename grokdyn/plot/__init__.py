"""Dataset -> matplotlib Figure: curves, phase diagrams, the overview of a sweep, curves beside a paper's values,
survival curves, what a network has inside: its Fourier spectrum, its neurons, the circles of its embeddings, its
progress; how a probe's numbers spread over the steps; two sweeps beside each other; a fitted
boundary; moving pictures; what was drawn."""

from .animate import animate
from .beside import Panel, beside
from .boundary import boundary
from .circles import circles
from .compare import compare
from .diagram import phase_diagram
from .drawn import drawn
from .facets import curves
from .fourier import fourier
from .neurons import neurons
from .over_steps import histograms, spectra
from .progress import progress
from .summary import overview
from .survival import survival

__all__ = [
    "Panel",
    "animate",
    "beside",
    "boundary",
    "circles",
    "compare",
    "curves",
    "drawn",
    "fourier",
    "histograms",
    "neurons",
    "overview",
    "phase_diagram",
    "progress",
    "spectra",
    "survival",
]
