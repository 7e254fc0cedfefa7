"""Small real digits, from a file that scikit-learn carries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grokdyn.spec.base import field
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.rules import Choice, Flag
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.packaged import PIXELS, place_in, read_images, remade
from grokdyn.tasks.signature import Classes, Images, Vectors

ROWS, SIDE, DIGITS, BRIGHTEST = 1797, 8, 10, 16
MISSING = Words("digits without their images")
FIX = "an installation with the package scikit-learn, which carries them: pip install 'grokdyn[mnist]'"


class Digits(Task):
    """Learn digits from 1797 images of 8 x 8 pixels in 16 greys (Alpaydin & Kaynak 1998), scaled to [0, 1].

    The test set of the UCI collection of handwritten digits: a run takes seconds. Images that do not train, test. With
    other ``pixels`` they keep their labels and lose what tells them (Zhang et al. 2017): one permutation of pixels for
    all (``shuffled``), one for each image (``random``), or normal numbers of the same mean and variance.
    """

    images: bool = field(Flag(), default=True, doc="inputs keep their two axes, for convolutions; else vectors")
    pixels: str = field(Choice(PIXELS), default="true", doc="what an image is made of; see the class")

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
        found = read_images(path, ROWS, SIDE**2, BRIGHTEST, FIX)
        return Table(remade(found.inputs, self.pixels).reshape(ROWS, *self.signature().inputs.shape), found.labels)


def source() -> Path | None:
    """Return the path of the images, or None."""
    return place_in("sklearn", "datasets/data/digits.csv.gz")
