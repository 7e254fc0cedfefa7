"""Programs that outlive their process: what one command compiled, the next finds in the user's cache folder.

JAX asks for a program by a digest of all that it is compiled from: its text, the version of XLA, options, flags and
devices; so a program is never found for another. The folder adds what that leaves out: versions and the features of the
CPU, since a home may be shared by several machines. A file carries a checksum of its own key and content and is renamed
into place when it is whole; whatever is damaged, foreign or in the way is compiled instead.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import jax

from grokdyn.spec.paths import cache_folder

# All programs together; those used longest ago go first.
MOST_BYTES = 2**29
# A file on its way into the cache is written within this; an older one was left by a process that was killed.
STALE_SECONDS = 3600.0
SEAL = hashlib.sha256().digest_size
THRESHOLD = "jax_persistent_cache_min_compile_time_secs"

LOCK = threading.Lock()
_within = 0
_threshold = 0.0


@contextmanager
def keeping() -> Iterator[None]:
    """Keep what is compiled within, and take what was kept, unless the user has given JAX a cache of their own."""
    entered = enter()
    try:
        yield
    finally:
        if entered:
            leave()


def enter() -> bool:
    """Give JAX this cache; return whether it has it."""
    global _within, _threshold
    with LOCK:
        if not _within:
            inner = jax_cache()
            if inner is None or inner._cache is not None or jax.config.values["jax_compilation_cache_dir"]:
                return False
            folder = folder_here()
            if folder is None:
                return False
            _threshold = getattr(jax.config, THRESHOLD)
            jax.config.update(THRESHOLD, 0.0)
            inner._cache = Kept(folder)
        _within += 1
        return True


def leave() -> None:
    """Give JAX back as it was, once nobody is within."""
    global _within
    with LOCK:
        _within -= 1
        inner = jax_cache()
        if not _within and inner is not None and isinstance(inner._cache, Kept):
            inner._cache = None
            jax.config.update(THRESHOLD, _threshold)


def jax_cache():
    """Return the module of JAX that holds its cache, None where a version of JAX has it elsewhere."""
    try:
        from jax._src import compilation_cache
    except ImportError:
        return None
    return compilation_cache if hasattr(compilation_cache, "_cache") else None


class Kept:
    """The programs of a folder, as JAX asks for them; no failure of the disk is an error."""

    def __init__(self, folder: Path):
        self._path = folder

    def get(self, key: str) -> bytes | None:
        """Return a program; None if it is not there, or damaged: then it is removed."""
        file = self.file(key)
        try:
            data = file.read_bytes()
        except OSError:
            return None
        found, value = data[:SEAL], data[SEAL:]
        with suppress(OSError):
            if found == seal(key, value):
                os.utime(file)  # used now
                return value
            file.unlink()
        return value if found == seal(key, value) else None

    def put(self, key: str, value: bytes) -> None:
        """Keep a program; others that were used longest ago make room."""
        with suppress(OSError):
            temporary = self._path / f"{secrets.token_hex(16)}.tmp"
            try:
                temporary.write_bytes(seal(key, value) + value)
                os.replace(temporary, self.file(key))
            finally:
                temporary.unlink(missing_ok=True)
            trim(self._path.parent)

    def file(self, key: str) -> Path:
        return self._path / hashlib.sha256(key.encode()).hexdigest()


def seal(key: str, value: bytes) -> bytes:
    """Return what only this content under this key has."""
    return hashlib.sha256(key.encode() + b"\n" + value).digest()


def trim(root: Path) -> None:
    """Remove what was used longest ago until the rest fits, and what killed processes left."""
    now, kept = time.time(), []
    for file in files(root):
        with suppress(OSError):
            stat = file.stat()
            if file.suffix != ".tmp":
                kept.append((stat.st_mtime, stat.st_size, file))
            elif now - stat.st_mtime > STALE_SECONDS:
                file.unlink()
    size = sum(bytes_of for _, bytes_of, _ in kept)
    for _, bytes_of, file in sorted(kept, key=lambda known: known[:2]):
        if size <= MOST_BYTES:
            break
        file.unlink(missing_ok=True)
        size -= bytes_of


def files(root: Path) -> list[Path]:
    """Return the files of all machines' and versions' programs."""
    folders = [folder for folder in root.iterdir() if folder.is_dir()] if root.is_dir() else []
    return [file for folder in folders for file in folder.iterdir()]


def clear() -> int:
    """Remove all programs; return how many there were."""
    root, count = root_folder(), 0
    for file in files(root) if root is not None else ():
        file.unlink(missing_ok=True)
        count += file.suffix != ".tmp"
    return count


def told() -> dict[str, str]:
    """Return in words where programs are kept, how many, and how much room they take and may take."""
    root = root_folder()
    if root is None:
        return {"kept": "no: GROKDYN_CACHE_DIR is empty, or there is no home folder"}
    found = [file for file in files(root) if file.suffix != ".tmp"]
    here = sum(file.parent.name == machine() for file in found)
    size = sum(file.stat().st_size for file in found)
    return {
        "folder": str(root),
        "programs": f"{len(found)}, {here} of this machine and these versions",
        "size": f"{size / 1e6:.1f} MB of at most {MOST_BYTES / 1e6:.0f}",
    }


def root_folder() -> Path | None:
    """Return where programs are kept, None where none are."""
    cache = cache_folder()
    return None if cache is None else cache / "programs"


def folder_here() -> Path | None:
    """Return the folder of this machine's and these versions' programs, made; None where nobody else is kept out."""
    root = root_folder()
    if root is None:
        return None
    folder = root / machine()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if all(map(own, (root, folder))) else None
    except OSError:
        return None


def own(folder: Path) -> bool:
    """Return whether only the user can write to a folder: what lies in it is run."""
    stat = folder.stat()
    return not hasattr(os, "geteuid") or (stat.st_uid == os.geteuid() and not stat.st_mode & 0o022)


def machine() -> str:
    """Return a digest of the versions and of the machine that programs are compiled for."""
    versions = (jax.__version__, version("jaxlib"), platform.system(), platform.machine())
    return hashlib.sha256("\n".join((*versions, *processor())).encode()).hexdigest()[:16]


def processor() -> tuple[str, ...]:
    """Return the model and features of the CPU, as far as the system tells."""
    wanted, found = ("model name", "flags", "Features", "CPU part"), {}
    with suppress(OSError), open("/proc/cpuinfo") as told:
        for line in told:
            name, _, value = line.partition(":")
            if name.strip() in wanted:
                found[name.strip()] = value.strip()
            if not line.strip():  # one core is as the next
                break
    return tuple(found.values()) or (platform.processor(),)
