"""Real images, from files that packages carry."""

from __future__ import annotations

import gzip
import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np

from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.base import Table

# What an image can be made of, see ``remade``.
PIXELS = ("true", "shuffled", "random", "gaussian")


def place_in(package: str, file: str) -> Path | None:
    """Return the path of a package's file, or None. The package is found, not imported: importing it takes seconds."""
    found = importlib.util.find_spec(package)
    places = [] if found is None else list(found.submodule_search_locations or [])
    return next((path for place in places if (path := Path(place) / file).is_file()), None)


@lru_cache(maxsize=2)
def read_images(path: Path, rows: int, pixels: int, brightest: int, fix: str) -> Table:
    """Read images as vectors scaled to [0, 1]: a line for each, pixels from 0 to the brightest and the digit.

    Raises:
        SpecError: if the file is not what it should be; ``fix`` says what would be.
    """
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            values = np.loadtxt(file, delimiter=",")
    except (OSError, EOFError, ValueError) as error:
        raise SpecError("task.kind", Words(f"a damaged file {str(path)!r}: {error}"), fix) from None
    if values.shape != (rows, pixels + 1):
        raise SpecError("task.kind", Words(f"values of shape {values.shape} in {str(path)!r}"), fix)
    return Table((values[:, :-1] / brightest).astype(np.float32), values[:, -1].astype(np.int32))


def remade(images: np.ndarray, pixels: str) -> np.ndarray:
    """Return images [rows, pixels] as Zhang et al. (2017) randomise inputs, the same at every call.

    ``shuffled``: one permutation of pixels for all; ``random``: one for each image; ``gaussian``: normal numbers with
    the mean and variance of all pixels.
    """
    rng = np.random.default_rng(0)
    if pixels == "shuffled":
        return images[:, rng.permutation(images.shape[1])]
    if pixels == "random":
        return rng.permuted(images, axis=1)
    if pixels == "gaussian":
        return rng.normal(images.mean(), images.std(), images.shape).astype(images.dtype)
    return images
