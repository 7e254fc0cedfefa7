"""Single neurons of a network of one hidden layer: how periodic each is, and what the network is without some."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.mlp import MLP
from grokdyn.probes.base import Probe, Shapes, Variable, fits_one_class
from grokdyn.probes.fourier import unit_iprs
from grokdyn.probes.residues import grid_conflicts, residues_of, sides_of
from grokdyn.probes.view import View, largest, mean
from grokdyn.spec.base import field
from grokdyn.spec.kinds import kind_of
from grokdyn.spec.rules import Count
from grokdyn.tasks.shapes import Conflicts

FITS = "a probe of other networks: this one is of an mlp with one hidden layer"
ORDERS = ("lowest first", "highest first", "random")
PRUNED = ("train", "test", "clean_rows", "corrupted_rows")


class NeuronProbe(Probe):
    """Base: probes of the neurons of an ``mlp`` with one hidden layer on the full table of residues.

    A neuron's inverse participation ratio is the mean of those of its weights to a, to b and to the classes, each
    sum_k |u_k|^4 / (sum_k |u_k|^2)^2 over frequencies 0 to p//2: 1 for a pure cosine (code of Doshi et al. 2023).
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from fits_one_class(self, shapes)
        model = shapes.experiment.model
        if not isinstance(model, MLP) or len(model.hidden) != 1:
            yield "kind", kind_of(self), FITS
        yield from grid_conflicts(shapes)

    def ratios(self, view: View) -> jax.Array:
        """Return the ratio of every neuron [neurons], float64; 0 of one whose weights are all 0."""
        return view.once("neuron iprs", lambda: neuron_iprs(view))


def neuron_iprs(view: View) -> jax.Array:
    grid = residues_of(view.experiment.task)
    assert grid is not None
    sides = sides_of(view.params, grid, None, None)
    return jnp.mean(
        jnp.stack([unit_iprs(side.of(view.params, grid.p), 2.0, "rfft") for side in sides.values()]), axis=0
    )


class NeuronIPR(NeuronProbe):
    """Histogram of the neurons' inverse participation ratios, ``neuron_ipr_count`` [neuron_ipr], bins from 0 to 1.

    The axis holds the middle of every bin. Of a network with a norm also ``norm_scale`` [neuron_ipr], the mean
    absolute scale of the neurons in a bin, nan where there is none.
    """

    bins: int = field(Count(2, 1000), default=20, doc="bins of equal width")

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axis = {"dims": ("neuron_ipr",), "coordinates": {"neuron_ipr": (np.arange(self.bins) + 0.5) / self.bins}}
        found = {"neuron_ipr_count": Variable("neurons", **axis)}
        if "scale_0" in shapes.params:
            found["norm_scale"] = Variable("mean scale of the norm", **axis)
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        places = jnp.clip(jnp.floor(self.ratios(view) * self.bins), 0, self.bins - 1)
        member = (places[:, None] == jnp.arange(self.bins)).astype(jnp.float64)
        count = jnp.sum(member, axis=0)
        found = {"neuron_ipr_count": count}
        if "scale_0" in view.params:
            found["norm_scale"] = jnp.abs(view.params["scale_0"]).astype(jnp.float64) @ member / count
        return found


class Pruning(NeuronProbe):
    """Accuracy without some neurons, ``pruned_<rows>_accuracy`` [pruning_order, pruned_share] (Doshi et al. 2023).

    Neurons are taken out by their inverse participation ratio from either end, and in a random order beside it, and
    nothing is trained again. Rows: ``train`` with labels as trained, ``test``; with label noise also ``clean_rows``
    and ``corrupted_rows``, the latter against the corrupted label.
    """

    steps: int = field(Count(1, 1000), default=20, doc="shares from 0 to 1, evenly spaced, less one")

    def rows(self, noisy: bool) -> tuple[str, ...]:
        return PRUNED if noisy else PRUNED[:2]

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        shares = np.arange(self.steps + 1) / self.steps
        axes = {"pruning_order": list(ORDERS), "pruned_share": shares}
        return {
            f"pruned_{rows}_accuracy": Variable(f"accuracy on {rows.replace('_', ' ')}", "1", tuple(axes), axes)
            for rows in self.rows(shapes.noisy)
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        ratios = self.ratios(view)
        neurons = ratios.shape[0]
        random = jax.random.uniform(jax.random.fold_in(view.key, 0), (neurons,))
        ranks = jnp.stack([jnp.argsort(jnp.argsort(score)) for score in (ratios, -ratios, random)])
        removed = jnp.asarray(np.round(np.arange(self.steps + 1) / self.steps * neurons), ranks.dtype)
        kept = (ranks[:, None, :] >= removed[None, :, None]).reshape(-1, neurons)
        found = jax.lax.map(lambda mask: self.accuracies(view, mask), kept)
        return {name: value.reshape(len(ORDERS), -1) for name, value in found.items()}

    def accuracies(self, view: View, mask: jax.Array) -> dict[str, jax.Array]:
        """Return the accuracies of the network with the neurons of a mask alone: without others' outgoing weights."""
        W = view.params["W_1"]
        params = view.params | {"W_1": W * mask[:, None].astype(W.dtype)}
        right = (largest(view.function(params, jnp.asarray(view.inputs))) == view.labels).astype(jnp.float32)
        corrupted = view.split.corrupted
        sets = {"train": view.train, "test": view.test}
        if view.noisy:
            sets |= {"clean_rows": view.train & ~corrupted, "corrupted_rows": corrupted}
        return {f"pruned_{name}_accuracy": mean(right, rows) for name, rows in sets.items()}
