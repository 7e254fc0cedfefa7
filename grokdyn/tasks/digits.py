"""Small real digits, from a file that scikit-learn carries."""

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
from grokdyn.spec.rules import Flag
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Classes, Images, Vectors

ROWS, SIDE, DIGITS, BRIGHTEST = 1797, 8, 10, 16
MISSING = Words("digits without their images")
FIX = "an installation with the package scikit-learn, which carries them: pip install 'grokdyn[mnist]'"


class Digits(Task):
    """Learn digits from 1797 images of 8 x 8 pixels in 16 greys (Alpaydin & Kaynak 1998), scaled to [0, 1].

    The test set of the UCI collection of handwritten digits: a run takes seconds. Images that do not train, test.
    """

    images: bool = field(Flag(), default=True, doc="inputs keep their two axes, for convolutions; else vectors")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if source() is None:
            yield "kind", MISSING, FIX

    def signature(self) -> Signature:
        inputs = Images(SIDE, SIDE) if self.images else Vectors(SIDE**2)
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
        return Table(found.inputs.reshape(ROWS, *self.signature().inputs.shape), found.labels)


def source() -> Path | None:
    """Return the path of the images, or None. The package is found, not imported: importing it takes seconds."""
    found = importlib.util.find_spec("sklearn")
    places = [] if found is None else list(found.submodule_search_locations or [])
    files = [Path(place) / "datasets" / "data" / "digits.csv.gz" for place in places]
    return next((file for file in files if file.is_file()), None)


@lru_cache(maxsize=1)
def read(path: Path) -> Table:
    """Read the images: a line for each, 64 pixels from 0 to 16 and the digit."""
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            values = np.loadtxt(file, delimiter=",")
    except (OSError, EOFError, ValueError) as error:
        raise SpecError("task.kind", Words(f"a damaged file {str(path)!r}: {error}"), FIX) from None
    if values.shape != (ROWS, SIDE**2 + 1):
        raise SpecError("task.kind", Words(f"values of shape {values.shape} in {str(path)!r}"), FIX)
    return Table((values[:, :-1] / BRIGHTEST).astype(np.float32), values[:, -1].astype(np.int32))
