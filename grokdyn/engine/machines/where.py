"""Where a sweep trains: in this process, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from grokdyn.engine.machines import here
from grokdyn.engine.machines.cluster import Cluster
from grokdyn.spec.sweep import Sweep
from grokdyn.train.origin import Origin
from grokdyn.train.start import Start


class Executor(Protocol):
    """Makes a store and trains its batches.

    Attributes:
        alone: it is this process, which can also keep results in memory.
    """

    alone: bool

    @property
    def batches(self) -> int:
        """How many batches there should be at least, for all that train to have some."""
        ...

    def create(
        self, sweep: Sweep, out: Path, start: Start | None, origin: Origin, *, asked: Collection[str] = ()
    ) -> Any:
        """Plan a sweep and make its store."""
        ...

    def train(
        self,
        path: Path,
        *,
        progress: bool | None,
        anyway: bool = False,
        checkpoint_seconds: float,
        sweep: Sweep | None = None,
    ) -> None:
        """Train the batches of a store that are not finished."""
        ...


class Here:
    """This process."""

    alone = True
    batches = 1

    create = staticmethod(partial(here.create, alone=True))
    train = staticmethod(here.work)


@contextmanager
def executor(cluster: Any = None) -> Iterator[Executor]:
    """Yield who trains: what names a cluster is connected to when it is first needed."""
    if cluster is None:
        yield Here()
        return
    with Cluster(cluster) as made:
        yield made
