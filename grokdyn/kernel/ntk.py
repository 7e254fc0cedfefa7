"""The empirical tangent kernel, by the cheapest method."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.kernel.methods import by_jacobian, by_layers, by_products
from grokdyn.kernel.readout import Readout
from grokdyn.models.function import Function
from grokdyn.models.output import Params

METHODS = {"jacobian": by_jacobian, "products": by_products, "layers": by_layers}
# Bytes that one kernel may take while it is computed, result included.
MOST_BYTES = 2**30


class Cost(NamedTuple):
    """Multiplications that a method takes, and the bytes alive at once."""

    work: float
    memory: float


def ntk(
    model: Any,
    params: Params,
    x: jax.Array,
    y: jax.Array | None = None,
    readout: Readout | None = None,
    method: str = "auto",
) -> jax.Array:
    """Return the empirical tangent kernel <df(x_i)/dw, df(y_j)/dw> (Jacot et al. 2018) at some parameters.

    f are the logits after ``output_scale``, w the parameters as they are stored, so that every parameterisation has
    its own kernel. A centred model has the kernel of the same model uncentred.

    Args:
        params: the parameters w, arrays by name.
        x: rows [n, width]; y: other rows [m, width], default x.
        readout: what is kept of the outputs' axes; default: the mean over outputs.
        method: ``jacobian``, ``products``, ``layers`` (of models that have them), or ``auto``: the cheapest by count
            of multiplications among those that fit into memory.

    Returns:
        [n, m] for a trace or difference, [n, m, outputs, outputs] for the full kernel, in the parameters' dtype.

    Raises:
        ValueError: if the model reads out several tokens or its rows see each other, the method is unknown or does not
            serve the model, or nothing fits into memory.
    """
    if model.rows_interact:
        raise ValueError("model: got one whose rows see each other in training; allowed: one whose rows are alone")
    return tangent_kernel(Function(model), params, x, y, readout, method)


def tangent_kernel(
    f: Function, params: Params, x: Any, y: Any = None, readout: Readout | None = None, method: str = "auto"
) -> jax.Array:
    """Return the kernel of a function's network at some parameters, see ``ntk``."""
    readout = Readout() if readout is None else readout
    if not isinstance(readout, Readout):
        raise ValueError(f"readout: got {readout!r}; allowed: a Readout, such as gd.Readout('full')")
    x = jnp.asarray(x)
    y = x if y is None else jnp.asarray(y)
    shape = jax.eval_shape(lambda p: f.network(p, x[:1]).logits, params).shape
    if len(shape) > 2:
        raise ValueError(f"model: got logits for {shape[1]} answers a row; allowed: a model that reads out one token")
    outputs = shape[-1]
    known = costs(f, params, x, None if y is x else y.shape[0], outputs, readout)
    if method != "auto" and method not in known:
        raise ValueError(f"method: got {method!r}; allowed: auto, {', '.join(known)}")
    readout.check(outputs)
    c = readout.combinations(outputs, jax.tree.leaves(params)[0].dtype)
    return METHODS[cheapest(known) if method == "auto" else method](f, params, x, y, readout, c)


def cheapest(known: dict[str, Cost]) -> str:
    """Return the method of least work among those that fit into memory.

    Raises:
        ValueError: if none does.
    """
    fitting = [name for name, cost in known.items() if cost.memory <= MOST_BYTES]
    if not fitting:
        least = min(cost.memory for cost in known.values())
        raise ValueError(f"a kernel of {least:.1e} bytes; at most {MOST_BYTES:.1e}")
    return min(fitting, key=lambda name: known[name].work)


def costs(f: Function, params: Params, x: Any, m: int | None, outputs: int, readout: Readout) -> dict[str, Cost]:
    """Return what each method that serves the model costs for n rows with m others (None: with themselves), by shapes.

    With F the multiplications of one row's forward pass and P the parameters: Jacobians take 3F a row and
    combination, and P a pair; products 3F a column and 2F an entry of it; layers a backward pass that shares the
    forward one, and their widths a pair.
    """
    n, r = x.shape[0], readout.count(outputs)
    leaves = jax.tree.leaves(params)
    P, size = sum(int(np.prod(leaf.shape)) for leaf in leaves), leaves[0].dtype.itemsize
    F = multiplications(f, params, x)
    full = readout.kind == "full"
    products, alive, kept = (r**2, r, r**2) if full else (r, 1, 1)
    columns = n if m is None else m
    rows = n if m is None else n + m
    pairs, result = n * columns, n * columns * kept
    found = {
        "jacobian": Cost(rows * r * 3 * F + pairs * products * P, size * (rows * alive * P + result)),
        "products": Cost(columns * r * (3 + 2 * n) * F, size * (alive * (P + 2 * n * outputs) + result)),
    }
    shapes = layer_shapes(f, params, x, outputs, r)
    if shapes is not None:
        width = sum(int(np.prod(layer.deltas.shape[1:])) for layer in shapes)
        work = rows * r * F + pairs * width * (r if full else 1)
        found["layers"] = Cost(work, size * (rows * width + result))
    return found


def layer_shapes(f: Function, params: Params, x: Any, outputs: int, r: int) -> Any:
    """Return the shapes of a model's layers, or None where it has none."""
    dtype = jax.tree.leaves(params)[0].dtype

    def find(params: Params, row: jax.Array) -> Any:
        layers = f.linear_layers(params, row, jnp.zeros((1, r, outputs), dtype))
        return None if layers is None else [layer._replace(factor=0.0, bias=False) for layer in layers]

    return jax.eval_shape(find, params, jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype))


def multiplications(f: Function, params: Params, x: Any) -> float:
    """Return the operations of one row's forward pass: multiplications of matrix products, entries of the rest."""
    row = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
    program = jax.make_jaxpr(lambda p, row: f.network(p, row).logits)(params, row)
    return counted(program.jaxpr)


def counted(program: Any) -> float:
    """Return those of a program and of the programs that it calls."""
    total = 0.0
    for equation in program.eqns:
        inner = [
            p for p in (getattr(value, "jaxpr", value) for value in equation.params.values()) if hasattr(p, "eqns")
        ]
        if inner:
            total += sum(counted(part) for part in inner)
            continue
        length = 1
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            length = np.prod([equation.invars[0].aval.shape[axis] for axis in contracted])
        total += float(sum(np.prod(out.aval.shape) for out in equation.outvars) * length)
    return total
