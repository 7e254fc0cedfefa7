"""Networks of several hidden layers that learn features, at infinite width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grokdyn.models.mlp import MLP
from grokdyn.theory.deep_mean_field import SMOOTH, Size, learning
from grokdyn.theory.lines.base import Failure, Line, not_plain_descent, train_points
from grokdyn.theory.lines.mean_field_network import gram_of, of_limit, scales_of, slope_of
from grokdyn.theory.lines.rows import Rows, metrics, rows_of
from grokdyn.theory.mean_field import Learned

SIZE = Size(units=4096, responding=128, repeats=4)
# Updates times train rows, and times all rows: half a minute on a core, and a gigabyte, beyond.
MOST_TRAIN, MOST_ROWS = 320, 2000


class DeepFeatureNetwork(Line):
    """``theory.deep_mean_field``: losses of the limit on a run's own rows; width N is off by O(1/N) on average.

    Its strength of feature learning is as in ``MeanFieldNetwork``. Laws of single layers know each other by averages at
    all steps, so that few steps at a large rate are what it is for.
    """

    name = "mean-field limit of deep networks"
    source = "Bordelon & Pehlevan 2022"
    of_streams = ("split",)

    def failures(self, experiment: Any) -> Iterator[Failure]:
        model, task = experiment.model, experiment.task
        if isinstance(model, MLP):
            if len(model.hidden) < 2:
                yield "model.kind", f"mlp with hidden = {list(model.hidden)}", "mlp with several hidden layers"
            elif len(set(model.hidden)) > 1:
                yield "model.hidden", list(model.hidden), "layers of one width"
        yield from of_limit(experiment, ("ntk", "mup"), tuple(SMOOTH))
        yield from not_plain_descent(experiment)
        rows, steps = task.signature().rows, experiment.steps
        if steps * train_points(task) > MOST_TRAIN or steps * rows > MOST_ROWS:
            most = min(MOST_TRAIN // train_points(task), MOST_ROWS // rows)
            yield "steps", steps, f"at most {most} with so many rows"

    def curves(self, experiment: Any, steps: np.ndarray) -> dict[str, np.ndarray]:
        rows = rows_of(experiment)
        return metrics(function(experiment, rows, int(steps.max()), SIZE).mean[steps], rows, experiment.loss)


def function(experiment: Any, rows: Rows, steps: int, size: Size, seed: int = 0) -> Learned:
    """Return the outputs of the limit on all rows after 0, 1, ... steps updates."""
    train, layers = rows.parts["train"], len(experiment.model.hidden)
    law = (gram_of(experiment, rows), train, slope_of(experiment.loss, rows.y[train]), rows.y.shape[1])
    return learning(*law, steps, layers, scales_of(experiment), size, seed)
