"""An array for xarray that is read when it is asked for; importing xarray takes long, so nothing else is here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing


class Asked(BackendArray):
    """An array for xarray that is read when it is asked for."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, read: Callable[[tuple[Any, ...]], np.ndarray]):
        self.shape, self.dtype, self.read = shape, dtype, read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self.read)

    @classmethod
    def of(cls, *args: Any) -> Any:
        """Return one as it stands in a variable; what is assigned to it goes to a copy."""
        lazy: Any = indexing.LazilyIndexedArray(cls(*args))
        return indexing.CopyOnWriteArray(lazy)
