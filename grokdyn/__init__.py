"""grokdyn: thousands of small networks trained side by side, with probes inside the run.

Everything a user calls is here; names are imported when first used, so that ``grokdyn --help`` needs no JAX.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any

from grokdyn.spec.places import PLACES

if TYPE_CHECKING:
    pass

__all__ = [*PLACES]


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        told = f"module 'grokdyn' has no attribute {name!r}{hint(name)}"
        raise AttributeError(told, name=name)  # named without its object, it gets no second hint from Python
    module, _, attribute = PLACES[name].partition(":")
    found = importlib.import_module(module)
    value = getattr(found, attribute) if attribute else found
    globals()[name] = value
    return value


def hint(name: str) -> str:
    """Return the public name that someone may have meant."""
    lower = {public.lower(): public for public in PLACES}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.75)
    return f"; did you mean {lower[close[0]]!r}?" if close else ""


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
