"""Make a store and train its batches in this process.

A sweep with a store goes through three steps that may be taken by different processes: ``create`` writes the folder,
``work`` trains batches and writes what each found, ``collect`` puts it together.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

from grokdyn.checks.names import check_axes
from grokdyn.engine.host.devices import devices, peak_bytes
from grokdyn.engine.host.interrupt import Wish, wish_to_stop
from grokdyn.engine.host.memory import told as size_told
from grokdyn.engine.host.progress import reporter
from grokdyn.engine.host.scope import scope
from grokdyn.engine.loop.estimate import planned_seconds
from grokdyn.engine.loop.keeper import Keeper
from grokdyn.engine.loop.train import trained
from grokdyn.engine.loop.tune import tuned
from grokdyn.engine.plan.cohorts import NOWHERE
from grokdyn.engine.plan.effect import check_effect
from grokdyn.engine.plan.plan import Plan
from grokdyn.engine.store import folder
from grokdyn.engine.store.extension import complete, shared
from grokdyn.engine.store.files import StoreError, writing
from grokdyn.engine.store.manifest import check_same, described, identity
from grokdyn.engine.store.reading import is_finished, is_sound, read_manifest, read_spec
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.identity import homeless
from grokdyn.spec.paths import place_of
from grokdyn.spec.sweep import Sweep
from grokdyn.train.compiled import TRACES
from grokdyn.train.origin import Origin
from grokdyn.train.start import Start

CHECKPOINT_SECONDS = 60.0
# Numbers are not compressed further than to this share, unless runs end early.
LEAST_COMPRESSED = 0.1


def create(
    sweep: Sweep,
    out: str | Path,
    start: Start | None = None,
    origin: Origin = NOWHERE,
    batches: int = 1,
    alone: bool = False,
    asked: Collection[str] = (),
) -> int:
    """Plan a sweep and make its store, without training; return the number of batches.

    Args:
        batches: at least so many where there are runs enough, for processes to share.
        alone: this process trains them all.
        asked: as in ``execute``.

    Raises:
        SpecError, StoreError: as ``run``.
    """
    out = place_of(out, "out")
    folder.check_free(out)
    check_nameable(sweep, alone)
    with scope(sweep):
        found = devices()
        plan = Plan.of(sweep, found, start, origin, batches)
        check_axes(list(sweep.shape), [cohort.variables for cohort in plan.cohorts])
        check_effect(plan, True, asked)
        check_disk(out, plan.results_bytes + plan.snapshot_bytes)
        plan = tuned(plan, found)
        costs = {"planned_seconds": planned_seconds(plan.cohorts, found)}
        folder.create(out, sweep, start, origin, {**described(sweep, found), **plan.described(), **costs})
    return sum(len(cohort.batches) for cohort in plan.cohorts)


def check_disk(out: Path, size: int) -> None:
    """Raise StoreError where what is kept would not fit on the disk, however well it is compressed.

    Args:
        size: of results and snapshots in memory.
    """
    parent = next(p for p in (out, *out.absolute().parents) if p.exists())
    disk = shutil.disk_usage(parent)
    free = disk.free
    # What is no disk, such as /proc, has no size: that nothing can be written there is told where it is tried.
    if disk.total and size * LEAST_COMPRESSED > free:
        kept = f"results and snapshots of {size_told(size)} in memory, {size_told(free)} are free"
        raise StoreError(f"out: {str(out)!r} is on a disk too small for {kept}; allowed: another disk, fewer records")


def check_nameable(sweep: Sweep, alone: bool) -> None:
    """Warn of what no other process could import by the name that the store notes: only opening needs no such thing.

    Raises:
        SpecError: where other processes are to train.
    """
    lost = homeless(sweep)
    try:
        Sweep.from_toml(sweep.to_toml())
    except SpecError as error:
        if not alone:
            allowed = "what a file can name, such as a function at the top of an importable module, where others train"
            raise SpecError(error.path, Words("something that cannot be written down"), allowed) from None
        lost = lost or [error.path]
    if lost and alone:
        warnings.warn(
            f"{', '.join(lost)}: cannot be imported by another process. The results can be opened there, but resume, "
            "probe and fork need it: to be able to, put it at the top of a file of its own and import it from there",
            stacklevel=5,
        )


def work(
    path: str | Path,
    batches: Collection[int] | None = None,
    progress: bool | None = None,
    anyway: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    wish: Wish | None = None,
    sweep: Sweep | None = None,
) -> None:
    """Train batches of a store that ``create`` made; those that are finished already cost nothing.

    Doing a batch twice, also at the same time in two processes, does no harm: both write the same file.

    Args:
        batches: their numbers; default: all.
        anyway: train although versions, device or spec have changed since the store was made.
        wish: tells besides signals, which reach the main thread only, when to save the state and stop.
        sweep: what the store was just made from; default: what its spec says.

    Raises:
        StoreError: if the folder is not a store, is damaged or cannot be written, or something has changed.
        Interrupted: after a signal, or when the wish is there.
    """
    path, began, traced = place_of(path), time.monotonic(), TRACES["advance"]
    complete(path)
    if is_finished(path):
        return
    folder.check_clear(path)
    sweep, known = sweep or read_spec(path, anyway, edited=True), read_manifest(path, anyway)
    with scope(sweep):
        found = devices()
        changed = accepted(path, sweep, known, found, anyway)
        known = read_manifest(path)
        plan = Plan.stored(path, sweep, known, found)
        with (
            shared(path),
            reporter(plan.run_steps(batches), progress) as shown,
            wish_to_stop(wish) as asked,
            closing(Keeper(path, known, checkpoint_seconds, asked, shown.say)) as keeper,
        ):
            try:
                for _ in trained(plan, found, shown, keeper, batches):
                    pass
            except (StoreError, OSError):
                if not is_finished(path):  # else others have finished it, and removed the files under our feet
                    raise
            finally:
                session = {"seconds": round(time.monotonic() - began, 3), "compiles": TRACES["advance"] - traced}
                noted = {"changed": changed} if changed else {}
                folder.note_session(path, {**session, "peak_bytes": peak_bytes(found), **noted})
    if is_finished(path):  # by others, while a batch was trained here once more
        folder.settle(path)


def accepted(path: Path, sweep: Sweep, known: dict[str, Any], found: list[Any], anyway: bool) -> str:
    """Return what has changed since a store was made; where that is taken, the present spec becomes the store's.

    Raises:
        StoreError: if something has, unless told otherwise.
    """
    present = described(sweep, found)
    changed = check_same(known, present, anyway)
    removed = known.get("finished") and not is_finished(path)
    with writing(path):
        folder.restore_spec(path, known)
        if removed or (changed and known.get("spec") != present["spec"]) or not is_sound(path):
            made = {**present, **known, "spec": present["spec"]}
            folder.adopt_spec(path, present["spec"])
            folder.unsettle(path, {"identity": identity(made), **made} if "given" in made else made)
    return changed
