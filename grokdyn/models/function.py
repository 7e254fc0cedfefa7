"""The function that is trained: a model's network, or one of the lazy functions that are made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.layers import Layer
from grokdyn.models.output import MEASURED, Mode, Output, Params
from grokdyn.tasks.shapes import Shapes


@dataclass(frozen=True)
class Function:
    """What is trained, measured and probed, as a function of the parameters w.

    With f the logits of the model's ``apply`` times ``output_scale``, and f_0 those at w_0, the parameters of step 0:
    f; f - f_0 where the model is ``centred``; f_0 + (df_0/dw) (w - w_0) where it is ``linearised``, without f_0 where
    it is both. ``rescaled`` divides what training descends by output_scale^2. Nothing else reads these four fields.

    Attributes:
        first: w_0, where the function is ``anchored`` to it.
        state: what the model carries beside its parameters at present.
        moves: bool like the parameters: the function does not depend on the other entries, as far as any derivative
            tells; None: on all.
    """

    model: Any
    first: Params | None = None
    state: Params | None = None
    moves: Params | None = None

    @property
    def anchored(self) -> bool:
        """Whether the function depends on the parameters of step 0."""
        return self.model.centred or self.model.linearised

    def network(self, params: Params, inputs: jax.Array, mode: Mode = MEASURED) -> Output:
        """Return the output of the network itself: its logits times ``output_scale``, its activations.

        Args:
            params: or what ``prepare`` made of them.
        """
        model = self.model
        mode = mode._replace(state=self.state)
        more = (mode,) if model.takes_mode else () if mode.key is None else (mode.key,)
        found = Output(*model.apply(self.held(params), inputs, *more))
        return found._replace(logits=found.logits * jnp.asarray(model.output_scale, found.logits.dtype))

    def held(self, params: Params) -> Params:
        """Return the parameters as they are, with no derivative by those that do not move."""
        if self.moves is None:
            return params
        return jax.tree.map(lambda m, w: jnp.where(m, w, jax.lax.stop_gradient(w)), self.moves, params)

    def output(
        self, params: Params, inputs: jax.Array, mode: Mode = MEASURED, offset: jax.Array | None = None
    ) -> Output:
        """Return the output with the logits as the loss sees them; of a linearised function there is nothing else.

        Args:
            offset: what ``offset`` returned for these inputs, if that was computed before.
        """
        if self.model.linearised:
            return Output(self.expansion(params, inputs, mode), {})
        found = self.network(params, inputs, mode)
        offset = self.offset(inputs) if offset is None else offset
        return found if offset is None else found._replace(logits=found.logits - offset)

    def __call__(self, params: Params, inputs: jax.Array) -> jax.Array:
        """Return the logits as they are measured [rows, outputs]."""
        return self.output(params, inputs).logits

    def expansion(self, params: Params, inputs: jax.Array, mode: Mode) -> jax.Array:
        """Return the logits to first order around the parameters of step 0."""
        return self.of(lambda w: self.network(w, inputs, mode).logits)(params)

    def of(self, part: Callable[[Params], Any]) -> Callable[[Params], Any]:
        """Return what a part of the network that is linear in f, such as a coefficient of it, is of this function."""
        first, model = self.first, self.model
        if not self.anchored:
            return part
        assert first is not None

        def expanded(params: Params) -> Any:
            start, change = jax.jvp(part, (first,), (jax.tree.map(jnp.subtract, params, first),))
            return change if model.centred else jax.tree.map(jnp.add, start, change)

        return expanded if model.linearised else lambda params: jax.tree.map(jnp.subtract, part(params), part(first))

    def offset(self, inputs: jax.Array) -> jax.Array | None:
        """Return f_0 on inputs where it is subtracted, else nothing."""
        if self.model.linearised or not self.model.centred:
            return None
        assert self.first is not None
        return self.network(self.first, inputs).logits

    def at(self, first: Params) -> Function:
        """Return the same function for other parameters of step 0."""
        return replace(self, first=first)

    def prepared(self, params: Params, signature: Any, rows: int, mode: Mode) -> Any:
        """Return what training passes in place of the parameters on so many rows, made once a step."""
        held = self.held(params)
        if self.anchored or mode.key is not None:
            return held
        return self.model.prepare(held, signature, rows)

    @property
    def rescaling(self) -> Any:
        """What the loss is divided by to have what training descends: output_scale^2 where rescaled, else 1."""
        return self.model.output_scale**2 if self.model.rescaled else 1

    def objective(self, losses: jax.Array) -> jax.Array:
        """Return terms of a loss as training descends them."""
        return losses / jnp.asarray(self.rescaling, losses.dtype) if self.model.rescaled else losses

    def tangent(self, params: Params) -> Params:
        """Return where the network is to be differentiated for the derivative of the function at some parameters."""
        if not self.model.linearised:
            return params
        assert self.first is not None
        return self.first

    def linear_layers(self, params: Params, inputs: jax.Array, combinations: jax.Array) -> list[Layer] | None:
        """Return the network's linear layers, see ``Model.linear_layers``, for combinations of its scaled logits."""
        if self.moves is not None:
            return None
        scaled = combinations * jnp.asarray(self.model.output_scale, combinations.dtype)
        return self.model.linear_layers(params, inputs, scaled)


def first_function(shapes: Shapes) -> Function:
    """Return the network of an experiment with the state of step 0, for the shapes of what it computes."""
    model = shapes.experiment.model
    return Function(model, state=model.initial_state(shapes.signature, shapes.experiment.dtype))
