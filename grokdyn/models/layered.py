"""What networks of layers have in common: a norm and dropout around every activation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.activations import ACTIVATIONS
from grokdyn.models.base import Model
from grokdyn.models.dropout import Dropout
from grokdyn.models.norms import Statistics, batch_norm, row_norm
from grokdyn.models.output import Mode, Params
from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Number, Optional
from grokdyn.tasks.signature import Signature

NORMS = ("none", "batch", "layer", "rms")
PLACES = ("before", "after")


class Layered(Model):
    """Base: hidden layers z -> phi(z) with a norm before or after phi, and dropout before or after it.

    A norm has parameters ``scale_l`` and, but for ``rms``, ``shift_l`` of hidden layer l, from 1 and 0. Batch norm
    carries ``mean_l`` and ``variance_l``, from 0 and 1, by which it is measured; in training a row sees the others.
    Where a norm and dropout are at one place, the norm comes first. A bias right before batch norm has no effect in
    training, and a gradient of rounding, of which Adam makes whole steps in float32: leave it out (``bias = false``).
    """

    norm: str = field(Choice(NORMS), default="none", doc="of every hidden layer", kw_only=True)
    norm_at: str = field(Choice(PLACES), default="before", doc="where it is: before phi or after it", kw_only=True)
    norm_eps: float = field(Number(0), default=1e-5, doc="added to the variance", kw_only=True)
    norm_momentum: float = field(Number(0, 1), default=0.1, doc="of the running statistics", kw_only=True)
    ghost: int | None = field(
        Optional(Count(2)), default=None, doc="rows that batch norm takes together; none: all of a batch", kw_only=True
    )
    dropout: float = field(
        Number(0, 1, open_high=True), default=0.0, doc="share of a hidden layer dropped in training", kw_only=True
    )
    dropout_at: str = field(Choice(PLACES), default="after", doc="where it drops: before phi or after", kw_only=True)

    takes_mode = True

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.norm == "none":
            yield from ((name, "there is no norm") for name in ("norm_at", "norm_eps"))
        if self.norm != "batch":
            yield from ((name, "there is no batch norm") for name in ("norm_momentum", "ghost"))
        if self.dropout == 0:
            yield "dropout_at", "dropout is 0"

    @property
    def rows_interact(self) -> bool:
        return self.norm == "batch"

    def stochastic(self) -> Any:
        return np.asarray(self.dropout) > 0

    def units(self, signature: Signature) -> tuple[int, ...]:
        """Return the width of what is normalised in every hidden layer."""
        raise NotImplementedError

    def norm_params(self, signature: Signature, dtype: Any) -> dict[str, Any]:
        """Return the norms' parameters of step 0."""
        found: dict[str, Any] = {}
        for layer, width in enumerate(self.units(signature) if self.norm != "none" else ()):
            found[f"scale_{layer}"] = jnp.ones(width, dtype)
            if self.norm != "rms":
                found[f"shift_{layer}"] = jnp.zeros(width, dtype)
        return found

    def initial_state(self, signature: Signature, dtype: Any) -> Params:
        found = {}
        for layer, width in enumerate(self.units(signature) if self.norm == "batch" else ()):
            found |= {f"mean_{layer}": jnp.zeros(width, dtype), f"variance_{layer}": jnp.ones(width, dtype)}
        return found


class Passage:
    """One pass through the hidden layers of a ``Layered`` model: what they compute, and the state after it."""

    def __init__(self, model: Any, params: Params, mode: Mode):
        self.model, self.params, self.mode = model, params, mode
        self.drop = Dropout(model.dropout, mode.key)
        self.activations: dict[str, jax.Array] = {}
        self.state: Params = {}

    def hidden(self, z: jax.Array, layer: int, below: jax.Array | None = None) -> jax.Array:
        """Return what a hidden layer gives for its preactivations, added to what is below it, if anything."""
        pre = self.activations[f"pre_{layer}"] = self.at("before", z, layer)
        h = self.at("after", ACTIVATIONS[self.model.activation](pre), layer)
        h = self.activations[f"hidden_{layer}"] = h if below is None else below + h
        return h

    def at(self, place: str, x: jax.Array, layer: int) -> jax.Array:
        """Return x behind the norm and the dropout that are at a place."""
        model = self.model
        x = self.normed(x, layer) if model.norm != "none" and model.norm_at == place else x
        return self.drop(x, layer) if model.dropout_at == place else x

    def normed(self, x: jax.Array, layer: int) -> jax.Array:
        model = self.model
        if model.norm == "batch":
            names = f"mean_{layer}", f"variance_{layer}"
            assert self.mode.state is not None, "batch norm is passed its state"
            running = Statistics(*(self.mode.state[name] for name in names))
            x, after = batch_norm(x, running, self.mode, model.norm_eps, model.norm_momentum, model.ghost)
            self.state |= dict(zip(names, after, strict=True))
        else:
            x = row_norm(x, model.norm_eps, model.norm == "layer")
        shift = self.params.get(f"shift_{layer}")
        x = x * self.params[f"scale_{layer}"]
        return x if shift is None else x + shift
