"""Floors of a case on accelerators that are not at hand: what operations and memory traffic alone would take there."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax

from grokdyn.bench.cases import CASES
from grokdyn.bench.floor import Product, products
from grokdyn.bench.peak import operations
from grokdyn.engine.plan.plan import Plan
from grokdyn.spec.sweep import Sweep


class Accelerator(NamedTuple):
    """A device by its vendor's data sheet.

    Attributes:
        flops: operations per second of dense products in float32 without TF32 (``matmul_precision = "highest"``); on a
            TPU a sixth of those in bfloat16, six products of which make one.
        bandwidth: bytes per second between memory and chip.
    """

    name: str
    flops: float
    bandwidth: float


ACCELERATORS = (
    Accelerator("A100 80GB", 19.5e12, 2.04e12),
    Accelerator("H100 SXM", 66.9e12, 3.35e12),
    Accelerator("H200", 66.9e12, 4.8e12),
    Accelerator("RTX 4090", 82.6e12, 1.01e12),
    Accelerator("MI300X", 163.4e12, 5.3e12),
    Accelerator("TPU v5e", 197e12 / 6, 0.82e12),
)
# Doshi et al. 2023: 17 x 17 x 4 runs of so many steps.
GRID_RUNS, GRID_STEPS, GRID_CASE = 1156, 2000, "doshi"


class Demand(NamedTuple):
    """What one update of one run asks of a device.

    Attributes:
        operations: of its gradients, as XLA counts them.
        traffic: bytes to and from memory where every product reads its operands and writes its result once, all
            between two products is fused into them, and parameters and the optimizer's memory are read and written
            once.
    """

    operations: float
    traffic: float

    def floor(self, device: Accelerator) -> tuple[float, str]:
        """Return the seconds that the slower of the two takes, and which one it is."""
        by = {"operations": self.operations / device.flops, "bytes": self.traffic / device.bandwidth}
        slower = max(by, key=lambda name: by[name])
        return by[slower], slower


def demand(name: str, devices: list[Any]) -> Demand:
    """Return what an update of a case asks for."""
    experiment = CASES[name].experiment()
    with jax.enable_x64(True):
        cohort = Plan.of(Sweep(experiment, {}), devices).cohorts[0]
    found = products(experiment, devices)
    traffic = sum(count * bytes_of(product) for product, count in found.items()) + 2 * cohort.state_bytes
    return Demand(operations(experiment, devices), traffic)


def bytes_of(product: Product) -> int:
    """Return the bytes of a product's operands and result."""
    operands = [jax.ShapeDtypeStruct(shape, product.dtype) for shape in product.shapes]
    return sum(x.size * x.dtype.itemsize for x in (*operands, jax.eval_shape(product.of, *operands)))


def planned(names: list[str], devices: list[Any]) -> dict[str, Demand]:
    """Return the demands of cases by name."""
    return {name: demand(name, devices) for name in names}


def as_json(demands: dict[str, Demand]) -> dict[str, Any]:
    """Return demands, and floors by device, as plain values."""
    return {
        name: {
            "operations": found.operations,
            "bytes": found.traffic,
            "floor": {
                device.name: dict(zip(("seconds", "bound_by"), found.floor(device), strict=True))
                for device in ACCELERATORS
            },
        }
        for name, found in demands.items()
    }
