"""How singular the minimum is that a network sits in."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.curvature.chains import Chains, Settings, sampled
from grokdyn.models.output import Params
from grokdyn.probes.base import Probe, Shapes, Variable, fits_all
from grokdyn.probes.curvature import ritz_values
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.rules import Count, Flag, Number, Optional

NOISE = 2
# A step of the stiffest direction, as part of its distance from where the drift is 0: a bias of a twentieth there.
STRIDE = 0.1
# Products of the Hessian with a vector for the largest curvature, as many as Sharpness takes by default.
ITERATIONS = 10
# R-hat up to which chains are taken to say the same.
AGREED = 1.1


class LearningCoefficient(Probe):
    """Local learning coefficient of the train loss (Lau et al. 2023), by Hamiltonian Monte Carlo: ``curvature.chains``.

    ``llc``: the mean over chains, ``llc_error``: its standard error. The loss is the mean over all train rows that is
    recorded as ``train_loss``, without dropout, at w* as in the chains: it has no noise that all chains would share.
    n_beta is explicit: the number of train rows over the temperature, by which the loss is multiplied. Costs
    chains * (burn_in + draws) * leaps gradients.

    What says whether to trust it; the error alone does not, as all chains begin at the same point. ``llc_rhat``: split
    R-hat of the chains' losses, near 1 where they agree and drift no more; ``gd.run`` warns where it is above 1.1.
    ``llc_virial``: the mean of (w - w*) . grad U over the number of weights, 1 in equilibrium; well below 1 the chains
    still spread and ``llc`` is too small. ``llc_held``: how much of a weight the localisation holds, the mean over
    weights; for a minimum with curvatures h, llc is the sum of n_beta h / (n_beta h + localisation) / 2, less than half
    the number of weights by that share. ``llc_acceptance``: of Metropolis' test, tuned to .8 in the burn-in;
    ``llc_step_size``: what that came to. ``llc_lowest``: the lowest of all draws of n_beta (L - L(w*)); below 0 by more
    than rounding, w* is no minimum and ``llc`` is too small by at least as much.

    With ``traces`` also ``llc_trace`` [chain, draw], n_beta (L - L(w*)). With ``sensitivity``, for three times the
    cost, ``llc_at_half_step`` and ``llc_at_double_localisation``: the same from the same keys, at the step in use but
    for that.

    With ``leaps`` = 0 chains are plain Langevin dynamics (SGLD), without Metropolis' test, so that a step too long
    shifts the mean. The default step, or the first on trial, is 0.2 / (n_beta h + localisation), h the largest
    |curvature| at the parameters in view, from ten products with the Hessian: a tenth of what the drift of the stiffest
    direction allows. Plain chains at a minimum without curvature need a step of their own.
    """

    conflicts = fits_all
    draws: int = field(Count(1, 10**6), default=200, doc="draws of a chain that count")
    chains: int = field(Count(2, 10_000), default=4, doc="independent chains")
    burn_in: int = field(Count(0, 10**6), default=100, doc="draws of a chain before those")
    step_size: float | None = field(
        Optional(Number(0, open_low=True)),
        default=None,
        doc="epsilon, of the Langevin step; none: tuned in the burn-in",
    )
    n_beta: float = field(Number(0, open_low=True), default=1000.0, doc="what multiplies the loss")
    localisation: float = field(Number(0), default=1.0, doc="gamma, pull back to the parameters in view")
    leaps: int = field(Count(0, 10_000), default=10, doc="gradients of a draw; 0: plain Langevin steps", kw_only=True)
    traces: bool = field(Flag(), default=False, doc="the losses of all draws too", kw_only=True)
    sensitivity: bool = field(Flag(), default=False, doc="at half the step, twice the localisation too", kw_only=True)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        coefficient = "local learning coefficient"
        found = {
            "llc": Variable(coefficient),
            "llc_error": Variable(f"standard error of the {coefficient}"),
            "llc_rhat": Variable(f"R-hat of the {coefficient}'s chains", trusted_to=AGREED),
            "llc_virial": Variable(f"virial of the {coefficient}'s chains, 1 in equilibrium"),
            "llc_held": Variable("share of a weight held by the localisation"),
            "llc_step_size": Variable(f"step of the {coefficient}'s chains"),
            "llc_lowest": Variable(f"lowest draw of the {coefficient}"),
        }
        if self.leaps:
            found["llc_acceptance"] = Variable(f"acceptance of the {coefficient}'s draws")
        if self.sensitivity:
            found["llc_at_half_step"] = Variable(f"{coefficient} at half the step")
            found["llc_at_double_localisation"] = Variable(f"{coefficient} at twice the localisation")
        if self.traces:
            axes = {"chain": np.arange(self.chains), "draw": np.arange(self.draws)}
            found["llc_trace"] = Variable(f"draws of the {coefficient}", dims=("chain", "draw"), coordinates=axes)
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        settings = self.settings(view)
        chains = self.sampled(view, settings)
        found = {
            "llc": jnp.mean(chains.coefficients),
            "llc_error": jnp.std(chains.coefficients, ddof=1) / jnp.sqrt(jnp.float64(self.chains)),
            "llc_rhat": chains.rhat,
            "llc_virial": chains.virial,
            "llc_held": chains.held,
            "llc_step_size": chains.step_size,
            "llc_lowest": jnp.min(chains.traces),
        }
        if self.leaps:
            found["llc_acceptance"] = chains.acceptance
        if self.sensitivity:
            steps, pulls = chains.step_size * jnp.array([0.5, 1.0]), settings.localisation * jnp.array([1.0, 2.0])

            def changed(numbers: tuple[jax.Array, jax.Array]) -> jax.Array:
                other = settings._replace(step_size=numbers[0], localisation=numbers[1], adapts=False)
                return jnp.mean(self.sampled(view, other).coefficients)

            found["llc_at_half_step"], found["llc_at_double_localisation"] = jax.lax.map(changed, (steps, pulls))
        return found | ({"llc_trace": chains.traces} if self.traces else {})

    def settings(self, view: View) -> Settings:
        counts = (self.draws, self.chains, self.burn_in)
        adapts = self.step_size is None and self.leaps > 0
        return Settings(*counts, self.step(view), self.n_beta, self.localisation, self.leaps, adapts)

    def sampled(self, view: View, settings: Settings) -> Chains:
        share = view.loss_of_objective

        def value_and_gradient(params: Params) -> tuple[jax.Array, Params]:
            terms, gradient = view.terms_and_gradient_at(params)
            gradient = jax.tree.map(lambda g: g * share.astype(g.dtype), gradient)
            return share * jnp.sum(terms, dtype=jnp.float64), gradient

        return sampled(value_and_gradient, view.params, jax.random.fold_in(view.key, NOISE), settings)

    def step(self, view: View) -> Any:
        """Return epsilon: what was asked for, or that of the stiffest direction."""
        if self.step_size is not None:
            return self.step_size
        curvature = view.loss_of_objective * jnp.max(jnp.abs(ritz_values(view, ITERATIONS)))
        return 2 * STRIDE / (self.n_beta * curvature + self.localisation)
