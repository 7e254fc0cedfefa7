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

from grokdyn.engine.files import StoreError
from grokdyn.spec import toml
from grokdyn.spec.errors import SpecError, line
from grokdyn.spec.identity import own_code
from grokdyn.spec.sweep import Sweep

PACKAGES = ("grokdyn", "jax", "jaxlib", "flax", "optax", "numpy")
# A change of one of these may change bits. The number of devices does not: lanes are computed alike on each.
DECISIVE = ("spec", *PACKAGES, "source", "own_code", "device_kind", "random", "xla_flags")
# What of the package makes the numbers.
SOURCES = (
    *("spec", "tasks", "models", "losses", "optim", "kernel", "curvature", "theory", "probes", "train"),
    *("engine/plan.py", "engine/schedule.py"),
)
# Flags that tell how many devices there are, or where to write what.
HARMLESS_FLAGS = ("--xla_force_host_platform_device_count", "--xla_dump")
MOST_TOLD = 3


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return {**found, "source": source()}


@cache
def source() -> str:
    """Return a digest of the code that makes the numbers: in a working copy it changes more often than the version."""
    root = Path(__file__).parents[1]
    files = [file for name in SOURCES for file in (sorted((root / name).rglob("*.py")) or [root / name])]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def commit() -> str | None:
    """Return the commit of a working copy that the package is run from, or None."""
    asked = ["git", "-C", str(Path(__file__).parents[1]), "rev-parse", "HEAD", "HEAD:./__init__.py"]
    try:  # the second word is refused where the package only lies within somebody else's repository
        told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return told.split()[0]


def described(sweep: Sweep, devices: list[Any]) -> dict[str, Any]:
    """Return what a manifest says of what results depend on."""
    device, settings, base = devices[0], jax.config.values, sweep.base
    partitionable = "" if settings["jax_threefry_partitionable"] else "not "
    return {
        **versions(),
        "commit": commit(),
        "spec": sweep.to_toml(),
        "own_code": own_code(sweep.base, sweep.axes, here=False),
        "device_kind": f"{device.platform} {device.device_kind}",
        "devices": len(devices),
        "precision": {"arrays": list(sweep.axes.get("dtype", [base.dtype])), "products": base.matmul_precision},
        "random": f"{settings['jax_default_prng_impl']}, {partitionable}partitionable",
        "xla_flags": xla_flags(),
    }


def identity(made: Mapping[str, Any]) -> str:
    """Return a digest of what decides the numbers of a store's pieces, by which each notes where it belongs.

    Args:
        made: a new store's manifest.
    """
    decisive = {name: made.get(name) for name in (*DECISIVE, "cohorts", "given")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]


def xla_flags() -> str:
    """Return the flags of XLA that the user has set and that may change bits."""
    return " ".join(sorted(f for f in os.environ.get("XLA_FLAGS", "").split() if not f.startswith(HARMLESS_FLAGS)))


def check_same(known: Mapping[str, Any], present: Mapping[str, Any], anyway: bool) -> str:
    """Return in words what differs from when the sweep began.

    Raises:
        StoreError: if something does, unless told otherwise; in any case where the runs are others.
    """
    known = {**known, "spec": noted(known, present["spec"])}
    changed = "; ".join(differences(known, present))
    if changed and not anyway:
        raise StoreError(f"cannot resume: {changed}; allowed: what the sweep began with, or --anyway (anyway=True)")
    if axes_of(known["spec"]) != axes_of(present["spec"]):
        raise StoreError(f"cannot resume: {changed}; its runs would be others; allowed: a new folder")
    return changed


def check_spec(path: Path, known: Mapping[str, Any], sweep: Sweep) -> None:
    """Raise StoreError if the spec of a store is not the one it was made from."""
    text = sweep.to_toml()
    was = noted(known, text)
    if was != text:
        changed = "; ".join(spec_differences(was, text))
        hint = "remove it, and what the manifest knows takes its place"
        raise StoreError(f"{str(path / 'spec.toml')!r} is damaged or was changed: {changed}; {hint}")


def noted(known: Mapping[str, Any], text: str) -> str:
    """Return the spec that a manifest holds, given the present one: earlier versions noted a digest."""
    was = known.get("spec", text)
    return text if was == hashlib.sha256(text.encode()).hexdigest() else was


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


def spec_differences(known: str, present: str) -> Iterator[str]:
    """Yield the fields in which two specs differ."""
    was, now = fields(known), fields(present)
    changed = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    yield from (was_is(name, was.get(name, "nothing"), now.get(name, "nothing")) for name in changed[:MOST_TOLD])
    if len(changed) > MOST_TOLD:
        yield f"and {len(changed) - MOST_TOLD} more fields of the spec"
    if not changed:
        yield "the order of the spec's axes"


def was_is(name: str, was: Any, now: Any) -> str:
    return f"{name} was {line(str(was), 40)}, is {line(str(now), 40)}"


def fields(spec: str) -> dict[str, Any]:
    """Return the values of a spec by dotted path."""

    def flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in table.items():
            where = f"{path}.{name}" if path else name
            if isinstance(value, Mapping):
                yield from flat(value, where)
            else:
                yield where, value

    try:
        return dict(flat(toml.loads(spec)))
    except SpecError:  # an earlier version noted a digest
        return {"spec": spec}


def axes_of(spec: str) -> list[tuple[str, Any]]:
    """Return the axes of a spec in their order: they number the runs."""
    return [(name, value) for name, value in fields(spec).items() if name.startswith("sweep.")]
