"""Which frequency a neuron computes with, and which frequencies are key to a network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.function import Function, first_function
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.fourier import basis, components
from grokdyn.probes.residues import (
    EMBEDDING,
    embedding_name,
    grid_conflicts,
    residues_of,
    side_conflicts,
    sides_of,
)
from grokdyn.probes.view import WHOLE, View, in_tiles
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Choice, Flag, Name, Number, Optional
from grokdyn.tasks.signature import Tokens

# Activations that are taken for the neurons where none is named: the last layer's of the first kind that there is.
LAYERS = ("neurons", "mlp_post", "hidden")
# A neuron varies as little as rounding makes a constant vary: so many units of what it is.
NOISE = 16
ACTIVATION = field(Optional(Name()), default=None, doc="activations [rows, neurons]; none: the last hidden layer's")


class Tuning(NamedTuple):
    """The 2D Fourier spectrum of neurons over the grid (a, b).

    Attributes:
        power: float64 [p//2 + 1, neurons], in the block {1, cos k, sin k}^2 without the constant; 0 at k = 0.
        total: float64 [neurons], sum of squares around the mean; 0 of a dead neuron, which is constant.
    """

    power: jax.Array
    total: jax.Array

    def best(self, last: bool) -> tuple[jax.Array, jax.Array]:
        """Return every neuron's frequency of most power, and that power's share of the whole; 0 of a dead neuron."""
        power = self.power if last else self.power[: (len(self.power) - 1)]
        alive = self.total > 0
        share = jnp.max(power, axis=0) / jnp.where(alive, self.total, 1)
        return jnp.where(alive, jnp.argmax(power, axis=0), 0), jnp.where(alive, share, 0)


def layer_of(names: Any, wanted: str | None) -> str | None:
    """Return the activations that a probe reads: those asked for, else the last layer's of a known name."""
    if wanted is not None:
        return wanted if wanted in names else None
    for kind in LAYERS:
        found = [name for name in names if name == kind or name.rpartition("_")[0] == kind]
        if found:
            return max(found, key=lambda name: (len(name), name))
    return None


def activation_shapes(f: Function, params: Any, width: int) -> dict[str, Any]:
    """Return shapes of the activations of two rows."""
    rows = jax.ShapeDtypeStruct((2, width), np.int32)
    return jax.eval_shape(lambda w, x: f.network(w, x).activations, params, rows)


def layer_conflicts(shapes: Shapes, wanted: str | None) -> Iterator[tuple[str, Any, str]]:
    """Yield what keeps a probe from the activations that it reads."""
    if not isinstance(shapes.signature.inputs, Tokens):
        return
    with jax.enable_x64(True):
        known = activation_shapes(first_function(shapes), shapes.params, shapes.signature.inputs.width)
    fitting = [name for name, x in known.items() if len(x.shape) in (2, 3)]
    if layer_of(fitting, wanted) is None:
        came = Words("no hidden layer") if wanted is None else wanted
        yield "activation", came, "one of " + ", ".join(fitting) if fitting else "a model with activations"


def tuning_of(view: View, wanted: str | None) -> Tuning:
    """Return the spectrum of the neurons, computed once a record."""
    return view.once(("tuning", wanted), lambda: tuning(view, wanted))


def tuning(view: View, wanted: str | None) -> Tuning:
    """Transform the neurons' activations over b, then over a, whole values of a at a time."""
    grid = residues_of(view.experiment.task)
    assert grid is not None
    p, f, dtype = grid.p, view.function, jnp.dtype(view.experiment.dtype)
    layer = layer_of(activation_shapes(f, view.params, grid.width), wanted)
    assert layer is not None
    each = p if p * p <= WHOLE * view.tile else max(1, view.tile // p)
    tiles = -(-p // each)
    inputs = in_tiles(jnp.asarray(view.inputs).reshape(p, p, -1), tiles, each)
    cosines, sines = (jnp.asarray(part, dtype) for part in basis(p))
    # What fills the last tile weighs nothing.
    over_a = [jnp.pad(part, ((0, 0), (0, tiles * each - p))) for part in (cosines, sines)]
    over_a = [part.reshape(-1, tiles, each).transpose(1, 0, 2) for part in over_a]
    real = (jnp.arange(tiles * each) < p).reshape(tiles, each)

    def of(part: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array, jax.Array]:
        x, cos_a, sin_a, counts = part
        A = f.network(view.params, x.reshape(each * p, -1)).activations[layer]
        A = (A if A.ndim == 2 else A[:, -1]).reshape(each, p, -1)
        A = jnp.where(counts[:, None, None], A, jnp.zeros((), A.dtype))
        wide = A.astype(jnp.float64)
        return block(A, cos_a, sin_a, cosines, sines), jnp.sum(wide, axis=(0, 1)), jnp.sum(wide * wide, axis=(0, 1))

    def add(carry: Any, part: tuple[jax.Array, ...]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, carry, of(part)), None

    parts = (inputs, *over_a, real)
    shapes = jax.eval_shape(of, jax.tree.map(lambda x: x[0], parts))
    empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    (blocks, total, squares), _ = jax.lax.scan(add, empty, parts)
    power = jnp.sum(jnp.square(blocks), axis=0).at[0].set(0)
    return Tuning(power, variance(squares, total, p, dtype))


def variance(squares: jax.Array, total: jax.Array, p: int, dtype: Any) -> jax.Array:
    """Return the sum of squares around the mean; 0 of a neuron whose variation is the rounding of a constant.

    A component of the spectrum sums p values of the dtype, each off by a unit or so; the variance itself is a
    difference in float64.
    """
    around = squares - jnp.square(total) / (p * p)
    units = max((NOISE * float(jnp.finfo(dtype).eps)) ** 2, NOISE * float(jnp.finfo(jnp.float64).eps))
    return jnp.where(around > units * squares, around, 0)


def block(A: jax.Array, cos_a: jax.Array, sin_a: jax.Array, cosines: jax.Array, sines: jax.Array) -> jax.Array:
    """Return the eight components of every frequency's block [8, p//2 + 1, neurons] of activations [a, b, neurons]."""
    cos_b, sin_b = (jnp.einsum("kb,abn->kan", part, A) for part in (cosines, sines))
    along_b = [jnp.einsum("a,kan->kn", cos_a[0], part) for part in (cos_b, sin_b)]
    along_a = [part @ cos_b[0] for part in (cos_a, sin_a)]
    both = [jnp.einsum("ka,kan->kn", one, other) for one in (cos_a, sin_a) for other in (cos_b, sin_b)]
    return jnp.stack([*along_b, *along_a, *both]).astype(jnp.float64)


class Neurons(Probe):
    """Which frequency each neuron computes with (Nanda et al. 2023).

    ``neuron_frequency``: the k whose block {1, cos wa, sin wa} x {1, cos wb, sin wb}, w = 2 pi k/p, without the
    constant, holds most of the variance of the neuron's activations over all pairs (a, b); ``neuron_share``: how much
    of it. ``neurons_at_frequency`` counts them. A dead neuron, constant to within rounding, has frequency and share 0.

    ``neuron_power``: the sum over neurons of the squared components in every frequency's block, in an orthonormal basis
    of the pairs; products of different frequencies are in no block. ``per_neuron`` adds ``neuron_power_per_neuron``.
    """

    activation: str | None = ACTIVATION
    per_neuron: bool = field(Flag(), default=False, doc="power of every single neuron too")

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from grid_conflicts(shapes)
        yield from layer_conflicts(shapes, self.activation)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        grid = residues_of(shapes.experiment.task)
        assert grid is not None
        with jax.enable_x64(True):
            known = activation_shapes(first_function(shapes), shapes.params, grid.width)
        layer = layer_of(known, self.activation)
        assert layer is not None
        axes = {"neuron": np.arange(known[layer].shape[-1]), "frequency": grid.frequencies}
        found = {
            "neuron_frequency": Variable("frequency", dims=("neuron",), coordinates=axes),
            "neuron_share": Variable("share of variance at one frequency", dims=("neuron",), coordinates=axes),
            "neurons_at_frequency": Variable("number of neurons", dims=("frequency",), coordinates=axes),
            "neuron_power": Variable("power of the neurons", dims=("frequency",), coordinates=axes),
        }
        if self.per_neuron:
            both = ("frequency", "neuron")
            found["neuron_power_per_neuron"] = Variable("power of a neuron", dims=both, coordinates=axes)
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        found = tuning_of(view, self.activation)
        frequency, share = found.best(last=True)
        counts = jnp.sum(frequency == jnp.arange(len(found.power))[:, None], axis=1)
        return {
            "neuron_frequency": frequency.astype(jnp.float64),
            "neuron_share": share,
            "neurons_at_frequency": counts.astype(jnp.float64),
            "neuron_power": jnp.sum(found.power, axis=1),
            **({"neuron_power_per_neuron": found.power} if self.per_neuron else {}),
        }


class KeyedProbe(Probe):
    """Base of probes that need the key frequencies of the network, by one of two definitions.

    ``neurons``: k is key if it is the frequency of any neuron whose share of variance there is at least ``threshold``;
    the released code of Nanda et al. (2023) asks for no share (0), and leaves out the ``last`` frequency, (p - 1)/2.
    ``embedding``: k is key if its power in the embedding (both operands together) is at least ``threshold`` times the
    mean power of frequencies above 0.
    """

    definition: str = field(Choice(("neurons", "embedding")), default="neurons", doc="what makes a frequency key")
    threshold: float = field(Number(0), default=0.0, doc="least share of a neuron, or least multiple of the mean power")
    last: bool = field(Flag(), default=True, doc="consider the last frequency, p//2, too")
    activation: str | None = ACTIVATION
    embedding: str | None = EMBEDDING

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from grid_conflicts(shapes)
        if self.definition == "neurons":
            yield from layer_conflicts(shapes, self.activation)
        else:
            for path, came, allowed in side_conflicts(shapes, self.embedding, None):
                if path == "embedding":
                    yield path, came, allowed

    def key(self, view: View) -> jax.Array:
        """Return bool [p//2 + 1]: the key frequencies."""
        if self.definition == "embedding":
            found = self.strong(view)
        else:
            frequency, share = tuning_of(view, self.activation).best(self.last)
            counted = (share >= self.threshold) & (share > 0)
            ks = jnp.arange(view.experiment.task.p // 2 + 1)
            found = jnp.any((frequency == ks[:, None]) & counted, axis=1)
        return found if self.last else found.at[-1].set(False)

    def strong(self, view: View) -> jax.Array:
        """Return bool [p//2 + 1]: the frequencies with much power in the embedding."""
        grid = residues_of(view.experiment.task)
        assert grid is not None
        name = embedding_name(view.params, self.embedding)
        sides = [side for side in sides_of(view.params, grid, name, None).values() if side.rows]
        parts = [part for side in sides for part in components(side.of(view.params, grid.p))]
        power = sum(jnp.sum(jnp.square(part), axis=1) for part in parts)
        power = jnp.asarray(power).at[0].set(0)
        return (power >= self.threshold * jnp.sum(power) / (len(power) - 1)) & (power > 0)


class KeyFrequencies(KeyedProbe):
    """Which frequencies are key (Nanda et al. 2023): ``key_frequency`` is 1 there, ``key_frequencies`` their number."""

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        grid = residues_of(shapes.experiment.task)
        assert grid is not None
        axes = {"frequency": grid.frequencies}
        return {
            "key_frequency": Variable("key frequency", dims=("frequency",), coordinates=axes),
            "key_frequencies": Variable("number of key frequencies"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        key = self.key(view).astype(jnp.float64)
        return {"key_frequency": key, "key_frequencies": jnp.sum(key)}
