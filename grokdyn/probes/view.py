"""What probes look at: one network at one step, each derived quantity computed at most once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.base import Output, Params
from grokdyn.tasks.split import Split, train_mask


class View:
    """One network at one step, traced. Nothing is computed until a probe reads it.

    Attributes:
        experiment: the description, its numbers traced.
        inputs: the whole table's inputs.
        clean_labels: the table's labels without noise.
        split: order, number of train rows, labels as trained, corrupted rows.
        params: parameters after ``step`` updates; ``initial_params``: those of step 0, for a
            probe that says ``needs_initial_params``.
        rows: the train rows alone (index, inputs, labels, counts), padded; ``counts`` marks the real ones.
        step: int32.
        key: a key of the run's probe stream for this step.
    """

    def __init__(
        self,
        experiment: Any,
        table: Any,
        split: Split,
        params: Params,
        initial_params: Params | None,
        step: jax.Array,
        key: jax.Array,
        gradient: Any,
        update: Any,
        noisy: bool,
        rows: Any,
    ):
        self.experiment = experiment
        self.inputs, self.clean_labels = table
        self.split = split
        self.params = params
        self.initial_params = initial_params
        self.step = step
        self.key = key
        self.noisy = noisy
        self.rows = rows
        self._gradient = gradient
        self._update = update

    @cached_property
    def output(self) -> Output:
        """Logits and activations on the whole table; the one forward pass of a record."""
        return self.experiment.model.forward(self.params, self.inputs)

    @property
    def logits(self) -> jax.Array:
        """Logits [rows, outputs]."""
        return self.output.logits

    @cached_property
    def train_logits(self) -> jax.Array:
        """Logits of the train rows alone [train rows, outputs], padded as ``rows`` is."""
        return self.logits[self.rows.index]

    @property
    def labels(self) -> jax.Array:
        """Labels [rows] as trained."""
        return self.split.labels

    @cached_property
    def train(self) -> jax.Array:
        """Bool [rows]: the train rows."""
        return train_mask(self.split.order, self.split.n_train)

    @property
    def test(self) -> jax.Array:
        """Bool [rows]: the test rows."""
        return ~self.train

    @cached_property
    def loss(self) -> Any:
        """The loss in force at this step."""
        return self.experiment.loss.in_force(self.step)

    @cached_property
    def row_losses(self) -> jax.Array:
        """Loss of every row [rows]."""
        return self.loss.rows(self.logits, self.labels)

    @cached_property
    def predictions(self) -> jax.Array:
        """Class of the largest logit [rows]."""
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)

    @cached_property
    def gradient(self) -> Params:
        """Gradient of the training loss at ``params``, over all train rows and without dropout."""
        return self._gradient(self.params)

    @cached_property
    def update(self) -> Params:
        """What the optimizer would add to ``params`` now."""
        return self._update(self.gradient)


def mean(values: jax.Array, rows: jax.Array) -> jax.Array:
    """Return the float64 mean of values [rows] over the marked rows; nan where none is marked."""
    total = jnp.sum(jnp.where(rows, values, jnp.zeros((), values.dtype)), dtype=jnp.float64)
    return total / jnp.sum(rows)
