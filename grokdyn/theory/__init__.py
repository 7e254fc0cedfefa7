"""Closed forms to test against and to draw beside what was measured."""

from grokdyn.theory import committee, linear, xor_clusters

__all__ = ["committee", "linear", "xor_clusters"]
