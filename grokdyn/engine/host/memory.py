"""How much memory there is for this process, and what tells that it was too little."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

# Taken by compiling and by threads, whatever is computed. On a CPU it is no use to ask for the last of the memory:
# XLA and LLVM end the process, or the system does, where a device of its own memory raises an error.
SPARE = 2**27
# Addresses that threads reserve and never use; only a limit on addresses counts them.
RESERVED = 2**28
# A batch is copied where it is saved, or moved between devices, and its records where they are handed on.
COPIES = 2
# What is said where nothing is known: on systems that tell nothing.
PLENTY = 2**40
PROC = Path("/proc")
# How the limit, the use and the parts of it that can be taken back are called in both versions of control groups.
GROUP_FILES = {
    "cgroup": ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
    "cgroup2": ("memory.max", "memory.current", ("inactive_file", "active_file")),
}
# JAX raises one class for all that goes wrong on a device; on a CPU it also says INTERNAL.
SHORT = re.compile(r"RESOURCE_EXHAUSTED|out of memory|bad_alloc|(cannot|failed to|unable to) allocate", re.IGNORECASE)


class OutOfMemoryError(ValueError):
    """Memory is too small for a single run."""

    def __init__(self, size: int, more: str = ""):
        super().__init__(
            f"memory: a single run does not fit, its state and records are {told(size)}{more and '; '}{more}; "
            "allowed: a smaller model or task, a batch_size, probes that need less, or a device with more"
        )


def told(size: float) -> str:
    """Return a number of bytes in the unit that a reader wants."""
    return f"{size / 2**30:,.1f} GiB" if size >= 10 * 2**30 else f"{size / 2**20:,.1f} MiB"


def is_short(error: BaseException) -> bool:
    """Return whether an error tells that memory was too small."""
    if isinstance(error, MemoryError | OutOfMemoryError):
        return True
    return isinstance(error, jax.errors.JaxRuntimeError) and SHORT.search(str(error)) is not None


def available() -> int:
    """Return the bytes of main memory that this process may still take without being ended for it.

    The least of what the machine has left, of what the process's control group and all those around it allow, and of
    the process's own limits.
    """
    return max(0, min([PLENTY, *machine(), *groups(), *own_limits()]))


def check_room(needed: int, device: Any) -> None:
    """Raise MemoryError where something would not fit into main memory, before it is tried: that may end the process.

    Other devices raise an error by themselves.
    """
    if device.platform == "cpu" and needed + SPARE > (there := available()):
        raise MemoryError(f"{told(needed + SPARE)} are needed, {told(there)} can be had")


def machine(proc: Path = PROC) -> Iterator[int]:
    """Yield what is free on the machine, or at least how much it has."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (proc / "meminfo").read_text().splitlines()
        yield next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        return
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not on Windows
        if (size := os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) > 0:
            yield size


def groups(proc: Path = PROC) -> Iterator[int]:
    """Yield what the process's control groups leave, of either version, from its own one up to the outermost."""
    for kind, folder, outermost in group_folders(proc):
        limit_file, use_file, caches = GROUP_FILES[kind]
        for place in (folder, *folder.parents):
            with contextlib.suppress(OSError, ValueError):  # no limit here, or "max"
                limit = int((place / limit_file).read_text())
                yield limit - in_use(place, use_file, caches)
            if place == outermost:
                break


def in_use(place: Path, use_file: str, caches: tuple[str, ...]) -> int:
    """Return the bytes that a control group uses and that cannot be taken back from it."""
    used = int((place / use_file).read_text())
    with contextlib.suppress(OSError, ValueError):
        stats = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
        used -= sum(int(stats.get(name, 0)) for name in caches)
    return max(0, used)


def group_folders(proc: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield the version, the folder and the outermost visible folder of every hierarchy that may limit memory."""
    try:
        mounts = (proc / "self/mountinfo").read_text().splitlines()
        paths = [line.split(":", 2) for line in (proc / "self/cgroup").read_text().splitlines()]
        named = {"cgroup2" if names == "" else "cgroup": path for _, names, path in paths if is_memory(names)}
    except (OSError, ValueError):  # not on Linux
        return
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, *_, options = after.split()
        if kind not in named or (kind == "cgroup" and "memory" not in options.split(",")):
            continue
        root, mounted = (unescaped(word) for word in before.split()[3:5])
        within = os.path.relpath(named[kind], root)
        # A container may see its own group at the mount point, and the path that it has outside.
        folder = Path(mounted) if within.startswith("..") else Path(mounted) / within
        yield kind, folder, Path(mounted)


def is_memory(controllers: str) -> bool:
    """Return whether a line of /proc/self/cgroup is of version 2, or of the hierarchy that limits memory."""
    return controllers == "" or "memory" in controllers.split(",")


def unescaped(word: str) -> str:
    """Return a path of /proc/self/mountinfo, in which blanks are written in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)


def own_limits(proc: Path = PROC) -> Iterator[int]:
    """Yield what the process's own limits on its address space and data leave."""
    try:
        import resource  # not on Windows

        pages = [int(word) for word in (proc / "self/statm").read_text().split()]
    except (ImportError, OSError, ValueError):
        return
    for name, place, reserved in (("RLIMIT_AS", 0, RESERVED), ("RLIMIT_DATA", 5, 0)):
        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY:
            yield limit - pages[place] * resource.getpagesize() - reserved
