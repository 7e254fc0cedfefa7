"""Reproduce an experiment folder: run its sweeps at a scale, draw its figure, check its claims.

A folder holds sweeps, rounds that go on from them, or searches for boundaries, as ``*.toml``, and a ``claims.py`` with
two functions of the results, a mapping from the names of the files to Datasets, or of a search to a ``Boundary``:
``claims(results) -> list[Claim]`` and ``figure(results) -> Figure``. A file's table ``[scale.NAME]`` sets fields
for a smaller scale, as dotted paths; ``full`` is the file as it is written, and ``smoke`` is too small to decide a
claim.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from grokdyn.analysis.claims import Verdict, as_json, as_markdown, judge
from grokdyn.boundaries import searched
from grokdyn.engine.chain import Training, finished, links
from grokdyn.engine.store.files import sync, sync_all, whole, write_text, writing
from grokdyn.engine.store.reading import is_finished, read_spec
from grokdyn.figures import save
from grokdyn.reports import report
from grokdyn.spec.errors import SpecError, Words
from grokdyn.spec.experiment import Experiment
from grokdyn.spec.files import load
from grokdyn.spec.paths import path_of
from grokdyn.spec.plane import Search
from grokdyn.spec.round import Round
from grokdyn.spec.sweep import Sweep

# The scale that decides nothing.
QUICK_LOOK = "smoke"


def reproduce(
    folder: Path, scale: str, out: Path, progress: bool | None = None, reuse: str | Path | None = None
) -> list[Verdict]:
    """Run an experiment folder at a scale into ``out`` and return the verdicts on its claims.

    What a store in ``out`` holds already is not trained again. Writes a store per sweep, ``claims.md``,
    ``claims.json``, ``figure.png`` and ``report.html``.

    Args:
        reuse: the folder of another reproduction; where it has finished the very same sweep, the store is copied.

    Raises:
        SpecError: if the folder is not an experiment, a sweep has a mistake, or ``reuse`` has no sweep of this one.
        StoreError: if ``out`` holds something else or cannot be written, or a store in ``reuse`` is damaged.
    """
    folder, out = path_of(folder, "folder"), path_of(out, "out")
    sweeps, told = scaled_sweeps(folder, scale), claims_module(folder)
    for what in sweeps.values():
        if isinstance(what, Round):
            links(what)
    if reuse is not None:
        copy_finished(sweeps, path_of(reuse, "reuse"), out)
    how = Training(progress)
    results = {name: trained(what, out / name, how) for name, what in sweeps.items()}
    found = judge(told.claims(results), decides=scale != QUICK_LOOK)
    made = made_of(folder, scale, [out / name for name in sweeps])
    with writing(out):
        write_text(out / "claims.md", as_markdown(found, made))
        write_text(out / "claims.json", as_json(found, made))
    save(told.figure(results), out, "figure", "png")
    report(out, title=f"{folder.absolute().name}, {scale}")
    return found


def trained(what: Sweep | Round | Search, place: Path, how: Training) -> Any:
    """Return what a file's runs have found; those that its store holds are not trained again."""
    if isinstance(what, Search):
        return searched(what, place, how.progress, how.cluster)
    return finished(what, place, how)


def made_of(folder: Path, scale: str, stores: Iterable[Path]) -> dict[str, Any]:
    """Return how the runs of a reproduction were made: when, on what, at which cost, by which code."""
    manifests = [json.loads((store / "manifest.json").read_text()) for store in stores]
    sessions = [session for manifest in manifests for session in manifest.get("sessions", [])]
    commits = {manifest.get("commit") for manifest in manifests}
    return {
        "experiment": folder.absolute().name,
        "scale": scale,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": ", ".join(sorted({str(manifest.get("device_kind")) for manifest in manifests})),
        "seconds": float(f"{sum(float(session.get('seconds') or 0) for session in sessions):.4g}"),
        "runs": sum(cohort["runs"] for manifest in manifests for cohort in manifest.get("cohorts", [])),
        "commit": commits.pop() if len(commits) == 1 else None,
    }


def keep(folder: Path, scale: str, out: Path) -> Path:
    """Copy the summary of a reproduction, without its stores, into the experiment's folder.

    Raises:
        StoreError: if that cannot be written.
    """
    kept = folder / "results" / scale
    with writing(kept):
        kept.mkdir(parents=True, exist_ok=True)
        for name in ("claims.md", "claims.json", "figure.png"):
            with whole(kept / name, "wb") as file:
                file.write((out / name).read_bytes())
    return kept


def scaled_sweeps(folder: Path, scale: str) -> dict[str, Sweep | Round | Search]:
    """Return the sweeps, rounds and searches of a folder at a scale, by file name, checked where they name others."""
    files = sorted(folder.glob("*.toml"))
    if not files or not (folder / "claims.py").is_file():
        raise SpecError(str(folder), Words("no experiment"), "a folder with sweeps (*.toml) and claims.py")
    found = {file.stem: load(file, scale) for file in files}
    return {name: Sweep(what, {}) if isinstance(what, Experiment) else what for name, what in found.items()}


def copy_finished(wanted: Mapping[str, Sweep | Round | Search], reuse: Path, out: Path) -> None:
    """Copy the stores of sweeps that another reproduction has finished to where ``out`` has none; no others."""
    sweeps = {name: what for name, what in wanted.items() if isinstance(what, Sweep)}
    stores = [store for store in sorted(reuse.glob("*")) if is_finished(store)]
    known = {read_spec(store).to_toml(): store for store in stores}
    same = {name: known[what.to_toml()] for name, what in sweeps.items() if what.to_toml() in known}
    if not same:
        allowed = "the folder of a reproduction that has finished one of " + ", ".join(sweeps)
        raise SpecError("reuse", str(reuse), allowed)
    for name, store in same.items():
        if not (out / name).exists():
            copied(store, out / name)


def copied(store: Path, path: Path) -> None:
    """Copy a store to a new folder, whole or not at all."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, suffix=".tmp") as folder:
            made = shutil.copytree(store, Path(folder) / path.name)
            sync_all(made)
            os.replace(made, path)
            sync(path.parent)


def claims_module(folder: Path) -> ModuleType:
    """Import the folder's ``claims.py``."""
    spec = importlib.util.spec_from_file_location(f"grokdyn_experiment_{folder.name}", folder / "claims.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("claims", "figure"):
        if not callable(getattr(module, name, None)):
            raise SpecError(str(folder / "claims.py"), Words(f"no function {name}"), "claims(results), figure(results)")
    return module
