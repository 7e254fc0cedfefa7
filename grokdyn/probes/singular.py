"""How singular the minimum is that a network sits in."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from grokdyn.curvature.sgld import learning_coefficient
from grokdyn.models.base import Params
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Number

NOISE = 2


class LearningCoefficient(Probe):
    """Local learning coefficient of the training loss, by Langevin dynamics (Lau et al. 2023), see ``curvature.sgld``.

    ``llc``: the mean over chains, ``llc_error``: its standard error. The loss is that of the gradient over all train
    rows. n_beta is explicit: the number of train rows over the temperature, by which the loss is multiplied. Costs
    chains * (burn_in + draws) gradients.
    """

    several_answers = True
    draws: int = field(Count(1, 10**6), default=200, doc="steps of a chain that count")
    chains: int = field(Count(2, 10_000), default=4, doc="independent chains")
    burn_in: int = field(Count(0, 10**6), default=0, doc="steps of a chain before those")
    step_size: float = field(Number(0, open_low=True), default=1e-4, doc="epsilon, of the Langevin step")
    n_beta: float = field(Number(0, open_low=True), default=100.0, doc="what multiplies the loss")
    localisation: float = field(Number(0), default=1.0, doc="gamma, pull back to the parameters in view")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "llc": Variable("local learning coefficient"),
            "llc_error": Variable("standard error of the local learning coefficient"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        def value_and_gradient(params: Params) -> tuple[jax.Array, Params]:
            terms, gradient = view.terms_and_gradient_at(params)
            return jnp.sum(terms, dtype=jnp.float64), gradient

        found = learning_coefficient(
            value_and_gradient,
            view.params,
            jax.random.fold_in(view.key, NOISE),
            self.draws,
            self.chains,
            self.burn_in,
            self.step_size,
            self.n_beta,
            self.localisation,
        )
        return {"llc": jnp.mean(found), "llc_error": jnp.std(found, ddof=1) / jnp.sqrt(jnp.float64(self.chains))}
