"""The floor of a case: the time of an update's matrix products alone, at the best padding found, as XLA computes them.

No faster arithmetic around the products, and no better schedule of them, can bring a step below it; another library of
products could.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn
from jax.sharding import PartitionSpec

from grokdyn.engine.loop.speed import gradient_of_update
from grokdyn.engine.plan.plan import Plan
from grokdyn.losses.precision import VECTOR
from grokdyn.spec.sweep import Sweep
from grokdyn.train.compiled import AXIS, lane_mesh

# Every padding of every product is timed so many times, each at least so long; the fastest counts.
CALLS, SECONDS = 4, 0.02
PRODUCTS = ("dot_general", "conv_general_dilated")


class Product(NamedTuple):
    """A product of a step's program: ``dot_general`` of two arrays, or a convolution.

    Attributes:
        shapes: of the two operands.
        dtype: of both.
        primitive, params: what computes it, and how: hashable.
    """

    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    dtype: str
    primitive: Any
    params: tuple[tuple[str, Any], ...]

    def of(self, left: jax.Array, right: jax.Array) -> jax.Array:
        return self.primitive.bind(left, right, **dict(self.params))

    @property
    def operations(self) -> int:
        """Return two for every pair of numbers that are multiplied; 0 for convolutions, which are not padded."""
        if self.primitive.name != "dot_general":
            return 0
        (contracted, _), (batch, _) = dict(self.params)["dimension_numbers"]
        left, right = self.shapes
        shared = [left[axis] for axis in (*contracted, *batch)]
        return int(2 * np.prod(left) * np.prod(right) // np.prod(shared))


def floor(experiment: Any, devices: list[Any]) -> float:
    """Return the seconds that the products of one update of one run take with all devices busy, a run on each."""
    found, precision = products(experiment, devices), experiment.matmul_precision
    return sum(count * fastest(product, devices, precision) for product, count in found.items()) / len(devices)


def products(experiment: Any, devices: list[Any]) -> Counter[Product]:
    """Return how often each product is computed in the gradients of one update."""
    with jax.enable_x64(True):
        cohort = Plan.of(Sweep(experiment, {}), devices).cohorts[0]
        gradient, shapes = gradient_of_update(cohort, cohort.program)
        traced = jax.make_jaxpr(gradient)(*shapes)
    tiles = -(-cohort.program.rows // cohort.program.tile)
    found: Counter[Product] = Counter()
    for product, times in products_in(traced.jaxpr, tiles):
        found[product] += times * cohort.template.gradients()
    return found


def products_in(program: Jaxpr, tiles: int) -> Iterator[tuple[Product, int]]:
    """Yield the products of a program with how often each is computed.

    Args:
        tiles: how often a loop without a length of its own goes round: that over the tiles of the train rows.
    """
    for equation in program.eqns:
        if equation.primitive.name in PRODUCTS:
            yield product_of(equation), 1
        times = {"while": tiles, "scan": equation.params.get("length", 1)}.get(equation.primitive.name, 1)
        for inner in programs_in(equation):
            yield from ((product, times * count) for product, count in products_in(inner, tiles))


def product_of(equation: JaxprEqn) -> Product:
    left, right = (cast(Any, x.aval) for x in equation.invars)
    params = tuple(sorted(equation.params.items()))
    return Product((tuple(left.shape), tuple(right.shape)), str(left.dtype), equation.primitive, params)


def programs_in(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """Yield the programs that an equation calls."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else [value]:
            if isinstance(part, ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, Jaxpr):
                yield part


def padded(product: Product) -> Iterator[Product]:
    """Yield a product as it is, and with every choice of its axes filled up to whole vectors; convolutions as they are.

    An axis that both operands have is filled up in both. Short axes stay: most of a vector would be filler.
    """
    if product.primitive.name != "dot_general":
        yield product
        return
    (contracted, contracted_right), (batch, batch_right) = dict(product.params)["dimension_numbers"]
    left, right = product.shapes
    partner = dict(zip(contracted, contracted_right, strict=True))
    kept = {*contracted_right, *batch_right}
    axes = [((0, axis), (1, partner[axis])) if axis in partner else ((0, axis),) for axis in range(len(left))]
    axes = [places for places in axes if places[0][1] not in batch]
    axes += [((1, axis),) for axis in range(len(right)) if axis not in kept]
    uneven = [places for places in axes if product.shapes[places[0][0]][places[0][1]] % VECTOR]
    uneven = [places for places in uneven if product.shapes[places[0][0]][places[0][1]] > VECTOR]
    for filled in itertools.product((False, True), repeat=len(uneven)):
        shapes = [list(left), list(right)]
        for operand, axis in itertools.chain(*(places for places, yes in zip(uneven, filled, strict=True) if yes)):
            shapes[operand][axis] += -shapes[operand][axis] % VECTOR
        yield product._replace(shapes=(tuple(shapes[0]), tuple(shapes[1])))


def fastest(product: Product, devices: list[Any], precision: str) -> float:
    """Return the seconds of a product at its best padding, computed on all devices at once."""
    return min(seconds_of(candidate, devices, precision) for candidate in padded(product))


def seconds_of(product: Product, devices: list[Any], precision: str) -> float:
    """Return the seconds of a product, over and over on all devices at once."""

    def repeated(times: jax.Array, left: jax.Array, right: jax.Array) -> jax.Array:
        # What a step reads has changed since the last one, for all that the compiler knows: nothing is computed once.
        def again(_: jax.Array, carry: Any) -> Any:
            left, right, _ = carry
            return jax.lax.optimization_barrier((left, right, product.of(left, right)))

        shape = jax.eval_shape(product.of, left[0], right[0])
        return jax.lax.fori_loop(0, times, again, (left[0], right[0], jnp.zeros(shape.shape, shape.dtype)))[2][None]

    split, whole = PartitionSpec(AXIS), PartitionSpec()
    mesh = lane_mesh(devices)
    sharded = jax.shard_map(repeated, mesh=mesh, in_specs=(whole, split, split), out_specs=split, check_vma=False)
    with jax.default_matmul_precision(precision):
        compiled = jax.jit(sharded)
        operands = [jnp.ones((len(devices), *shape), product.dtype) for shape in product.shapes]
        return per_call(lambda times: jax.block_until_ready(compiled(np.int32(times), *operands)))


def per_call(function: Callable[[int], Any]) -> float:
    """Return the seconds that each of many repetitions takes, the fastest of some measurements."""
    function(1)
    times, took = 1, 0.0
    while (took := timed(function, times)) < SECONDS:
        times = min(100 * times, max(2 * times, int(1.2 * times * SECONDS / max(took, 1e-6))))
    return min(took, *(timed(function, times) for _ in range(CALLS - 1))) / times


def timed(function: Callable[[int], Any], times: int) -> float:
    began = time.perf_counter()
    function(times)
    return time.perf_counter() - began
