"""What every model offers to the training kernel and to the probes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.models.draws import together
from grokdyn.models.function import Function
from grokdyn.models.layers import Layer
from grokdyn.models.output import Mode, Output, Params
from grokdyn.spec.base import Spec, field
from grokdyn.spec.errors import SpecError
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.rules import Flag, Number
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_one_answer, needs_whole_rows
from grokdyn.tasks.signature import Signature

COUNTERPARTS = "a model with a PyTorch counterpart: mlp, cnn, encoder, transformer; or name its tensors yourself"


class Model(Spec):
    """Base of all models: a subclass writes ``initial`` and ``apply``.

    ``init_scale`` multiplies every parameter at step 0 (Liu et al. 2023, Omnigrok), ``output_scale`` multiplies the
    logits in training and measurement (the lazy/rich alpha of Chizat et al. 2019). Their lazy limit has two more
    parts: ``centred`` trains and measures f - f_0, f_0 the logits at step 0, and ``rescaled`` divides the gradient of
    the loss (and the Hessian), not the recorded loss, by output_scale^2, so that learning takes as long for every
    scale. ``linearised`` trains and measures the limit itself, the expansion to first order f_0 + (df_0/dw) (w - w_0)
    at the parameters of step 0, under whatever optimizer. ``models.function`` has what these make of the network.

    A model with ``takes_mode = True`` takes a ``Mode`` as the third argument of ``apply``: whether the pass is one of
    training, the key of what it draws, its state, and which rows are no padding. Others are given the two arguments,
    and a third one, ``key``, in training if they override ``stochastic``.
    """

    takes_mode = False

    init_scale: float = field(Number(0), default=1.0, doc="multiplies all parameters at step 0", kw_only=True)
    output_scale: float = field(Number(0), default=1.0, doc="multiplies the logits", kw_only=True)
    centred: bool = field(Flag(), default=False, doc="subtract the logits of step 0", kw_only=True)
    rescaled: bool = field(Flag(), default=False, doc="divide the gradient by output_scale^2", kw_only=True)
    linearised: bool = field(Flag(), default=False, doc="expand the network to first order at step 0", kw_only=True)

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        # Beyond these its square is 0 or infinite in float32.
        if self.rescaled and not 1e-18 <= self.output_scale <= 1e18:
            yield "output_scale", self.output_scale, "above 0 where rescaled, from 1e-18 to 1e18"
        for name in ("centred", "linearised"):
            if getattr(self, name) and (self.rows_interact or (self.penalised and self.linearised)):
                yield name, True, "false for a model whose loss in training is not a sum over single rows"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.output_scale == 1:
            yield "rescaled", "output_scale is 1"

    def conflicts(self, shapes: Shapes) -> Conflicts:
        """Yield ``(field, came, allowed)`` where the model does not fit the task; asked before it draws parameters.

        By default a model gives logits [rows, outputs]; one that reads out several answers a row overrides this.
        """
        yield from needs_one_answer(shapes, "a model")
        yield from needs_whole_rows(shapes)

    def initial(self, key: jax.Array, signature: Signature, dtype: Any) -> dict[str, Any]:
        """Return the parameters before ``init_scale``: arrays, or what they are drawn from (``draws.Draw``)."""
        raise NotImplementedError

    def initial_state(self, signature: Signature, dtype: Any) -> Params:
        """Return what the model carries beside its parameters at step 0, arrays by names that no parameter has.

        Training replaces it by the ``state`` of each update's output, which has the same names, shapes and dtypes;
        measurement reads it. No optimizer sees it. A model with a state says ``rows_interact``.
        """
        return {}

    @property
    def rows_interact(self) -> bool:
        """Whether a row's logits in training depend on the rows beside it, as with batch statistics.

        Train rows are then passed together, in no tiles; single rows have no gradients or kernel.
        """
        return False

    @property
    def penalised(self) -> bool:
        """Whether ``apply`` gives a ``penalty``, which is of all rows that are passed together."""
        return False

    def apply(self, params: Params, inputs: jax.Array) -> Output:
        """Compute logits [rows, outputs], before ``output_scale``, for tokens or vectors [rows, width].

        A third argument is what ``takes_mode`` and ``stochastic`` say.
        """
        raise NotImplementedError

    def stochastic(self) -> Any:
        """Return whether training draws random numbers (dropout), for the numbers of one run or of many at once."""
        return False

    def prepare(self, params: Params, signature: Signature, rows: int) -> Any:
        """Return what ``apply`` shall be given in training without dropout, in place of the parameters.

        It is made once a step, however many tiles the rows are taken in, and must be differentiable. The logits must be
        the same function of the parameters; activations may be left out.

        Args:
            signature: of the task whose ``rows`` train rows are passed.
        """
        return params

    def start(self, key: jax.Array, signature: Signature, dtype: Any) -> Params:
        """Draw the parameters of step 0."""
        scale = jnp.asarray(self.init_scale, jnp.float64)
        first = together(self.initial(key, signature, jnp.float64))
        return jax.tree.map(lambda w: (w * scale).astype(dtype), first)

    def forward(
        self, params: Params, inputs: jax.Array, key: jax.Array | None = None, state: Params | None = None
    ) -> Output:
        """Compute the network's output as it is measured, or with a key as it is trained; see ``Function.network``."""
        return Function(self, state=state).network(params, inputs, Mode(key is not None, key))

    def linear_layers(self, params: Params, inputs: jax.Array, combinations: jax.Array) -> list[Layer] | None:
        """Return the linear layers that hold all parameters, for tangent kernels; None for other models.

        Args:
            combinations: c [rows or 1, r, outputs], of the logits that ``apply`` gives.
        """
        return None

    def from_torch(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Return arrays under PyTorch-style names, matrices as (out, in), as this model's parameters."""
        raise SpecError("model.kind", kind_of(self), COUNTERPARTS)

    def to_torch(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return this model's parameters under PyTorch-style names, matrices as (out, in): what from_torch reads."""
        raise SpecError("model.kind", kind_of(self), COUNTERPARTS)
