"""What a part of an experiment costs: the engine with it beside the engine without. Adding one: a line in ``COSTS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from grokdyn.bench.cases import p23, p113, transformer
from grokdyn.bench.measure import Timing, attempt, elapsed, per_round, record


@dataclass(frozen=True)
class Cost:
    """One line of the table.

    Attributes:
        about: what is added, in a few words.
        experiment: returns the Experiment, or the Sweep, without it. Imports JAX.
        changes: dotted paths of what makes it the one with.
        runs: how many runs train together, as many seeds at every point of the sweep.
        at_most: how many times as long training with it may take.
        steps: of every run; 0: as many as fit into the time that a measurement shall take.
    """

    about: str
    experiment: Callable[[], Any]
    changes: dict[str, Any]
    runs: int
    at_most: float
    steps: int = 0


def every_position() -> Any:
    """Return the transformer's case with every position of every row computed."""
    return transformer().replace(**{"model.path": "full"})


def quickstart() -> Any:
    """Return the sweep of the quickstart."""
    import grokdyn as gd
    from grokdyn.commands import QUICKSTART

    return gd.load(QUICKSTART)


def far_apart() -> Any:
    """Return p23 as a sweep over two scales of the initialisation: weight norms of 7 and of 700."""
    import grokdyn as gd

    # Weight decay would shrink the larger norm.
    return gd.Sweep(
        p23().replace(**{"optimizer.weight_decay": 0.0, "record": {"every": 20}}), {"model.init_scale": [1.0, 100.0]}
    )


# Which half is over after a quarter of the steps is told by the weight norm, whatever training does.
HALF_OVER = {"kind": "when", "variable": "weight_norm", "threshold": 350.0, "records": 5}
USUAL = ("loss", "accuracy", "weight_norm")
COSTS = {
    "float64_loss": Cost("p113, cross-entropy in float64", p113, {"loss.precision": "float64"}, 8, 1.6),
    "stablemax": Cost(
        "p113, StableMax in float64", p113, {"loss": {"kind": "stablemax", "precision": "float64"}}, 8, 1.6
    ),
    "edge_probes": Cost(
        "p113, collapse, zero terms and NLM alignment every 50 steps",
        p113,
        {"probes": (*USUAL, "softmax_collapse", "zero_terms", "nlm_alignment")},
        8,
        1.05,
    ),
    "alignment_p113": Cost(
        "p113, kernel alignment of 64 rows every 50 steps", p113, {"probes": (*USUAL, "kernel_alignment")}, 8, 1.10
    ),
    "alignment_p23": Cost(
        "p23, kernel alignment of 64 rows every 50 steps", p23, {"probes": (*USUAL, "kernel_alignment")}, 256, 1.25
    ),
    # Every 200 steps, as it is meant to be used, it adds a quarter of this.
    "sharpness": Cost("p113, ten Lanczos steps every 50 steps", p113, {"probes": (*USUAL, "sharpness")}, 8, 1.60),
    "answer_path": Cost(
        "transformer, what the answer needs in place of every position", every_position, {"model.path": "auto"}, 2, 0.5
    ),
    "stop_rule": Cost(
        "quickstart, each run ended after three records with 99 % of the test rows right",
        quickstart,
        {"stop": [{"kind": "when"}]},
        128,
        0.7,
        steps=2000,
    ),
    "half_stopped": Cost(
        "p23, half of the runs ended in the first quarter of 400 steps",
        far_apart,
        {"stop": [HALF_OVER]},
        512,
        1 / 1.4,
        steps=400,
    ),
}


@dataclass
class CostResult:
    """A cost's line: timings without and with it."""

    name: str
    cost: Cost
    without: Timing = field(default_factory=Timing)
    with_it: Timing = field(default_factory=Timing)

    @property
    def timings(self) -> dict[str, Timing]:
        return {"without": self.without, "with": self.with_it}

    @property
    def ratio(self) -> float | None:
        """Return the median over rounds of the time with it over the time without, of the same round."""
        return per_round(self.with_it, self.without)


def compared(name: str, cost: Cost, runs: int, rounds: int, seconds: float, say: Callable[[str], None]) -> CostResult:
    """Time an experiment without and with something, in turn, over as many steps each, where no rule ends a run."""
    from grokdyn.bench.engine_side import EVERY, Engine, whole_records
    from grokdyn.spec.sweep import Sweep

    plain = cost.experiment()
    base, axes = (plain.base, plain.axes) if isinstance(plain, Sweep) else (plain, {})
    sides = {"without": Engine(base, runs, axes), "with": Engine(base.replace(**cost.changes), runs, axes)}
    found = CostResult(name, cost)

    def fitting() -> int:
        sides["without"](EVERY)
        return whole_records(seconds * EVERY / elapsed(sides["without"], EVERY)[0])

    def prepare() -> None:
        steps = cost.steps or fitting()
        for side, made in sides.items():
            found.timings[side].runs, found.timings[side].steps = made.runs, steps
            made.idle()
            made(steps)

    say(f"{name}: preparing")
    attempt(found.without, prepare)
    for number in range(rounds):
        say(f"{name}: round {number + 1} of {rounds}")
        for side, made in sides.items():
            if not (found.without.why_not or found.timings[side].why_not):
                attempt(found.timings[side], lambda side=side, made=made: record(found.timings[side], made))
    return found
