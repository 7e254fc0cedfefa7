"""What the compiled programs need set around them, and where they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from grokdyn.spec.errors import SpecError
from grokdyn.spec.sweep import Sweep
from grokdyn.train.kept import keeping


@contextmanager
def scope(sweep: Sweep) -> Iterator[None]:
    """Set what the compiled programs need, for this thread only: 64-bit types and the precision of products.

    What is compiled within is kept for later processes.
    """
    with jax.enable_x64(True), jax.default_matmul_precision(matmul_precision(sweep)), keeping():
        yield


def matmul_precision(sweep: Sweep) -> str:
    """Return the precision of matrix products, one for the whole process."""
    if "matmul_precision" in sweep.axes:
        raise SpecError("sweep.matmul_precision", list(sweep.axes["matmul_precision"]), "a setting, not an axis")
    return sweep.base.matmul_precision
