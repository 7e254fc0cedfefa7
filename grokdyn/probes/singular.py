"""How singular the minimum is that a network sits in."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from grokdyn.curvature.sgld import langevin
from grokdyn.models.output import Params
from grokdyn.probes.base import Probe, Shapes, Variable, fits_all
from grokdyn.probes.curvature import ritz_values
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Number, Optional

NOISE = 2
# A step of the stiffest direction, as part of its distance from where the drift is 0: a bias of a twentieth there.
STRIDE = 0.1
# Products of the Hessian with a vector for the largest curvature, as many as Sharpness takes by default.
ITERATIONS = 10


class LearningCoefficient(Probe):
    """Local learning coefficient of the train loss, by Langevin dynamics (Lau et al. 2023), see ``curvature.sgld``.

    ``llc``: the mean over chains, ``llc_error``: its standard error. The loss is the mean over all train rows that is
    recorded as ``train_loss``, without dropout. n_beta is explicit: the number of train rows over the temperature, by
    which the loss is multiplied. Costs chains * (burn_in + draws) gradients.

    Three variables say whether to trust it; the error alone does not, as all chains begin at the same point.
    ``llc_rhat``: split R-hat of the chains' losses, near 1 where they agree and drift no more; above 1.2, say, take
    more steps. ``llc_virial``: the mean of (w - w*) . grad U over the number of weights, 1 in equilibrium; well below 1
    the chains still spread and ``llc`` is too small, above 1 the step is too long. ``llc_held``: how much of a weight
    the localisation holds, the mean over weights; for a minimum with curvatures h, llc is the sum of n_beta h /
    (n_beta h + localisation) / 2, less than half the number of weights by that share.

    The default step is 0.2 / (n_beta h + localisation), h the largest |curvature| at the parameters in view, from ten
    products with the Hessian: a tenth of what the drift of the stiffest direction allows.
    """

    conflicts = fits_all
    draws: int = field(Count(1, 10**6), default=400, doc="steps of a chain that count")
    chains: int = field(Count(2, 10_000), default=4, doc="independent chains")
    burn_in: int = field(Count(0, 10**6), default=200, doc="steps of a chain before those")
    step_size: float | None = field(
        Optional(Number(0, open_low=True)), default=None, doc="epsilon, of the Langevin step; none: by the curvature"
    )
    n_beta: float = field(Number(0, open_low=True), default=100.0, doc="what multiplies the loss")
    localisation: float = field(Number(0), default=1.0, doc="gamma, pull back to the parameters in view")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "llc": Variable("local learning coefficient"),
            "llc_error": Variable("standard error of the local learning coefficient"),
            "llc_rhat": Variable("R-hat of the local learning coefficient's chains"),
            "llc_virial": Variable("virial of the local learning coefficient's chains, 1 in equilibrium"),
            "llc_held": Variable("share of a weight held by the localisation"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        share = view.loss_of_objective

        def value_and_gradient(params: Params) -> tuple[jax.Array, Params]:
            terms, gradient = view.terms_and_gradient_at(params)
            return share * jnp.sum(terms, dtype=jnp.float64), jax.tree.map(
                lambda g: g * share.astype(g.dtype), gradient
            )

        found = langevin(
            value_and_gradient,
            view.params,
            jax.random.fold_in(view.key, NOISE),
            self.draws,
            self.chains,
            self.burn_in,
            self.step(view),
            self.n_beta,
            self.localisation,
        )
        error = jnp.std(found.coefficients, ddof=1) / jnp.sqrt(jnp.float64(self.chains))
        return {
            "llc": jnp.mean(found.coefficients),
            "llc_error": error,
            "llc_rhat": found.rhat,
            "llc_virial": found.virial,
            "llc_held": found.held,
        }

    def step(self, view: View) -> Any:
        """Return epsilon: what was asked for, or that of the stiffest direction."""
        if self.step_size is not None:
            return self.step_size
        curvature = view.loss_of_objective * jnp.max(jnp.abs(ritz_values(view, ITERATIONS)))
        return 2 * STRIDE / (self.n_beta * curvature + self.localisation)
