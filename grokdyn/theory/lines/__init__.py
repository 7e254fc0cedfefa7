"""Closed forms as lines beside runs: which of them an experiment has, and its curves at given steps."""

from grokdyn.theory.lines.of import of as of

__all__ = ["of"]
