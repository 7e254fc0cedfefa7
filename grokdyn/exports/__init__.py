"""Results and parameters in the formats of other programs."""

from .export import export

__all__ = ["export"]
