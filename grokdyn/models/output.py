"""What goes into a forward pass beside parameters and inputs, and what comes out of it."""

from __future__ import annotations

from typing import NamedTuple

import jax

Params = dict[str, jax.Array]


class Output(NamedTuple):
    """What a forward pass gives.

    Attributes:
        logits: [rows, outputs], or [rows, answers, outputs] of a model that reads out several tokens.
        activations: named inner values for probes; computed only where something reads them.
        state: what the model carries to the next update, by name; None: what it had.
        penalty: a number that joins the mean loss of these rows in training, of a model that is ``penalised``.
    """

    logits: jax.Array
    activations: dict[str, jax.Array]
    state: Params | None = None
    penalty: jax.Array | None = None


class Mode(NamedTuple):
    """How a forward pass is made; by default as a network is measured, PyTorch's ``eval()``.

    Attributes:
        training: whether it is one of training, in which batch statistics are those of these rows.
        key: what training draws from, such as dropout; None where nothing is to be drawn.
        state: what the model carries beside its parameters, see ``Model.initial_state``.
        counts: bool [rows], the rows that are no padding; None: all.
    """

    training: bool = False
    key: jax.Array | None = None
    state: Params | None = None
    counts: jax.Array | None = None


MEASURED = Mode()
