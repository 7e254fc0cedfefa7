"""Experiment: the full description of one run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grokdyn.spec import base, toml
from grokdyn.spec.base import Spec, field
from grokdyn.spec.kinds import Part, Parts, Table
from grokdyn.spec.record import MOST_RECORDS, At, Every
from grokdyn.spec.rules import Choice, Count, Counts, Flag, Integer, Optional

SEED = Optional(Integer())


class Seeds(Spec):
    """Override single random streams of a run; a stream that is not named here follows ``Experiment.seed``."""

    init: int | None = field(SEED, default=None, doc="parameters at step 0")
    split: int | None = field(SEED, default=None, doc="which rows train; the table itself where drawn")
    noise: int | None = field(SEED, default=None, doc="which labels are corrupted, and to what")
    batch: int | None = field(SEED, default=None, doc="order of mini-batches, fresh rows, dropout")
    probe: int | None = field(SEED, default=None, doc="randomness inside probes")


class Experiment(Spec):
    """Describe one run: a task, a model, a loss, an optimizer, how long, what to record.

    It is a pytree: its numbers are leaves (a sweep varies them in one compiled program), its structure is what gets
    compiled. ``check`` is called on it by ``run``, ``Sweep`` and the file reader.

    Raises:
        SpecError: from those, naming the field, what came and what is allowed.
    """

    task: Any = field(Part("task"), doc="what is learned")
    model: Any = field(Part("model"), doc="the network")
    loss: Any = field(Part("loss"), doc="what is minimised on the train rows")
    optimizer: Any = field(Part("optimizer"), doc="how")
    steps: int = field(Count(), doc="number of optimizer updates")
    record: Any = field(Part("record"), default=Every(50), doc="when the probes look")
    probes: tuple[Any, ...] = field(Parts("probe"), default=("loss", "accuracy", "weight_norm"), doc="what is recorded")
    stop: tuple[Any, ...] = field(
        Parts("stop", once=False), default=(), doc="rules that end a run early; the first to hold does"
    )
    snapshots: tuple[int, ...] = field(
        Counts(low=0, increasing=True, empty=True), default=(), doc="steps whose whole state a store keeps"
    )
    seed: int = field(Integer(), default=0, doc="feeds every random stream of the run")
    seeds: Any = field(Table(Seeds), default=Seeds(), doc="overrides of single streams")
    batch_size: int | None = field(Optional(Count()), default=None, doc="rows per update; nothing: all train rows")
    batch_replacement: bool = field(Flag(), default=False, doc="draw mini-batches with replacement")
    transforms: tuple[Any, ...] = field(
        Parts("transform", once=False), default=(), doc="what is done to the rows of an update, one after another"
    )
    dtype: str = field(Choice(("float32", "float64")), default="float32", doc="of parameters and activations")
    matmul_precision: str = field(
        Choice(("highest", "high", "default")),
        default="highest",
        doc="of matrix products; highest: no TF32",
    )

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if isinstance(self.record, Every) and self.steps > self.record.steps * MOST_RECORDS:
            yield "record.steps", self.record.steps, f"a distance that makes at most {MOST_RECORDS} records"
            return
        recorded = self.record.at(self.steps)
        if self.snapshots and self.snapshots[-1] > self.steps:
            yield "snapshots", list(self.snapshots), f"steps up to the last one, {self.steps}"
        if recorded[-1] > self.steps:
            yield "record.steps", int(recorded[-1]), f"steps up to the last one, {self.steps}"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.batch_size is None:
            yield "batch_replacement", "there is no batch_size"
            if not self.model.stochastic():
                yield "seeds.batch", "there is no batch_size, and the model draws nothing"
        elif self.task.endless:
            yield "batch_replacement", "every update draws rows of its own"
        if self.task.label_noise == 0:
            yield "seeds.noise", "label_noise is 0"
        if isinstance(self.record, At):
            yield "steps", f"record and snapshots end at step {steps}"
        if all(getattr(self.seeds, name) is not None for name in base.rules(Seeds)):
            yield "seed", "every random stream has a seed of its own"

    def gradients(self) -> int:
        """Return how many gradients an update takes, the optimizer's and those of the transforms."""
        return self.optimizer.gradients + sum(one.gradients for one in self.transforms)

    def to_toml(self) -> str:
        """Return the experiment as the text of a TOML file."""
        return toml.dumps(base.encode(base.check(self)))

    @classmethod
    def from_toml(cls, text: str) -> Experiment:
        """Read an experiment from the text of a TOML file (the inverse of ``to_toml``)."""
        return base.decode(cls, toml.loads(text))
