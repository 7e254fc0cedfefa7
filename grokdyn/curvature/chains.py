"""The local learning coefficient by Langevin dynamics and Hamiltonian Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from grokdyn.curvature.hamiltonian import Energy, Point, adapted, inner, langevin_step, leapt, untuned

Gradient = Callable[[Any], tuple[jax.Array, Any]]


class Settings(NamedTuple):
    """How chains around w* are drawn; numbers may be traced.

    Attributes:
        draws, chains, burn_in: draws that count, chains, draws before those.
        step_size: epsilon of a Langevin step; a leap in place and momentum is its root.
        n_beta, localisation: U = n_beta (L - L(w*)) + localisation |w - w*|^2 / 2.
        leaps: gradients of a draw of Hamiltonian Monte Carlo; 0: plain Langevin dynamics, without Metropolis' test.
        adapts: the step comes to an acceptance of ``hamiltonian.ACCEPTED`` during the burn-in.
    """

    draws: int
    chains: int
    burn_in: int
    step_size: Any
    n_beta: Any
    localisation: Any
    leaps: int = 0
    adapts: bool = False


class Chains(NamedTuple):
    """What chains around w* say, in float64.

    Attributes:
        coefficients: n_beta (mean over draws of L(w) - L(w*)) of every chain [chains].
        rhat: split R-hat of the losses over both halves of every chain (Gelman et al. 2013): 1 where all say the same,
            above where chains differ or still drift; nan for fewer than four draws.
        virial: mean of (w - w*) . grad U over the number of weights: 1 in equilibrium whatever L is, below where chains
            still spread, above where steps are too long.
        held: localisation times the mean of |w - w*|^2, over the number of weights: how much of each weight the pull
            holds, not the loss.
        acceptance: mean probability of Metropolis' test to take a draw; nan where there is none.
        step_size: mean over chains of that in use.
        traces: n_beta (L(w) - L(w*)) of every draw [chains, draws].
    """

    coefficients: jax.Array
    rhat: jax.Array
    virial: jax.Array
    held: jax.Array
    acceptance: jax.Array
    step_size: jax.Array
    traces: jax.Array


def learning_coefficient(value_and_gradient: Gradient, params: Any, key: jax.Array, settings: Settings) -> jax.Array:
    """Return an estimate of the local learning coefficient for every chain, float64 [chains], see ``sampled``."""
    return sampled(value_and_gradient, params, key, settings).coefficients


def sampled(value_and_gradient: Gradient, params: Any, key: jax.Array, settings: Settings) -> Chains:
    """Estimate the local learning coefficient (Lau et al. 2023), and how far the estimate can be trusted.

    n_beta (mean over draws of L(w) - L(w*)) with w drawn from exp(-U) around w*. By Hamiltonian Monte Carlo (Duane et
    al. 1987; Neal 2011), see ``hamiltonian.leapt``, whose equilibrium is exact; with one leap it is the
    Metropolis-adjusted Langevin algorithm. Or by plain Langevin dynamics, w <- w - (step_size/2) grad U +
    sqrt(step_size) N(0, 1), whose equilibrium is off by a share of the step. A regular minimum of curvatures h has
    sum_i n_beta h_i / (n_beta h_i + localisation) / 2, half its dimensions without the pull, a singular one less.

    Args:
        value_and_gradient: w -> L, grad L, of the same rows wherever it is asked, so that L(w*) has no noise.
        params: w*, a tree of arrays.
    """
    draws, chains, burn_in = settings.draws, settings.chains, settings.burn_in
    energy = Energy(value_and_gradient, params, settings.n_beta, settings.localisation)
    home = energy.at(params)

    def chain(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        def move(point: Point, i: jax.Array, size: Any) -> tuple[Point, jax.Array]:
            drawn = jax.random.fold_in(key, i)
            if settings.leaps:
                return leapt(energy, point, drawn, size, settings.leaps)
            return langevin_step(energy, point, drawn, size), jnp.float64(jnp.nan)

        def tune(state: tuple[Point, Any], i: jax.Array) -> tuple[tuple[Point, Any], None]:
            point, tuning = state
            point, accepted = move(point, i, tuning.trial if settings.adapts else tuning.size)
            return (point, adapted(tuning, accepted, i) if settings.adapts else tuning), None

        tuning = untuned(settings.step_size)
        (point, tuning), _ = jax.lax.scan(tune, (home, tuning), jnp.arange(burn_in))

        def look(point: Point, i: jax.Array) -> tuple[Point, jax.Array]:
            after, accepted = move(point, i, tuning.size)
            seen = after if settings.leaps else point  # plain: a loss counts before the step that follows it
            away = jax.tree.map(jnp.subtract, seen.params, params)
            along, apart = inner(away, seen.gradient), inner(away, away)
            return after, jnp.stack([seen.loss - home.loss, along, apart, accepted])

        _, seen = jax.lax.scan(look, point, burn_in + jnp.arange(draws))
        return settings.n_beta * seen[:, 0], jnp.mean(seen[:, 1:], axis=0), tuning.size

    traces, means, sizes = jax.lax.map(chain, jax.random.split(key, chains))
    along, apart, accepted = jnp.mean(means, axis=0)
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    held = settings.localisation * apart / size
    virial = settings.n_beta * along / size + held
    return Chains(jnp.mean(traces, axis=1), split_rhat(traces), virial, held, accepted, jnp.mean(sizes), traces)


def split_rhat(values: jax.Array) -> jax.Array:
    """Return R-hat of both halves of chains of values [chains, draws]; nan for fewer than four draws.

    sqrt(((n - 1) W / n + B) / W), W the mean of the variances within halves of length n, B the variance of their
    means. Where draws are odd in number the middle one is in no half.
    """
    draws = values.shape[1]
    length = draws // 2
    if length < 2:
        return jnp.full((), jnp.nan, jnp.float64)
    halves = jnp.concatenate([values[:, :length], values[:, draws - length :]])
    within = jnp.mean(jnp.var(halves, axis=1, ddof=1))
    return jnp.sqrt((length - 1) / length + jnp.var(jnp.mean(halves, axis=1), ddof=1) / within)
