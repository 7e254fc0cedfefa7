"""A zarr store that shows what was looked at, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from grokdyn.engine.store.regular import read_bytes


class Checked(Store):
    """Known metadata and known files of a folder, to be read.

    Args:
        texts: path -> contents of the metadata.
        files: path -> the file of a chunk.
        root: the folder that the files must lie in.
    """

    def __init__(self, texts: Mapping[str, bytes], files: Mapping[str, Path], root: Path):
        super().__init__(read_only=True)
        self.texts, self.files, self.root = dict(texts), dict(files), root
        self._is_open = True

    @property
    def supports_writes(self) -> bool:
        return False

    @property
    def supports_deletes(self) -> bool:
        return False

    @property
    def supports_partial_writes(self) -> bool:
        return False

    @property
    def supports_listing(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checked) and (self.texts, self.files) == (other.texts, other.files)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        found = self.texts.get(key)
        if found is None and key in self.files:
            found = read_bytes(self.files[key], self.root)
        return None if found is None else prototype.buffer.from_bytes(part(found, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        return key in self.texts or key in self.files

    async def set(self, key: str, value: Buffer) -> None:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    def list(self) -> AsyncIterator[str]:
        return self.list_prefix("")

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        for key in (*self.texts, *self.files):
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        below = (key.removeprefix(start) for key in (*self.texts, *self.files) if key.startswith(start))
        for name in dict.fromkeys(key.partition("/")[0] for key in below):
            yield name


def part(found: bytes, wanted: Any) -> bytes:
    """Return the bytes that zarr asks for."""
    if isinstance(wanted, RangeByteRequest):
        return found[wanted.start : wanted.end]
    if isinstance(wanted, OffsetByteRequest):
        return found[wanted.offset :]
    return found[-wanted.suffix :] if isinstance(wanted, SuffixByteRequest) else found
