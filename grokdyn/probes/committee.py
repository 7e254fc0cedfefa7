"""The test error of the committee machine, taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.committee import Committee
from grokdyn.models.output import Params
from grokdyn.probes.base import Probe, Shapes, Variable
from grokdyn.probes.view import View
from grokdyn.tasks.multi_index import MultiIndex
from grokdyn.theory.committee import error_terms, moments

FITS = "committee on multi_index whose directions are summed, without cubic and quartic part"


class CommitteeError(Probe):
    """Exact mean squared error of a committee machine over all inputs, in three terms (Kumar et al. 2024, equation 6).

    ``committee_variance`` + ``committee_misalignment`` + ``committee_linear`` = ``population_error``, see
    ``theory.committee.error_terms``. For targets of ``multi_index`` up to the second degree, whose directions the
    probe draws again.
    """

    needs_initial_params = True

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        yield from super().conflicts(shapes)
        model, task = shapes.runs.model, shapes.runs.task
        fits = isinstance(model, Committee) and isinstance(task, MultiIndex) and task.combine == "sum"
        if not fits or np.any(task.cubic) or np.any(task.quartic):
            yield "kind", "committee_error", FITS

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        return {
            "committee_variance": Variable("variance term of the error"),
            "committee_misalignment": Variable("misalignment term of the error"),
            "committee_linear": Variable("linear term of the error"),
            "population_error": Variable("mean squared error over all inputs"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        a, A = view.function.of(partial(quadratic_form, view.function.model))(view.params)
        c, b, B = target_form(view.experiment.task, view.table_key)
        terms = error_terms(a - b, A - B, c)
        return {
            "committee_variance": terms.variance,
            "committee_misalignment": terms.misalignment,
            "committee_linear": terms.linear,
            "population_error": terms.total,
        }


def quadratic_form(model: Any, params: Params) -> tuple[jax.Array, jax.Array]:
    """Return a and A of f(x) = a . x + x^T A x / 2, in float64."""
    wbar, M = moments(params["W"].astype(jnp.float64))
    return model.output_scale * wbar, model.output_scale * model.epsilon * M


def target_form(task: Any, table_key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return c, b and B of the target c + b . x + x^T B x / 2."""
    beta = task.directions(jax.random.split(table_key)[1])
    c = task.coefficients() / jnp.sqrt(jnp.float64(task.indices))
    return c[0] * task.indices, c[1] * jnp.sum(beta, axis=1), 2 * c[2] * beta @ beta.T
