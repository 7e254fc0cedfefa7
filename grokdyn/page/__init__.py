"""Results as one HTML page that needs nothing else: no server, no network, no library.

The scripts beside this file draw it; `sheet` and `pack` put a Dataset into it, `html` writes it.
"""

from .html import page
from .sheet import Sheet, sheet, together

__all__ = ["Sheet", "page", "sheet", "together"]
