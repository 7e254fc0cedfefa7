"""What went wrong inside a user's own code, in one line."""

from __future__ import annotations

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
        raise told(path, f"{type(part).__name__}.{doing}", error) from error


def told(path: str, name: str, error: Exception) -> SpecError:
    frames = traceback.extract_tb(error.__traceback__)
    missing = isinstance(error, NotImplementedError) and not error.args
    if missing:
        wanted = frames[-1].name if frames else "it"
        return SpecError(path, Words(f"{name}, which needs a {wanted} that is not defined"), f"a class with {wanted}")
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
