"""Which classes a network predicts on fixed rows."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.probes.base import Variable
from grokdyn.probes.subset import SubsetProbe
from grokdyn.probes.view import View
from grokdyn.tasks.shapes import Conflicts, Shapes, needs_classes


class Predictions(SubsetProbe):
    """Predicted classes of single rows, on an axis ``row`` from 0 to ``rows`` - 1, for ``analysis.agreement``.

    ``prediction``: the class of the largest logit, the first of several; nan where a logit is nan. ``row_label``: the
    label without noise. ``row_trained``: 1 for a train row, else 0.

    Runs are compared on rows that they share. Those of ``part = "table"``, or of a part that the task names, are the
    same in every run of an enumerated task. Those of ``train`` and ``test`` are the same in runs that share the stream
    ``seeds.split`` and the number of train rows, and so is which rows train; runs then differ by their other streams.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from needs_classes(shapes, "a probe that needs no classes")
        yield from super().conflicts(shapes)

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        axis = {"dims": ("row",), "coordinates": {"row": np.arange(self.rows)}}
        return {
            "prediction": Variable("predicted class", **axis),
            "row_label": Variable("label of a row", **axis),
            "row_trained": Variable("whether a row trains", **axis),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        places = self.index(view)
        found = view.predictions[places]
        known = found < view.logits.shape[-1]
        return {
            "prediction": jnp.where(known, found.astype(jnp.float32), jnp.float32(jnp.nan)),
            "row_label": jnp.asarray(view.clean_labels)[places].astype(jnp.float32),
            "row_trained": view.train[places].astype(jnp.float32),
        }
