"""What went wrong inside a user's own code, in one line."""

from __future__ import annotations

import difflib
import linecache
import os
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from grokdyn.spec.errors import SpecError, Words

# Folders whose code is nobody's own.
LIBRARIES = tuple(
    {f"{Path(__file__).parents[1]}{os.sep}", *(sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib"))}
)
# What JAX raises where Python would have to know the value of a traced array.
NEEDS_VALUES = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)
TRACED = (
    "jax.numpy on arrays whose values are not known yet, so no float(), int(), if or numpy on them (jnp.where, jax.lax)"
)


class AbsentError(Exception):
    """Something was asked for that is not there: what, and what there is."""


@contextmanager
def telling(path: str, part: Any, doing: str) -> Iterator[None]:
    """Turn whatever the code of a part raises into a SpecError of one line, that exception its cause.

    Args:
        path: of the part in the description.
        doing: what is asked of it, such as ``"apply"``.
    """
    try:
        yield
    except SpecError:
        raise
    except AbsentError as error:
        came, allowed = error.args
        raise SpecError(path, Words(f"{type(part).__name__}.{doing}: {came}"), allowed) from None
    except Exception as error:
        raise told(path, type(part), doing, error) from error


def told(path: str, cls: type, doing: str, error: Exception) -> SpecError:
    """Return the SpecError of what a class raised: without a method it needs, on traced arrays, or anything else."""
    frames, name = traceback.extract_tb(error.__traceback__), f"{cls.__name__}.{doing}"
    if isinstance(error, NotImplementedError) and not error.args and frames:
        wanted = frames[-1].name
        close = difflib.get_close_matches(wanted, vars(cls), n=1)
        hint = f"is {close[0]!r} meant to be it?" if close else ""
        return SpecError(path, Words(f"{cls.__name__} without {wanted}"), f"a class that defines {wanted}", hint)
    message = str(error).strip().partition("\n")[0]
    came = Words(f"{type(error).__name__} in {name}: {message}" if message else f"{type(error).__name__} in {name}")
    allowed = TRACED if isinstance(error, NEEDS_VALUES) else "code that runs on its arguments"
    return SpecError(path, came, allowed, place(frames))


def place(frames: traceback.StackSummary) -> str:
    """Return the innermost line of code that belongs to no library, for a hint."""
    for frame in reversed(frames):
        if not frame.filename.startswith(LIBRARIES):
            line = frame.line or linecache.getline(frame.filename, frame.lineno or 0)
            return f"{Path(frame.filename).name}, line {frame.lineno}: {line.strip()}"
    return ""
