"""Networks that a user has written in Flax, trained as they are."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.base import Model
from grokdyn.models.output import Mode, Output, Params
from grokdyn.spec.errors import SpecError, Words
from grokdyn.tasks.signature import Signature, Tokens

PARAMS, SOWN = "params", "intermediates"
OWN_STATE = "parameters alone: a state, such as batch norm's, is that of a gd.Model with initial_state (gd.MLP, gd.CNN)"


class FlaxModel(Model):
    """Base of models that are ``flax.linen`` modules: a subclass writes ``module``.

    Parameters are named by their path, ``Dense_0.kernel``. What the module sows among its ``intermediates`` are the
    activations of probes, by their path too. A module that draws in training (``nn.Dropout``) is one of a class with
    ``draws = True``. It has no collection of variables beside its parameters; see ``Model.initial_state`` for those.
    """

    takes_mode = True
    draws = False

    def module(self, training: bool) -> Any:
        """Return the module: inputs [rows, ...] as the task's signature has them -> logits [rows, outputs].

        Args:
            training: whether the pass is one of training, in which dropout drops.
        """
        raise NotImplementedError

    def stochastic(self) -> Any:
        return self.draws

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        inputs = signature.inputs
        row = jnp.zeros((1, *inputs.shape), jnp.int32 if isinstance(inputs, Tokens) else dtype)
        variables = self.module(False).init(key, row)
        more = [name for name in variables if name not in (PARAMS, SOWN)]
        if more:
            raise SpecError("model", Words(f"{type(self).__name__}.module: {', '.join(more)}"), OWN_STATE)
        return {name: value.astype(dtype) for name, value in by_path(variables.get(PARAMS, {})).items()}

    def apply(self, params: Params, inputs: jax.Array, mode: Mode) -> Output:
        from flax import traverse_util

        if not jnp.issubdtype(inputs.dtype, jnp.integer):
            inputs = inputs.astype(next(iter(params.values())).dtype)
        nested = traverse_util.unflatten_dict(params, sep=".")
        drawn = {} if mode.key is None else {"rngs": {"dropout": mode.key}}
        logits, after = self.module(mode.training).apply({PARAMS: nested}, inputs, mutable=[SOWN], **drawn)
        # A module may sow several values under one name; the last call's counts.
        sown = {name: values[-1] for name, values in by_path(after.get(SOWN, {})).items()}
        return Output(logits, sown)


def by_path(tree: Any) -> dict[str, Any]:
    """Return the leaves of nested dicts by their path."""
    from flax import traverse_util

    return traverse_util.flatten_dict(dict(tree), sep=".")
