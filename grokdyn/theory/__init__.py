"""Closed forms to test against and to draw beside what was measured."""

from grokdyn.theory import (
    boolean,
    committee,
    committee_population,
    continual,
    deep_linear,
    diagonal,
    filters,
    in_context,
    infinite_width,
    linear,
    long_tail,
    mean_field,
    online,
    oscillation,
    sgd_stability,
    soft_committee,
    xor_clusters,
)
from grokdyn.theory.lines import of

__all__ = [
    "boolean",
    "committee",
    "committee_population",
    "continual",
    "deep_linear",
    "diagonal",
    "filters",
    "in_context",
    "infinite_width",
    "linear",
    "long_tail",
    "mean_field",
    "of",
    "online",
    "oscillation",
    "sgd_stability",
    "soft_committee",
    "xor_clusters",
]
