"""Fourier-Walsh coefficients of a network on the whole cube {-1, +1}^d."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Count, Names
from grokdyn.tasks.parts import parts_of
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import TEST, Images, Reals
from grokdyn.theory import boolean

CUBE = "a task whose rows are all points of a cube, once each, as -1 and 1, or 0 for 1 and 1 for -1, such as boolean"
# The name of the empty set.
CONSTANT = "constant"
# Coefficients below this are zeros of a target of size 1.
ZERO = 1e-6


class Walsh(Probe):
    """Learned coefficients f^(T) = E_x[f(x) prod_{i in T} x_i] over the whole cube, seen and unseen (Abbe et al. 2023).

    By the fast Walsh-Hadamard transform in float64 of the logits, as the loss sees them; inputs 0 and 1 (tokens, bits)
    stand for 1 and -1. ``walsh_coefficient``: those of ``sets``, or of the ``top`` largest of the target and of its
    minimum-degree interpolator, the prediction for points that are in no part ``test``. ``walsh_profile``: the sum of
    f^(T)^2 over all T of each degree.

    Where targets are real, ``walsh_target_distance`` and ``walsh_minimum_degree_distance``: the mean squared distance
    on the cube from the target and from that interpolator, which is the sum of squared differences of coefficients.
    With several outputs all have an axis ``output``.
    """

    sets: tuple[str, ...] = field(Names(), default=(), doc="such as x0x2, constant; none: the largest")
    top: int = field(Count(1, 4096), default=16, doc="how many sets where none is named")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        for i, name in enumerate(self.sets):
            found = set_of(name)
            if found is None:
                yield f"sets[{i}]", name, "constant, or coordinates that differ, such as x0x2"
            elif found in [set_of(other) for other in self.sets[:i]]:
                yield f"sets[{i}]", name, "each set once"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.sets:
            yield "top", "sets are named"

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        cube = cube_of(shapes.experiment.task)
        if cube is None:
            task = shapes.experiment.task
            yield "kind", Words(f"{type(task).__name__} with {shapes.signature.rows} rows"), CUBE
            return
        if not self.sets and not isinstance(shapes.signature.targets, Reals):
            yield "sets", [], "named sets, where targets are classes"
        for i, name in enumerate(self.sets):
            if max(set_of(name) or (0,)) >= cube.d:
                yield f"sets[{i}]", name, f"coordinates below {cube.d}"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        cube = cube_of(shapes.experiment.task)
        assert cube is not None
        several = ("output",) if shapes.signature.outputs > 1 else ()
        names = list(self.sets) or [name_of(T) for T in self.chosen(cube)]
        axes = {"set": names, "degree": np.arange(cube.d + 1), "output": np.arange(shapes.signature.outputs)}

        def variable(text: str, *dims: str) -> Variable:
            dims = (*several, *dims)
            return Variable(text, dims=dims, coordinates={dim: axes[dim] for dim in dims})

        distances = {
            "walsh_target_distance": variable("squared distance from the target"),
            "walsh_minimum_degree_distance": variable("squared distance from the minimum-degree interpolator"),
        }
        return {
            "walsh_coefficient": variable("coefficient", "set"),
            "walsh_profile": variable("sum of squared coefficients", "degree"),
            **({} if cube.target is None else distances),
        }

    def chosen(self, cube: Cube) -> np.ndarray:
        """Return the sets whose coefficients are recorded, as the numbers of their bits."""
        if self.sets:
            return np.asarray([sum(2**i for i in set_of(name) or ()) for name in self.sets])
        assert cube.target is not None
        sizes = np.max(np.abs(np.concatenate([cube.target, cube.interpolator])), axis=0)
        largest = np.argsort(-sizes, kind="stable")[: min(self.top, max(1, int(np.sum(sizes > ZERO))))]
        return largest[np.lexsort((largest, boolean.degrees(cube.d)[largest]))]

    def measure(self, view: View) -> dict[str, jax.Array]:
        cube = cube_of(view.experiment.task)
        assert cube is not None
        found = boolean.coefficients(view.logits[cube.order].T.astype(jnp.float64))
        degree = jnp.asarray(boolean.degrees(cube.d))
        values = {
            "walsh_coefficient": found[:, self.chosen(cube)],
            "walsh_profile": jax.ops.segment_sum(jnp.square(found).T, degree, cube.d + 1).T,
        }
        if cube.target is not None:
            for name, aim in (("target", cube.target), ("minimum_degree", cube.interpolator)):
                values[f"walsh_{name}_distance"] = jnp.sum(jnp.square(found - aim), axis=-1)
        return values if len(found) > 1 else {name: value[0] for name, value in values.items()}


class Cube(NamedTuple):
    """A task whose rows are all points of {-1, +1}^d.

    Attributes:
        d: number of coordinates.
        order: the row of every point of ``theory.boolean.cube``.
        target, interpolator: coefficients of the target and of the minimum-degree interpolator of the points that are
            in no part test [outputs, 2^d]; none where targets are classes.
    """

    d: int
    order: np.ndarray
    target: Any
    interpolator: Any


def cube_of(task: Any) -> Cube | None:
    """Return the cube of a task's points, or None where its rows are none."""
    signature = task.signature()
    d = signature.rows.bit_length() - 1
    if task.drawn or isinstance(signature.inputs, Images) or (signature.rows, d) != (2**d, signature.inputs.width):
        return None
    inputs, labels = (np.asarray(part) for part in task.table())
    if not (np.isin(inputs, (-1, 1)).all() or np.isin(inputs, (0, 1)).all()):
        return None
    # -1 is a bit that is set; where there is no -1, 1 is.
    bits = inputs == inputs.min() if inputs.min() < 0 else inputs == 1
    codes = bits @ (2 ** np.arange(d))
    order = np.argsort(codes, kind="stable")
    if not np.array_equal(codes[order], np.arange(2**d)):
        return None
    if not isinstance(signature.targets, Reals):
        return Cube(d, order, None, None)
    values, parts = labels[order].T.astype(np.float64), parts_of(task)
    seen = ~np.isin(np.arange(2**d), parts.rows(TEST))[order]
    try:
        predicted = boolean.minimum_degree(values, seen)
    except ValueError:  # seen points of a shape for which it is not computed
        predicted = np.full_like(values, np.nan)
    return Cube(d, order, boolean.coefficients(values), boolean.coefficients(predicted))


def set_of(name: str) -> tuple[int, ...] | None:
    """Return the coordinates of a set by its name, in rising order; None where it is no name of one."""
    if name == CONSTANT:
        return ()
    found = [int(i) for i in re.findall(r"x(\d+)", name)] if re.fullmatch(r"(x\d+)+", name) else [0, 0]
    return tuple(sorted(found)) if len(set(found)) == len(found) else None


def name_of(T: int) -> str:
    """Return the name of a set that is given by the number of its bits."""
    return "".join(f"x{i}" for i in range(int(T).bit_length()) if T >> i & 1) or CONSTANT
