"""What results depend on besides the spec, written into every store and compared on resuming."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

from grokdyn.engine.host.say import say
from grokdyn.engine.store.files import StoreError
from grokdyn.engine.store.grid import axes_told
from grokdyn.engine.store.spec_text import axes_of, noted, spec_differences, was_is
from grokdyn.spec.identity import own_code
from grokdyn.spec.sweep import Sweep

PACKAGES = ("grokdyn", "jax", "jaxlib", "flax", "optax", "numpy")
# A change of one of these may change bits. The number of devices does not: lanes are computed alike on each.
DECISIVE = ("spec", *PACKAGES, "source", "own_code", "device_kind", "random", "xla_flags")
# What of the package cannot change a number: what draws, tells, and says where to train. All else counts as source.
NO_SOURCES = (
    *("analysis", "plot", "bench", "exports", "page", "__init__.py", "__main__.py"),
    *("catalogue.py", "cli.py", "commands.py", "interop.py", "figures.py", "listing.py", "machines.py", "outcome.py"),
    *("ledger.py", "reports.py", "reproduce.py", "terminal.py", "usage.py"),
    *(f"engine/host/{name}.py" for name in ("progress", "interrupt", "say")),
    *(f"engine/loop/{name}.py" for name in ("estimate", "speed")),
    *(f"engine/machines/{name}.py" for name in ("cluster", "connect", "keys", "local", "slurm", "worker")),
)
# Flags that tell how many devices there are, or where to write what.
HARMLESS_FLAGS = ("--xla_force_host_platform_device_count", "--xla_dump")


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    return {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}, "source": source()}


@cache
def version_of(package: str) -> str:
    """Return the version of a package; its metadata is a file that is slow to read, and what is imported stays."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


@cache
def source() -> str:
    """Return a digest of the code that makes the numbers: in a working copy it changes more often than the version."""
    digest = hashlib.sha256()
    for name, file in sources().items():
        digest.update(f"{name}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def sources() -> dict[str, Path]:
    """Return the files of the package that may change a number, by their path in it."""
    root = Path(__file__).parents[2]
    files = {file.relative_to(root).as_posix(): file for file in sorted(root.rglob("*.py"))}
    return {name: file for name, file in files.items() if not {name, name.partition("/")[0]} & {*NO_SOURCES}}


@cache
def commit() -> str | None:
    """Return the commit of a working copy that the package is run from, or None."""
    asked = ["git", "-C", str(Path(__file__).parents[2]), "rev-parse", "HEAD", "HEAD:./__init__.py"]
    try:  # the second word is refused where the package only lies within somebody else's repository
        told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return told.split()[0]


def described(sweep: Sweep, devices: list[Any]) -> dict[str, Any]:
    """Return what a manifest says of what results depend on."""
    device, base = devices[0], sweep.base
    dtypes = list(dict.fromkeys(sweep.axes.get("dtype", [base.dtype])))
    return {
        **versions(),
        "commit": commit(),
        "spec": sweep.to_toml(),
        "axes": axes_told(sweep),
        "own_code": own_code(sweep.base, sweep.axes, here=False),
        "device_kind": f"{device.platform} {device.device_kind}",
        "devices": len(devices),
        "precision": {"arrays": dtypes, "products": base.matmul_precision},
        "random": generator(),
        "xla_flags": xla_flags(),
    }


def identity(made: Mapping[str, Any]) -> str:
    """Return a digest of what decides the numbers of a store's pieces, by which each notes where it belongs.

    Args:
        made: a new store's manifest.
    """
    decisive = {name: made.get(name) for name in (*DECISIVE, "cohorts", "given")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]


def generator() -> str:
    """Return which random numbers JAX draws."""
    settings = jax.config.values
    partitionable = "" if settings["jax_threefry_partitionable"] else "not "
    offset = settings.get("jax_random_seed_offset", 0)
    return f"{settings['jax_default_prng_impl']}, {partitionable}partitionable" + (f", from {offset}" if offset else "")


def xla_flags() -> str:
    """Return the flags of XLA that the user has set and that may change bits."""
    return " ".join(sorted(f for f in os.environ.get("XLA_FLAGS", "").split() if not f.startswith(HARMLESS_FLAGS)))


def check_same(known: Mapping[str, Any], present: Mapping[str, Any], anyway: bool, doing: str = "resume") -> str:
    """Return in words what differs from when the sweep began.

    Args:
        doing: the command that would use the store.

    Raises:
        StoreError: if something does, unless told otherwise; in any case where the runs are others.
    """
    known = {**known, "spec": noted(known, present["spec"])}
    changed = "; ".join(differences(known, present))
    if changed and not anyway:
        raise StoreError(f"cannot {doing}: {changed}; allowed: what the sweep began with, or --anyway (anyway=True)")
    if axes_of(known["spec"]) != axes_of(present["spec"]):
        raise StoreError(f"cannot {doing}: {changed}; its runs would be others; allowed: a new folder")
    if changed:
        say(f"{doing} although {changed}")
    return changed


def differences(known: Mapping[str, Any], present: Mapping[str, Any]) -> Iterator[str]:
    """Yield what decides bits and differs, in words."""
    for name in DECISIVE:
        if name in known and known[name] != present[name]:
            if name == "spec":
                yield from spec_differences(known[name], present[name])
            elif name == "own_code":
                yield from own_code_differences(known[name], present[name])
            else:
                yield was_is(name, known[name], present[name])


def own_code_differences(known: str, present: str) -> Iterator[str]:
    """Yield whether the code that the user brought has changed, as far as one version of Python can tell."""
    (python, _, was), (this, _, now) = known.partition(":"), present.partition(":")
    if python == this:
        yield was_is("your own code", was, now)
