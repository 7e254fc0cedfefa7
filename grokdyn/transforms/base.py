"""What a transform is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.spec.base import Spec
from grokdyn.spec.errors import Words
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.signature import Tokens


class Batch(NamedTuple):
    """Rows of one update: all train rows, or those of a mini-batch. Padding comes last and weighs 0.

    Attributes:
        inputs: as the table's [rows, ...]; reals are float32 or float64.
        targets: classes int32 [rows], or floats [rows, outputs]: real targets, or shares of the classes that sum to 1.
        weights: float [rows]; the loss is sum_i w_i l_i / sum_i w_i.
        real: bool [rows], the rows that are no padding.
        rank: int32 [rows], place among the run's train rows, the same at every step.
        outputs: number of classes, or length of a real target.
        features: name -> [rows], what the task says of a row (``Task.features``), and 0 or 1 for each part that trains.
        losses: float [rows], the loss of every row now, for a transform that says ``reads_losses``.
        logits: inputs [rows, ...] -> logits [rows, outputs] of the network now, for one that says ``reads_network``.
    """

    inputs: jax.Array
    targets: jax.Array
    weights: jax.Array
    real: jax.Array
    rank: jax.Array
    outputs: int
    features: Mapping[str, jax.Array] = MappingProxyType({})
    losses: jax.Array | None = None
    logits: Callable[[jax.Array], jax.Array] | None = None


class Transform(Spec):
    """Base of all transforms: a pure function of the rows of an update, a key and the step. Its numbers are traced.

    Transforms are applied one after another, each with a key of its own from the run's batch stream; a record of
    step t measures the clean rows, all with the same weight, unless a probe asks for the transformed ones.

    One that only weighs rows says ``chooses``: it is given all train rows, with a full batch its weights enter the
    loss, and a mini-batch is drawn with probabilities in their proportion, with replacement, and weighs all rows alike.
    """

    chooses = False  # True where ``apply`` changes weights alone, by what lasts: rank, features, step
    reads_losses = False  # True where ``apply`` reads the rows' losses at the present parameters
    reads_network = False  # True where it reads the network at other inputs, at the present parameters
    gradients = 0  # that it takes of its own at every update; ``plan`` counts them

    def apply(self, batch: Batch, key: jax.Array, step: jax.Array) -> Batch:
        """Return the rows that the update made at a step descends on; traced."""
        raise NotImplementedError

    def conflicts(self, shapes: Shapes) -> Conflicts:
        """Yield ``(field, came, allowed)`` where the transform does not fit the experiment; before compiling."""
        return iter(())


def needs_reals(shapes: Shapes, what: str) -> Conflicts:
    """Yield a conflict where inputs are tokens."""
    if isinstance(shapes.signature.inputs, Tokens):
        yield "kind", Words(f"{what} of tokens"), "a task whose inputs are vectors or images"


def known_features(shapes: Shapes) -> Iterator[str]:
    """Yield the names of what the task says of a row, and of its parts that train."""
    task, signature = shapes.experiment.task, shapes.signature
    tokens = isinstance(signature.inputs, Tokens)
    inputs = jax.ShapeDtypeStruct((1, *signature.inputs.shape), jnp.int32 if tokens else jnp.float32)
    real = type(signature.targets).__name__ == "Reals"
    several = (signature.outputs,) if real else (signature.answers,) if signature.answers > 1 else ()
    labels = jax.ShapeDtypeStruct((1, *several), jnp.float32 if real else jnp.int32)
    yield from jax.eval_shape(task.features, inputs, labels)
    if len(signature.parts) > 1 and not task.endless:
        yield from (name for name, role in signature.parts if role != "test")


def needs_feature(shapes: Shapes, name: str, field: str = "feature") -> Conflicts:
    """Yield a conflict where the task does not have a feature of that name."""
    known = list(known_features(shapes))
    if name not in known:
        yield field, name, "a feature of the task's rows: " + (", ".join(known) or "it has none")


def during(step: jax.Array, since: Any, until: Any) -> jax.Array:
    """Return whether a step is one from ``since`` on and before ``until``, None being never."""
    begun = step >= since
    return begun if until is None else begun & (step < until)
