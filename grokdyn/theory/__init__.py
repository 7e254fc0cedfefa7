"""Closed forms to test against and to draw beside what was measured."""

from grokdyn.theory import committee, linear

__all__ = ["committee", "linear"]
