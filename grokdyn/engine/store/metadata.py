"""What the metadata of stored arrays may say, and where else it is known where a file of it is lost.

A store may come from anybody. Formats that hold code (a pickle as a filter, arrays of objects) are not taken, and
zarr never sees metadata that was not looked at here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

CODECS = ("bytes", "vlen-utf8", "zstd", "gzip", "blosc", "crc32c", "transpose")
NUMBERS = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
DTYPES = ("bool", *NUMBERS, "float16", "float32", "float64", "complex64", "complex128", "string", "fixed_length_utf32")
FIELDS = frozenset(
    (
        *("shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs", "attributes"),
        *("dimension_names", "zarr_format", "node_type", "storage_transformers", "consolidated_metadata"),
    )
)
# Of formats of zarr whose metadata may name a pickle.
OLD_NAMES = (".zarray", ".zgroup", ".zattrs", ".zmetadata")
FILE = "zarr.json"
MOST_VALUES = 2**40


@dataclass
class Metadata:
    """What describes stored arrays.

    Attributes:
        attributes: of all of them together; None if they are lost.
        arrays: name -> what describes an array.
        refused: name -> why what describes it is not taken.
        doubts: what is not as it was written, although each array is described somewhere.
    """

    attributes: dict[str, Any] | None
    arrays: dict[str, dict[str, Any]]
    refused: dict[str, str]
    doubts: list[str]

    def texts(self) -> dict[str, bytes]:
        """Return the files that zarr is to see."""
        group = {"zarr_format": 3, "node_type": "group", "attributes": self.attributes or {}}
        inline = {"kind": "inline", "must_understand": False, "metadata": self.arrays}
        files = {FILE: {**group, "consolidated_metadata": inline}}
        files |= {f"{name}/{FILE}": told for name, told in self.arrays.items()}
        return {name: json.dumps(told).encode() for name, told in files.items()}


def gathered(files: Mapping[str, bytes], noted: Mapping[str, Any]) -> Metadata:
    """Return the metadata of arrays, each from the first of its sources that is whole.

    Args:
        files: contents of the metadata files that are not damaged, by path.
        noted: what the manifest knows of them; empty for an earlier version's.
    """
    root = parsed(files.get(FILE, b""))
    together = table(table(root.get("consolidated_metadata")).get("metadata"))
    known = noted.get("arrays", {})
    single = {name.rpartition("/")[0]: parsed(text) for name, text in files.items() if name != FILE}
    found = Metadata(None, {}, {}, [])
    for name in {**known, **together, **single}:
        sources = [told for source in (single, together, known) if (told := source.get(name)) is not None]
        whole = [told for told in sources if not problem(told)]
        if whole and not known and any(told != whole[0] for told in sources):
            found.refused[name] = f"{name!r} is described in two ways"
        elif whole:
            found.arrays[name] = dict(whole[0])
            found.doubts += [f"{name}/{FILE}"] if name not in single else []
        else:
            found.refused[name] = f"{name!r}: {problem(sources[0])}"
    attributes = noted.get("attributes") if problem_of_group(root) else root.get("attributes", {})
    return replace(found, attributes=attributes if isinstance(attributes, dict) else None)


def table(told: Any) -> Mapping[str, Any]:
    return told if isinstance(told, Mapping) else {}


def parsed(text: bytes) -> dict[str, Any]:
    """Return what a metadata file says, nothing where it is no table."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def problem_of_group(told: Mapping[str, Any]) -> bool:
    same = (told.get("zarr_format"), told.get("node_type")) == (3, "group")
    return not same or not isinstance(told.get("attributes", {}), dict)


def problem(told: Any) -> str:
    """Return why an array is not read as its metadata says, or nothing."""
    if not isinstance(told, Mapping) or (told.get("zarr_format"), told.get("node_type")) != (3, "array"):
        return "it is no array of zarr's format 3"
    strange = [name for name in told if name not in FIELDS]
    if strange or told.get("storage_transformers"):
        return f"unknown metadata {strange[0] if strange else 'storage_transformers'!r}"
    dtype, codecs = name_of(told.get("data_type")), told.get("codecs")
    if dtype not in DTYPES:
        return f"data type {dtype!r}; allowed: {', '.join(DTYPES)}"
    names = [name_of(codec) for codec in codecs] if isinstance(codecs, list) else ["none"]
    for name in names:
        if name not in CODECS:
            return f"codec {name!r}; allowed: {', '.join(CODECS)}"
    return problem_of_shape(told)


def problem_of_shape(told: Mapping[str, Any]) -> str:
    """Return why the shape and the chunks of an array cannot be, or nothing."""
    shape, keys = told.get("shape"), settings(told.get("chunk_key_encoding"), "default")
    chunk = settings(told.get("chunk_grid"), "regular").get("chunk_shape")
    if not isinstance(shape, list) or not isinstance(chunk, list) or len(shape) != len(chunk):
        return "a shape or chunks that cannot be"
    if not counts(shape, 0) or not counts(chunk, 1) or math.prod(shape) > MOST_VALUES:
        return "a shape or chunks that cannot be"
    if keys.get("separator", "/") != "/":
        return "chunks under other names"
    dims = told.get("dimension_names") or [None] * len(shape)
    if not isinstance(dims, list) or len(dims) != len(shape) or not all(isinstance(dim, str | None) for dim in dims):
        return "names of dimensions that cannot be"
    return "" if isinstance(told.get("attributes", {}), dict) else "attributes that are no table"


def settings(told: Any, wanted: str) -> Mapping[str, Any]:
    """Return the settings of a named choice, nothing where it is another."""
    if not isinstance(told, Mapping) or told.get("name") != wanted:
        return {"separator": "unknown"}
    found = told.get("configuration", {})
    return found if isinstance(found, Mapping) else {"separator": "unknown"}


def counts(values: list[Any], least: int) -> bool:
    return all(type(item) is int and item >= least for item in values)


def name_of(told: Any) -> Any:
    """Return the name of a codec or data type, which may have settings."""
    found = told.get("name") if isinstance(told, Mapping) else told
    return found if isinstance(found, str) else type(found).__name__
