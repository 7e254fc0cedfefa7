"""SAF: descent that also stays near what the network said of the same rows some epochs ago."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.optim.base import Wrapper, within
from grokdyn.optim.gradient import Gradient
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.rules import Count, Number
from grokdyn.tasks.shapes import Shapes, needs_classes, needs_one_answer, needs_rows_alone


class SAFState(NamedTuple):
    """What is kept: the inner optimizer's memory, and logits [epochs + 1, rows, outputs], nan where a row was not seen.

    Of the epoch k its last logits of every row are in k mod (epochs + 1).
    """

    inner: Any
    logits: jax.Array


class SAF(Wrapper):
    """Sharpness-aware training for free (Du et al. 2022): the inner optimizer on the gradient of
    mean_i [l_i + weight T^2 KL(softmax(z'_i / T) || softmax(z_i / T))].

    z_i are the present logits of row i, z'_i those that an update saw of it last in the epoch ``epochs`` before this
    one; an epoch is ``epoch`` updates: set it to train rows / batch_size for that of mini-batches. Where the row was
    not seen then, and in the first ``start`` epochs, the term is absent. Kept logits are those of the row as it is
    measured, without dropout. The term is of the same pass as the loss, so that an update counts as one gradient; what
    is kept, (epochs + 1) rows outputs numbers, costs a pass forward where the compiler does not see that it is the
    same. SAF is the outermost optimizer; SAM in it climbs along its gradient.
    """

    weight: float = field(Number(0), default=0.3, doc="of the divergence")
    temperature: float = field(Number(0, open_low=True), default=5.0, doc="T")
    epochs: int = field(Count(1, 1000), default=3, doc="how many epochs ago")
    epoch: int = field(Count(), default=100, doc="updates of an epoch")
    start: int = field(Count(0), default=5, doc="epochs without the term")

    reads_rows = True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        for name in (kind_of(one) for one in within(self.inner) if one.reads_rows):
            yield "inner", Words(f"{name} inside"), "an optimizer that reads no single rows"

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        experiment = shapes.experiment
        if type(experiment.optimizer) is not type(self):
            yield "kind", Words("saf inside of another optimizer"), "saf around it"
        if experiment.task.endless or experiment.transforms:
            yield "kind", Words("rows that are fresh or transformed"), "a table of rows that come again as they were"
        yield from needs_classes(shapes, "another optimizer")
        yield from needs_one_answer(shapes, "an optimizer")
        yield from needs_rows_alone(shapes)
        yield from super().conflicts(shapes)

    def begin(self, params: Any, rows: int, outputs: int) -> SAFState:
        dtype = jax.tree.leaves(params)[0].dtype
        return SAFState(self.inner.init(params), jnp.full((self.epochs + 1, rows, outputs), jnp.nan, dtype))

    def update(self, gradient: Gradient, params: Any, memory: SAFState) -> tuple[Any, SAFState]:
        epoch = gradient.step // self.epoch
        # The slot of the epoch that is ``epochs`` before this one comes after this one's own.
        own, past = epoch % (self.epochs + 1), (epoch + 1) % (self.epochs + 1)
        kept, weight = memory.logits[past], jnp.where(epoch >= self.start, self.weight, 0.0)

        def term(logits: jax.Array, places: jax.Array) -> jax.Array:
            return divergence(kept[places], logits, self.temperature) * weight.astype(logits.dtype)

        near = gradient.seen_through(lambda _, w: gradient.with_term(w, term))
        updates, inner = self.inner.update(near, params, memory.inner)
        logits, places = gradient.logits_of_rows(params)
        blank = gradient.step % self.epoch == 0
        present = jnp.where(blank, jnp.nan, memory.logits[own]).at[places].set(logits.astype(kept.dtype))
        return updates, SAFState(inner, memory.logits.at[own].set(present))


def divergence(past: jax.Array, logits: jax.Array, temperature: Any) -> jax.Array:
    """Return T^2 KL(softmax(past / T) || softmax(logits / T)) [rows]; 0 where the past is nan."""
    T = jnp.asarray(temperature, logits.dtype)
    known = jnp.all(jnp.isfinite(past), axis=-1)
    before = jax.nn.log_softmax(jnp.where(known[:, None], past, 0) / T, axis=-1)
    now = jax.nn.log_softmax(logits / T, axis=-1)
    apart = jnp.sum(jnp.exp(before) * (before - now), axis=-1)
    return jnp.where(known, T * T * apart, jnp.zeros((), logits.dtype))
