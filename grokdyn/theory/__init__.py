"""Closed forms to test against and to draw beside what was measured."""

from grokdyn.theory import boolean, committee, linear, long_tail, xor_clusters
from grokdyn.theory.lines import of

__all__ = ["boolean", "committee", "linear", "long_tail", "of", "xor_clusters"]
