"""Overlaps of a soft committee machine with itself and with its teacher."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.models.soft_committee import SoftCommittee
from grokdyn.probes.base import Probe, Variable
from grokdyn.probes.view import View
from grokdyn.tasks.shapes import Conflicts, Shapes
from grokdyn.tasks.teacher_student import TeacherStudent

FITS = "soft_committee that learns from a soft_committee (teacher_student), both with output_scale 1, not centred"
DIMS = ("unit", "other_unit", "teacher_unit")


class OrderParameters(Probe):
    """Order parameters of a soft committee machine that learns from another (Saad & Solla 1995).

    ``student_overlap`` Q_ik = J_i . J_k [unit, other_unit], ``teacher_overlap`` R_in = J_i . B_n [unit, teacher_unit],
    and ``generalisation_error``, half the mean squared error over all inputs: 1/2 sum_ab s_a s_b (2/pi)
    arcsin(C_ab / sqrt((1 + C_aa)(1 + C_bb))), C the overlaps of all units, s = -1 for the student's and 1 for the
    teacher's. Overlaps are times ``input_std`` squared, the covariance of the units' inputs. The teacher is drawn
    again. ``theory.soft_committee`` has them at all times in the limit of many dimensions.
    """

    def conflicts(self, shapes: Shapes) -> Conflicts:
        yield from super().conflicts(shapes)
        model, task = shapes.runs.model, shapes.runs.task
        fits = isinstance(model, SoftCommittee) and isinstance(task, TeacherStudent)
        if not fits or not isinstance(task.teacher, SoftCommittee) or not all(map(plain, (model, task.teacher))):
            yield "kind", "order_parameters", FITS

    def variables(self, shapes: Shapes) -> dict[str, Variable]:
        K, M = shapes.experiment.model.width, shapes.experiment.task.teacher.width
        units, others, teachers = ({name: np.arange(n)} for name, n in zip(DIMS, (K, K, M), strict=True))
        return {
            "student_overlap": Variable("overlap of units", dims=DIMS[:2], coordinates=units | others),
            "teacher_overlap": Variable("overlap with the teacher", dims=DIMS[::2], coordinates=units | teachers),
            "generalisation_error": Variable("half the mean squared error over all inputs"),
        }

    def measure(self, view: View) -> dict[str, jax.Array]:
        task, J = view.experiment.task, view.params["W"].astype(jnp.float64)
        both = jnp.concatenate([J, task.rule(view.table_key)["W"]], axis=1) * task.input_std
        C, K = both.T @ both, J.shape[1]
        one = jnp.sqrt(1 + jnp.diag(C))
        s = jnp.where(jnp.arange(len(C)) < K, -1.0, 1.0)
        error = 0.5 * s @ (2 / jnp.pi * jnp.arcsin(C / jnp.outer(one, one))) @ s
        return {"student_overlap": C[:K, :K], "teacher_overlap": C[:K, K:], "generalisation_error": error}


def plain(model: Any) -> bool:
    """Return whether a network is the machine itself in all runs."""
    return not (model.centred or model.linearised) and bool(np.all(np.asarray(model.output_scale) == 1))
