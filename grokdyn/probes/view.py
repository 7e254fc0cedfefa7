"""What probes look at: one network at one step, each derived quantity computed at most once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.losses.base import of_rows
from grokdyn.models.function import Function
from grokdyn.models.output import Mode, Output, Params
from grokdyn.tasks.parts import parts_of
from grokdyn.tasks.signature import DIVIDED
from grokdyn.tasks.split import Split, train_mask

# A table of up to so many tiles is measured in one piece.
WHOLE = 4
# What is cached of the table whichever rows of it train; all else that is cached is of those.
OF_THE_TABLE = ("output", "by_row", "row_losses", "predictions", "loss")


class View:
    """One network at one step, traced. Nothing is computed until a probe reads it.

    Attributes:
        experiment: the description, its numbers traced.
        inputs: the whole table's inputs.
        clean_labels: the table's labels without noise.
        split: order, number of train rows, labels as trained, corrupted rows.
        params: parameters after ``step`` updates; ``initial_params``: those of step 0, for a
            probe that says ``needs_initial_params``.
        function: (params, inputs) -> logits as the loss sees them, with what the model carries at present; see
            ``models.function.Function``.
        tile: rows whose activations are alive together.
        rows: the train rows alone (index, inputs, labels, counts), padded; ``counts`` marks the real ones. Of an
            ``endless`` task they are those of the next update, which stand behind the rows of the table: the train loss
            is what that update descends, the gradient is its gradient, and the whole table tests.
        step: int32.
        terms_and_gradient_at: params -> the terms whose sum is what the training gradient is of, over all train rows
            and without dropout, and that gradient; see ``loss_of_objective``.
        optimizer_state: that of the optimizer's transform.
        key: a key of the run's probe stream for this step; ``table_key``: that from which the run's own table was
            drawn.
    """

    def __init__(
        self,
        experiment: Any,
        table: Any,
        split: Split,
        params: Params,
        initial_params: Params | None,
        function: Function,
        step: jax.Array,
        key: jax.Array,
        table_key: jax.Array,
        terms_and_gradient: Callable[[Params], tuple[jax.Array, Params]],
        optimizer_state: Any,
        ahead: Callable[[Params], tuple[Params, Callable[[], Params]]],
        noisy: bool,
        rows: Any,
        tile: int,
        transformed: Callable[[], Any],
        chosen: Callable[[], jax.Array],
        others: Callable[[jax.Array], tuple[Any, Callable[[Params], tuple[jax.Array, Params]]]],
    ):
        self.experiment = experiment
        self.inputs, self.clean_labels = table
        self.split = split
        self.params = params
        self.initial_params = initial_params
        self.function = function
        self.step = step
        self.key = key
        self.table_key = table_key
        self.noisy = noisy
        self.rows = rows
        self.tile = tile
        self.terms_and_gradient_at = terms_and_gradient
        self.optimizer_state = optimizer_state
        self._known: dict[Any, Any] = {}
        self._ahead = ahead
        self._transformed, self._chosen, self._others = transformed, chosen, others

    def once(self, name: Any, make: Callable[[], Any]) -> Any:
        """Return what ``make`` gives, made when it is first asked for under this name."""
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]

    def apart(self) -> View:
        """Return the same view, which knows what this one does; what it computes from now on is its own."""
        other = copy(self)
        other._known = dict(self._known)
        return other

    def over(self, places: jax.Array) -> View:
        """Return the view that there would be were the rows at these places of the table those that train [rows].

        Its ``rows`` and the gradient are of them, without transforms; the whole table is as it is.
        """
        other = copy(self)
        cached = [
            name for one in type(self).__mro__ for name, it in vars(one).items() if isinstance(it, cached_property)
        ]
        for name in {*cached} - {*OF_THE_TABLE}:
            vars(other).pop(name, None)
        other.rows, other.terms_and_gradient_at = self._others(places)
        other.split = self.split._replace(n_train=jnp.int32(places.shape[0]))
        vars(other)["train"] = jnp.zeros(self.labels.shape[:1], bool).at[places].set(True)
        other._known = {}
        return other

    @cached_property
    def output(self) -> Output:
        """Logits and activations on the whole table at once, for a probe that reads activations."""
        found = self.function.network(self.params, self.inputs)
        anchored = self.function.anchored
        return found._replace(logits=self.function(self.params, self.inputs)) if anchored else found

    @cached_property
    def penalty(self) -> jax.Array:
        """What the model adds to the mean loss over the train rows, as it is measured."""
        found = self.function.network(self.params, self.rows.inputs, Mode(counts=self.rows.counts)).penalty
        assert found is not None, "the model is not penalised"
        return found

    @property
    def logits(self) -> jax.Array:
        """Logits [rows, outputs], or [rows, answers, outputs]."""
        return self.by_row[0]

    @cached_property
    def by_row(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Logits, losses and predictions of every row, tile after tile, so that activations stay in cache."""

        def of(part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            logits = self.function(self.params, part[0])
            return logits, of_rows(self.loss, logits, part[1], self.targets), largest(logits)

        return by_tiles(of, (self.inputs, self.labels), self.tile)

    def losses_at(self, params: Params, inputs: jax.Array, labels: jax.Array) -> jax.Array:
        """Return the losses of rows at other parameters [rows], as they are measured."""

        def of(part: tuple[jax.Array, jax.Array]) -> jax.Array:
            return of_rows(self.loss, self.function(params, part[0]), part[1], self.targets)

        return by_tiles(of, (inputs, labels), self.tile)

    @cached_property
    def train_logits(self) -> jax.Array:
        """Logits of the train rows alone [train rows, outputs], padded as ``rows`` is."""
        return self.logits[self.rows.index]

    @property
    def labels(self) -> jax.Array:
        """Labels [rows], or [rows, answers], as trained."""
        return self.split.labels

    @cached_property
    def train(self) -> jax.Array:
        """Bool [rows]: the train rows."""
        return train_mask(self.split.order, self.split.n_train)

    @property
    def test(self) -> jax.Array:
        """Bool [rows]: the test rows, of the pool that the train fraction divides or of a part of that name."""
        known, out = parts_of(self.experiment.task), self.split.left_out
        found = ~self.train if known.whole else ~self.train & self.of_table(known.held_out())
        return found if out is None else found & ~out

    @cached_property
    def parts(self) -> dict[str, jax.Array]:
        """Name -> bool [rows]: the rows of every part; train and test first, then those that the task names."""
        known = parts_of(self.experiment.task)
        named = {name: self.of_table(known.mask(name)) for name in known.names if name not in DIVIDED}
        return {"train": self.train, "test": self.test, **named}

    def of_table(self, mask: np.ndarray) -> jax.Array:
        """Return marks of the table's rows as marks of all rows that are seen; fresh ones behind them have none."""
        return jnp.pad(jnp.asarray(mask), (0, self.labels.shape[0] - len(mask)))

    @cached_property
    def loss(self) -> Any:
        """The loss in force at this step."""
        return self.experiment.loss.in_force(self.step)

    @cached_property
    def loss_of_objective(self) -> jax.Array:
        """The recorded train loss, and penalty, over what the training gradient is of, float64.

        1 but for sums and rescaling.
        """
        n = self.split.n_train
        return jnp.asarray(self.loss.divisor(n), jnp.float64) / n * self.function.rescaling

    @cached_property
    def row_losses(self) -> jax.Array:
        """Loss of every row [rows]."""
        return self.by_row[1]

    @cached_property
    def predictions(self) -> jax.Array:
        """Class of the largest logit [rows], or [rows, answers]."""
        return self.by_row[2]

    @property
    def targets(self) -> Any:
        """The targets of the task's signature."""
        return self.experiment.task.signature().targets

    def right(self, labels: jax.Array) -> jax.Array:
        """Return whether the predictions of a row are its labels, all that it asks for: bool [rows]."""
        same = self.predictions == labels
        if self.targets.partial:
            same = same | (labels < 0)
        return same if same.ndim == 1 else jnp.all(same, axis=-1)

    @cached_property
    def transformed(self) -> Any:
        """The rows, as ``rows``, and their weights, that the next update descends on, as the transforms make them."""
        return self._transformed()

    @cached_property
    def row_weights(self) -> jax.Array:
        """Weights of the train rows alone by the transforms that choose, float64, padded as ``rows`` is."""
        return self._chosen()

    @cached_property
    def gradient(self) -> Params:
        """The training gradient at ``params``, over all train rows and without dropout."""
        return self.gradient_at(self.params)

    def gradient_at(self, params: Params) -> Params:
        """Return the same at other parameters."""
        return self.terms_and_gradient_at(params)[1]

    @cached_property
    def update(self) -> Params:
        """What the optimizer would add to ``params`` now."""
        return self._updates[0]

    @cached_property
    def update_after(self) -> Params:
        """What it would add at the next step; of an endless task over the same rows."""
        return self._updates[1]()

    @cached_property
    def _updates(self) -> tuple[Params, Callable[[], Params]]:
        return self._ahead(self.gradient)


def by_tiles(of: Callable[[Any], Any], arrays: Any, tile: int) -> Any:
    """Return what a function makes of arrays [rows, ...], row by row; of many rows tile after tile."""
    rows = jax.tree.leaves(arrays)[0].shape[0]
    if rows <= WHOLE * tile:
        return of(arrays)
    tiles = -(-rows // tile)
    parts = jax.tree.map(lambda x: in_tiles(jnp.asarray(x), tiles, tile), arrays)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:rows], jax.lax.map(of, parts))


def in_tiles(x: jax.Array, tiles: int, tile: int) -> jax.Array:
    """Return rows in tiles [tiles, tile, ...]; the last is filled up with copies of the first row."""
    filling = jnp.broadcast_to(x[:1], (tiles * tile - x.shape[0], *x.shape[1:]))
    return jnp.concatenate([x, filling]).reshape(tiles, tile, *x.shape[1:])


def largest(logits: jax.Array) -> jax.Array:
    """Return the first class of the largest logit [rows], int32; beyond all classes where a logit is nan.

    As ``argmax``, whose reduction over pairs XLA does not vectorise on a CPU.
    """
    classes = jnp.arange(logits.shape[-1], dtype=jnp.int32)
    top = jnp.max(logits, axis=-1, keepdims=True)
    return jnp.min(jnp.where(logits == top, classes, jnp.int32(logits.shape[-1])), axis=-1)


def mean(values: jax.Array, rows: jax.Array) -> jax.Array:
    """Return the float64 mean of values [rows] over the marked rows; nan where none is marked. Raises nothing."""
    total = jnp.sum(jnp.where(rows, values, jnp.zeros((), values.dtype)), dtype=jnp.float64)
    return total / jnp.sum(rows)


def means(values: jax.Array, parts: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Return ``mean`` over the rows of every part, by its name: one sum over all, and one of their counts."""
    rows = jnp.stack([*parts.values()])
    total = jnp.sum(jnp.where(rows, values, jnp.zeros((), values.dtype)), axis=1, dtype=jnp.float64)
    return dict(zip(parts, total / jnp.sum(rows, axis=1, dtype=jnp.float64), strict=True))
