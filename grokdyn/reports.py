"""One HTML page of a Dataset, a store, or an experiment folder with several."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from grokdyn import page
from grokdyn.analysis.checks import ArgumentError, fraction
from grokdyn.engine.store.files import StoreError, whole, writing
from grokdyn.engine.store.reading import open_store, read_manifest
from grokdyn.spec.errors import shown
from grokdyn.spec.paths import path_of, place_of
from grokdyn.terminal import facts

NAME = "report.html"
# What only a manifest knows.
OF_A_STORE = ("device", "cohorts", "time", "finished", "versions")


def report(
    what: xr.Dataset | Mapping[str, xr.Dataset] | str | Path,
    out: str | Path | None = None,
    *,
    title: str | None = None,
    threshold: float = 0.9,
    anyway: bool = False,
) -> Path:
    """Write one self-contained HTML page of results; return its path.

    The page shows what was run, the diagram over any two axes, the curves of the cells that are clicked, the share of
    runs that got there by a step (Aalen and Johansen 1978: runs whose records end are censored, diverged ones compete),
    a line per run, and the claims of a folder with their verdicts. It needs no server and asks for nothing.

    Args:
        what: a Dataset, several by name, the folder of a store, or a folder of stores such as ``reproduce`` writes.
        out: the file; default: ``report.html`` in the folder, or in the working directory for a Dataset.
        title: over the page; default: the name of the folder.
        threshold: accuracy in (0, 1] that counts as fitted.
        anyway: leave out what is damaged of a store.

    Raises:
        ArgumentError: if ``what`` is none of these, or ``threshold`` no fraction.
        StoreError: if a folder has no store, a store is damaged, or the page cannot be written.
    """
    threshold = fraction(threshold, "threshold")
    if isinstance(what, xr.Dataset | Mapping):
        named = {"results": what} if isinstance(what, xr.Dataset) else dict(what)
        if not named or not all(isinstance(ds, xr.Dataset) for ds in named.values()):
            raise ArgumentError(f"what: got {type(what).__name__} of no Datasets; expected names with Datasets.")
        text = page_of(named, {}, title or "Results", threshold)
        return written(text, path_of(out or NAME, "out"))
    if not isinstance(what, str | Path):
        raise ArgumentError(f"what: expected a Dataset, several by name or a folder, got {type(what).__name__}.")
    folder = path_of(what)
    stores = stores_in(folder)
    found = {name: open_store(store, anyway) for name, store in stores.items()}
    manifests = {name: read_manifest(store, anyway) for name, store in stores.items()}
    claims, figure = told_in(folder)
    text = page_of(found, manifests, title or name_of(folder), threshold, claims, figure)
    return written(text, folder / NAME if out is None else path_of(out, "out"))


def name_of(folder: Path) -> str:
    """Return what a folder is called: of an experiment's kept results, the experiment and the scale."""
    place = folder.absolute()
    return f"{place.parent.parent.name}, {place.name}" if place.parent.name == "results" else place.name


def stores_in(folder: Path) -> dict[str, Path]:
    """Return the store that a folder is, or those that it has, by name.

    Raises:
        StoreError: if there is none.
    """
    place = place_of(folder)
    if (place / "spec.toml").is_file() or (place / "manifest.json").is_file() or (place / "results.zarr").is_dir():
        return {folder.absolute().name: folder}
    inside = sorted(place.iterdir()) if place.is_dir() else []
    found = {path.name: path for path in inside if (path / "manifest.json").is_file() or is_store(path)}
    if not found:
        allowed = "the folder of a store, or one of stores such as grokdyn reproduce writes"
        raise StoreError(f"{shown(str(folder))} has no results; allowed: {allowed}")
    return found


def is_store(path: Path) -> bool:
    return (path / "spec.toml").is_file() and ((path / "results.zarr").is_dir() or (path / "parts").is_dir())


def told_in(folder: Path) -> tuple[list[dict[str, Any]], bytes | None]:
    """Return the claims and the figure of a folder, where it has them and they can be read."""
    claims: list[dict[str, Any]] = []
    file, figure = folder / "claims.json", folder / "figure.png"
    if file.is_file():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise StoreError(f"{str(file)!r} is damaged: {error}; remove it, or reproduce the folder again") from None
        rows = found.get("claims", []) if isinstance(found, dict) else found
        claims = [row for row in rows if isinstance(row, dict)]
    return claims, figure.read_bytes() if figure.is_file() else None


def page_of(
    sweeps: Mapping[str, xr.Dataset],
    manifests: Mapping[str, dict[str, Any]],
    title: str,
    threshold: float,
    claims: list[dict[str, Any]] | None = None,
    figure: bytes | None = None,
) -> str:
    """Return the page of sweeps, with what their manifests know."""
    digits, most = page.together(sweeps)
    sheets = []
    for name, ds in sweeps.items():
        manifest = manifests.get(name, {})
        told = {"facts": made_by(ds, manifest), "spec": spec_of(ds, manifest)}
        made = page.sheet(ds, name, digits, threshold, most, **told)
        made.notes[:0] = absent(ds, manifest)
        sheets.append(made)
    runs = sum(sheet.told["runs"] for sheet in sheets)
    many = f"{len(sheets)} sweeps, " if len(sheets) > 1 else ""
    lead = f"{many}{runs:,} run{'s' * (runs != 1)}. All that is shown is in this file."
    return page.page(title, sheets, claims or (), figure, lead)


def made_by(ds: xr.Dataset, manifest: dict[str, Any]) -> dict[str, str]:
    """Return in words how a sweep was made; of results without a store only what they show."""
    known = facts(ds, manifest) if "status" in ds and "step" in ds.coords else {}
    return known if manifest else {name: told for name, told in known.items() if name not in OF_A_STORE}


def spec_of(ds: xr.Dataset, manifest: Mapping[str, Any]) -> str:
    """Return the spec as text, of an unfinished store from its manifest."""
    text = ds.attrs.get("spec", "")
    return str(text if "\n" in str(text) else manifest.get("spec", text))


def absent(ds: xr.Dataset, manifest: Mapping[str, Any]) -> list[str]:
    """Say what is not there of a store that is unfinished or damaged."""
    notes = []
    missing = int((ds["status"] < 0).sum()) if "status" in ds else 0
    if missing and manifest.get("finished"):
        notes.append(f"Damaged: of {missing} runs something is lost; grokdyn resume trains them again.")
    elif missing and manifest:
        notes.append(f"Unfinished: {missing} runs are in training or still to come; grokdyn resume goes on.")
    empty = [str(name) for name, array in ds.data_vars.items() if array.dtype.kind == "f" and not array.size]
    return notes + ([f"Without records: {', '.join(empty)}."] if empty else [])


def written(text: str, path: Path) -> Path:
    """Write a page whole or not at all; return its path."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path, "wb") as file:
            file.write(text.encode("utf-8", errors="backslashreplace"))
    return path
