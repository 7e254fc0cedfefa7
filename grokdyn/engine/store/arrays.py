"""Arrays in a file of their own: a zip archive that numpy reads.

Its comment notes what the file is and belongs to, and ends with a checksum of every other byte, so that no damage
anywhere in it goes unseen. Files of earlier versions have no comment.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from grokdyn.engine.store.files import StoreError, regular, whole

NAME, SUM = b"grokdyn ", b" sha256 "
DIGITS = 64
BLOCK = 2**20
# The last bytes of an archive without a comment.
END, END_BYTES = b"PK\5\6", 22
AGAIN = "grokdyn resume trains again what it held"


def write_arrays(place: Path, arrays: Mapping[str, Any], note: Mapping[str, Any], packed: bool = True) -> str:
    """Write arrays whole or not at all, with a note on what they are; return the file's checksum."""
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with whole(place, "w+b") as file:
        with zipfile.ZipFile(file, "w", kind) as archive:
            for name, array in arrays.items():
                member = zipfile.ZipInfo(f"{name}.npy")  # without the time: equal arrays make equal files
                member.compress_type = kind
                with archive.open(member, "w", force_zip64=True) as inside:
                    np.lib.format.write_array(inside, np.asarray(array), allow_pickle=False)
            archive.comment = NAME + json.dumps(note, sort_keys=True).encode() + SUM + b"0" * DIGITS
        found = checksum(file)
        file.seek(-DIGITS, 2)
        file.write(found.encode())
    return found


def checksum(file: IO[bytes]) -> str:
    """Return the checksum of a file's bytes except the last, where it stands itself."""
    left, digest = max(0, file.seek(0, 2) - DIGITS), hashlib.sha256()
    file.seek(0)
    while left > 0:
        block = file.read(min(left, BLOCK))
        if not block:
            break
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


@contextmanager
def arrays_in(place: Path, note: Mapping[str, Any] | None = None, hint: str = AGAIN) -> Iterator[Any]:
    """Yield the arrays of a file by name.

    Args:
        note: what it has to belong to; default: whatever.
        hint: what to do where it does not, or is damaged.

    Raises:
        StoreError: if it is damaged or belongs to something else, naming it. A file that is not there raises
            FileNotFoundError.
    """
    with regular(place) as file:
        try:
            noted = read_note(file)
            check_note(place, noted, note, hint)
            file.seek(0)
            with np.load(file) as found:
                yield found
        except StoreError:
            raise
        except Exception as error:  # numpy and zipfile raise half a dozen kinds for a damaged file
            raise StoreError(f"{str(place)!r} is damaged ({error}); {hint}") from None


def read_note(file: IO[bytes]) -> dict[str, Any] | None:
    """Return the note of a file of arrays, None where an earlier version wrote it.

    Raises:
        Exception: of some kind, if the file is damaged.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - END_BYTES))
    last = file.read()
    if last.startswith(END) and last.endswith(b"\0\0"):
        with zipfile.ZipFile(file) as archive:
            spoilt = archive.testzip()
        if spoilt is not None:
            raise ValueError(f"{spoilt} differs from its checksum")
        return None
    expected = checksum(file)
    if file.read() != expected.encode():
        raise ValueError("it differs from its checksum")
    with zipfile.ZipFile(file) as archive:
        return json.loads(archive.comment.removeprefix(NAME)[: -len(SUM) - DIGITS])


def check_note(place: Path, noted: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None, hint: str) -> None:
    """Raise StoreError unless a file belongs to what is wanted.

    What an earlier version wrote notes nothing, and may lie where an earlier version made the store.
    """
    if not wanted or (noted is None and not wanted["sweep"]):
        return
    other = [name for name in wanted if (noted or {}).get(name) != wanted[name]]
    if other:
        told = ", ".join(f"{name} {(noted or {}).get(name, 'unknown')}" for name in other)
        raise StoreError(f"{str(place)!r} belongs to something else ({told}); {hint}")


def checksum_in(place: Path) -> str:
    """Return the checksum that a file of arrays ends with."""
    with regular(place) as file:
        return checksum(file)
