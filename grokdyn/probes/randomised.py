"""What a network still tells where some coordinates of its inputs are those of other rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.probes.base import Variable
from grokdyn.probes.subset import SubsetProbe
from grokdyn.probes.view import View, largest
from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Counts, Flag
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_classes
from grokdyn.tasks.signature import Vectors

# What is taken from other rows: nothing, the coordinates that are named, all others.
RANDOMISED = ("none", "set", "others")


class RandomisedFeatures(SubsetProbe):
    """S-randomised accuracy and area under the curve, [randomised] (Shah et al. 2020).

    The ``coordinates`` S of all rows are permuted together by one random permutation of the rows, others stay with
    their row and its label; coordinates are those before the task rotates its inputs (``Task.rotation``).
    ``randomised_accuracy``: share of right predictions with ``none``, with the ``set`` S, and with the ``others``
    permuted. ``randomised_auc``: the chance that z_1 - z_0, the difference of logits, is larger for a row of class 1
    than for one of class 0, ties by half. A network that reads S alone has 1/2 with S permuted, and with the others
    permuted what it has without.

    With ``per_row`` also ``randomised_logit`` [randomised, row], z_1 - z_0 of every row, and ``randomised_label``
    [row], for ``analysis.ensemble``. Labels are as trained. The permutation is of the run's probe stream: runs that
    share ``seeds.probe`` have the same one at a step.
    """

    coordinates: tuple[int, ...] = field(Counts(0, increasing=True), default=(0,), doc="S, counted from 0")
    per_row: bool = field(Flag(), default=False, doc="the difference of logits of every row too")

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_classes(shapes, "a probe that needs no classes")
        yield from super().conflicts(shapes)
        inputs = shapes.signature.inputs
        if not isinstance(inputs, Vectors):
            yield "kind", Words("inputs that are no vectors"), "a task of vectors, or another probe"
        elif self.coordinates[-1] >= inputs.width or len(self.coordinates) == inputs.width:
            yield "coordinates", list(self.coordinates), f"some but not all of 0 to {inputs.width - 1}"
        if shapes.signature.outputs != 2:
            yield "kind", Words(f"{shapes.signature.outputs} outputs"), "a task of two classes, or another probe"

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        sets, row = {"randomised": RANDOMISED}, {"row": np.arange(self.rows)}
        of_sets: dict[str, Any] = {"dims": ("randomised",), "coordinates": sets}
        found = {
            "randomised_accuracy": Variable("accuracy, features randomised", **of_sets),
            "randomised_auc": Variable("area under the curve, features randomised", **of_sets),
        }
        if self.per_row:
            both: dict[str, Any] = {"dims": ("randomised", "row"), "coordinates": sets | row}
            found["randomised_logit"] = Variable("difference of a row's logits", **both)
            found["randomised_label"] = Variable("label of a row", dims=("row",), coordinates=row)
        return found

    def measure(self, view: View) -> dict[str, jax.Array]:
        x, labels = jnp.asarray(self.inputs(view), view.experiment.dtype), view.labels[self.index(view)]
        W = view.experiment.task.rotation(view.table_key)
        order = jax.random.permutation(view.key, jnp.arange(self.rows, dtype=jnp.int32))
        named = np.isin(np.arange(x.shape[1]), self.coordinates)
        taken = jnp.stack([x, exchanged(x, order, named, W), exchanged(x, order, ~named, W)])
        logits = jax.lax.map(lambda x: view.function(view.params, x), taken)
        apart = logits[..., 1] - logits[..., 0]
        found = {
            "randomised_accuracy": jnp.mean((largest(logits) == labels).astype(jnp.float64), axis=-1),
            "randomised_auc": jax.vmap(lambda scores: area(scores, labels == 1))(apart),
        }
        if self.per_row:
            found |= {"randomised_logit": apart, "randomised_label": labels.astype(jnp.float32)}
        return found


def exchanged(x: jax.Array, order: jax.Array, named: np.ndarray, W: jax.Array | None) -> jax.Array:
    """Return rows [rows, width] with the named coordinates of other rows.

    Args:
        order: whose these are [rows].
        named: bool [width].
        W: orthogonal W, where the rows are W times their coordinates; None where they are the coordinates.
    """
    if W is None:
        return jnp.where(named, x[order], x)
    columns, wide = W[:, named], x.astype(W.dtype)
    z = wide @ columns
    return (wide + (z[order] - z) @ columns.T).astype(x.dtype)


def area(scores: jax.Array, positive: jax.Array) -> jax.Array:
    """Return the area under the receiver operating characteristic, float64; nan without rows of both kinds.

    The mean over pairs of a positive and another row of 1 where the positive one has the larger score, 1/2 where both
    have the same: by ranks among the sorted scores of the others. nan where a score is.

    Args:
        scores: [rows]; positive: bool [rows].
    """
    others = jnp.sort(jnp.where(positive, jnp.inf, scores))
    below, up_to = (jnp.searchsorted(others, scores, side) for side in ("left", "right"))
    wins = (below + jnp.minimum(up_to, jnp.sum(~positive))).astype(jnp.float64) / 2
    pairs = jnp.sum(positive) * jnp.sum(~positive)
    found = jnp.sum(jnp.where(positive, wins, 0.0)) / pairs
    return jnp.where(jnp.any(jnp.isnan(scores)), jnp.nan, found)
