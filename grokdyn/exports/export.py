"""A store in the format of another program: which there are, and what each needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from grokdyn.analysis.checks import ArgumentError, choice, fraction
from grokdyn.engine.store.files import whole, writing
from grokdyn.engine.store.reading import open_store
from grokdyn.exports.tables import tables
from grokdyn.spec.paths import path_of

# Format -> the module that it needs, where that is not the base's.
NEEDS = {
    "csv": None,
    "parquet": "pyarrow",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "torch": "torch",
    "safetensors": None,
}
TABLES, TRACKERS, PARAMETERS = ("csv", "parquet"), ("tensorboard", "wandb", "mlflow"), ("torch", "safetensors")


def export(
    what: xr.Dataset | str | Path,
    to: str,
    out: str | Path | None = None,
    *,
    run: int | Mapping[str, Any] | None = None,
    step: int | None = None,
    threshold: float = 0.9,
    anyway: bool = False,
) -> list[Path]:
    """Write results or parameters for other programs; return the files or folders.

    ``csv`` and ``parquet``: ``runs`` (a row per run: its axes, how it ended, times to fit and to generalise in steps,
    phase, what it recorded last), ``records`` (a row per run and recorded step, a column per variable), and
    ``records_<name>`` for every variable with axes of its own; numbers with all their digits. ``tensorboard``,
    ``wandb``, ``mlflow``: one tracker run for the sweep with the table of runs, medians over all runs and curves of the
    first and the last to generalise; nothing is sent anywhere. ``torch``, ``safetensors``: the parameters of one run at
    a snapshot, see ``gd.interop.to_torch``.

    Args:
        what: the folder of a store, or a Dataset where no parameters are asked for.
        to: one of the formats.
        out: the folder to write into, for parameters the file; default: ``export`` in the store, or here.
        run, step: of the parameters, as ``gd.params`` takes them: the number of the run or its coordinates.
        threshold: accuracy in (0, 1] that counts as fitted.
        anyway: leave out what is damaged of a store.

    Raises:
        ArgumentError: for an unknown format, or one whose package is not installed, naming the extra.
        StoreError: if the folder is not a store, is damaged, or the files cannot be written.
        SpecError: for a run or step that is not there, or a model without a PyTorch counterpart.
    """
    needed = NEEDS[choice(to, NEEDS, "to")]
    if needed and importlib.util.find_spec(needed) is None:
        raise ArgumentError(f"to={to!r}: needs the package {needed}; pip install 'grokdyn[{to}]'")
    threshold = fraction(threshold, "threshold")
    is_dataset = isinstance(what, xr.Dataset)
    if not is_dataset and not isinstance(what, str | Path):
        raise ArgumentError(f"what: expected a Dataset or the folder of a store, got {type(what).__name__}.")
    default = Path("export") if is_dataset else path_of(what) / "export"
    place = default if out is None else path_of(out, "out")
    if to in PARAMETERS:
        return exported_parameters(what, to, place, run, step, given=out is not None)
    if run is not None or step is not None:
        raise ArgumentError(f"run, step: choose parameters; {to!r} is written of all runs, from which you can select.")
    ds = what if isinstance(what, xr.Dataset) else open_store(what, anyway)
    if to in TABLES:
        return written_tables(ds, to, place, threshold)
    from grokdyn.exports import trackers

    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
    name = "results" if isinstance(what, xr.Dataset) else path_of(what).absolute().name
    return getattr(trackers, to)(ds, name, place, threshold)


def written_tables(ds: xr.Dataset, to: str, place: Path, threshold: float) -> list[Path]:
    """Write every table of a sweep, each whole or not at all."""
    found = []
    for name, frame in tables(ds, threshold):
        path = place / f"{name}.{to}"
        with writing(path):
            place.mkdir(parents=True, exist_ok=True)
            with whole(path, "wb") as file:
                # Floats as the shortest text that is the same number again.
                frame.to_csv(file, index=False) if to == "csv" else frame.to_parquet(file, index=False)
        found.append(path)
    return found


def exported_parameters(what: Any, to: str, place: Path, run: Any, step: int | None, given: bool) -> list[Path]:
    """Write the parameters of one run at a snapshot."""
    from grokdyn.exports import parameters

    if isinstance(what, xr.Dataset):
        raise ArgumentError(f"what: to={to!r} writes parameters, which only a store with snapshots has; got a Dataset.")
    suffix = "pt" if to == "torch" else "safetensors"
    number, arrays = parameters.of_run(what, 0 if run is None else run, step)
    path = place if given else place / f"run_{number}_step_{'last' if step is None else step}.{suffix}"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path, "wb") as file:
            parameters.save(arrays, to, file)
    return [path]
