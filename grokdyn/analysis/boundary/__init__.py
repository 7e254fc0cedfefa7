"""Where in the plane of two axes runs begin to answer a question otherwise."""

from .found import boundary

__all__ = ["boundary"]
