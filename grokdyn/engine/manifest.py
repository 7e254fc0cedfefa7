"""What results depend on besides the spec, written into every store and compared on resuming."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from grokdyn.engine import plan
from grokdyn.engine.files import StoreError
from grokdyn.spec.sweep import Sweep

PACKAGES = ("grokdyn", "jax", "jaxlib", "flax", "optax", "numpy")
# A change of one of these may change bits. The number of devices does not: lanes are computed alike on each.
DECISIVE = ("spec", *PACKAGES, "device_kind")


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def described(sweep: Sweep, planned: list[plan.Cohort], devices: list[Any]) -> dict[str, Any]:
    """Return the manifest of a session, as far as it is known before it begins."""
    device = devices[0]
    return {
        **versions(),
        "spec": hashlib.sha256(sweep.to_toml().encode()).hexdigest(),
        "device_kind": f"{device.platform} {device.device_kind}",
        "devices": len(devices),
        "cohorts": plan.described(planned),
    }


def check_same(known: dict[str, Any], manifest: dict[str, Any], anyway: bool) -> None:
    """Raise StoreError if something that decides bits differs from when the sweep began, unless told otherwise."""
    changed = [name for name in DECISIVE if known.get(name) != manifest[name]]
    if changed and not anyway:
        told = "; ".join(f"{name} was {short(known.get(name))}, is {short(manifest[name])}" for name in changed)
        raise StoreError(f"cannot resume: {told}; allowed: what the sweep began with, or --anyway (anyway=True)")


def short(value: Any) -> str:
    return str(value)[:24]
