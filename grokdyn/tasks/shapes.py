"""What is known of an experiment before anything is compiled, and what keeps its parts from each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from grokdyn.spec.errors import Words
from grokdyn.tasks.parts import parts_of
from grokdyn.tasks.signature import Reals, Sequences, Signature, Tokens

# (field, what came, what is allowed)
Conflicts = Iterator[tuple[str, Any, str]]


class Shapes(NamedTuple):
    """What is known before compiling; every family says in ``conflicts(shapes)`` what does not fit it.

    Attributes:
        params: shapes and dtypes of the parameters; None while the model itself is asked.
        signature: the task's.
        noisy: whether labels are corrupted.
        experiment: a description with the structure of all runs; its numbers are one run's.
        n_train: the smallest and the largest number of train rows among the runs.
        runs: the same description with the numbers of all runs, as arrays [runs].
    """

    params: Any
    signature: Signature
    noisy: bool
    experiment: Any
    n_train: tuple[int, int] = (1, 1)
    runs: Any = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that are recorded: train, test, and those that the task names besides."""
        return parts_of(self.experiment.task).names


def needs_one_answer(shapes: Shapes, what: str) -> Conflicts:
    """Yield a conflict where rows have several answers, hence logits [rows, answers, outputs]."""
    several = shapes.signature.answers
    if several > 1:
        yield (
            "kind",
            Words(f"rows with {several} answers"),
            f"{what} that serves several answers, or another task",
        )


def needs_whole_rows(shapes: Shapes) -> Conflicts:
    """Yield a conflict where rows of tokens may be shorter than others, hence begin with padding."""
    inputs = shapes.signature.inputs
    if isinstance(inputs, Tokens) and inputs.padded:
        yield "kind", Words("rows with padding"), "a transformer with padded = true, or another task"


def needs_rows_alone(shapes: Shapes) -> Conflicts:
    """Yield a conflict where a row's logits in training depend on the rows beside it."""
    if shapes.experiment.model.rows_interact:
        allowed = "a model without batch statistics, or a probe that takes no single rows' gradients"
        yield "kind", Words("a model whose rows see each other in training"), allowed


def needs_classes(shapes: Shapes, instead: str) -> Conflicts:
    """Yield a conflict where targets are real vectors; ``instead`` says what would serve them."""
    if isinstance(shapes.signature.targets, Reals):
        yield "kind", Words("real targets"), f"{instead}, for this task"


def needs_tokens(shapes: Shapes) -> Conflicts:
    """Yield a conflict where inputs are no tokens."""
    if not isinstance(shapes.signature.inputs, Tokens):
        yield "kind", Words("inputs that are no tokens"), "a model of real vectors, such as mlp, for this task"


def needs_sequences(shapes: Shapes) -> Conflicts:
    """Yield a conflict where inputs are neither tokens nor sequences of vectors."""
    if not isinstance(shapes.signature.inputs, Tokens | Sequences):
        yield "kind", Words("inputs that are no tokens"), "a model of real vectors, such as mlp, for this task"
