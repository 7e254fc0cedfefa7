"""How the neurons of a two-layer network lie to the means of clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.fixed_readout import FixedReadout
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.view import View
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Flag
from grokdyn.tasks.xor_clusters import XorClusters

SIDES = ("own", "other")


class ClusterFeatures(Probe):
    """Products and cosines of neurons w_j with the clusters' means, and how training amplifies them (Frei et al. 2022).

    A neuron's own mean is that of the clusters of the class that it votes for: mu_0 where b_j > 0, see
    ``FixedReadout``. ``cluster_amplification`` [side]: root mean square over neurons of <w_j, mu>, over that of step 0,
    for the own and the other mean. ``own_feature_share``: share of neurons whose |<w_j, mu>| is larger for their own
    mean. ``mean_own_cosine``: mean of |cos(w_j, mu)| for their own. ``per_neuron`` adds ``neuron_mean_product``
    <w_j, mu> and ``neuron_mean_cosine`` [neuron, cluster_mean], and ``neuron_vote`` b_j sqrt(M) [neuron].

    Where the task is ``reduced``, the squared length of a neuron counts in expectation the coordinates that were left
    out, in which it never moves: (p - width) init_scale^2, exact to a share of sqrt(2 / p).
    """

    per_neuron: bool = field(Flag(), default=False, doc="record every single neuron too")

    needs_initial_params = True

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        model, task = shapes.experiment.model, shapes.experiment.task
        if not isinstance(model, FixedReadout) or not isinstance(task, XorClusters):
            yield "kind", Words("cluster_features"), "another probe, or fixed_readout on xor_clusters"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        found = {
            "cluster_amplification": Variable(
                "size of products with means, over that of step 0", dims=("side",), coordinates={"side": SIDES}
            ),
            "own_feature_share": Variable("share of neurons along their own mean"),
            "mean_own_cosine": Variable("mean |cosine| of neurons with their own mean"),
        }
        if self.per_neuron:
            neurons = {"neuron": np.arange(shapes.params["W"].shape[1])}
            both = {**neurons, "cluster_mean": np.arange(2)}
            found |= {
                "neuron_mean_product": Variable("product of a neuron and a mean", dims=tuple(both), coordinates=both),
                "neuron_mean_cosine": Variable("cosine of a neuron and a mean", dims=tuple(both), coordinates=both),
                "neuron_vote": Variable("sign of a neuron's readout", dims=("neuron",), coordinates=neurons),
            }
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        assert view.initial_params is not None
        model, task = view.experiment.model, view.experiment.task
        now, first = (params["W"].astype(jnp.float64) for params in (view.params, view.initial_params))
        vote = jnp.sign(model.votes(now.shape[1]))
        own, other = sides(now, vote)
        left_out = (task.dimension - task.width) * jnp.square(jnp.asarray(model.init_scale, jnp.float64))
        length = jnp.sqrt(jnp.sum(jnp.square(now), axis=0) + left_out)
        grown = [rms(at) / rms(began) for at, began in zip((own, other), sides(first, vote), strict=True)]
        found = {
            "cluster_amplification": jnp.stack(grown),
            "own_feature_share": jnp.mean(jnp.abs(own) > jnp.abs(other)),
            "mean_own_cosine": jnp.mean(jnp.abs(own) / length),
        }
        if self.per_neuron:
            found |= {
                "neuron_mean_product": (now[:2] * task.mean_norm).T,
                "neuron_mean_cosine": (now[:2] / length).T,
                "neuron_vote": vote,
            }
        return found


def sides(W: jax.Array, vote: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the numbers of every neuron along its own and along the other mean [M], of weights [D, M]."""
    return jnp.where(vote > 0, W[0], W[1]), jnp.where(vote > 0, W[1], W[0])


def rms(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(x)))
