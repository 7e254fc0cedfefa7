"""Parameters of a snapshot as a PyTorch state dict, and as safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grokdyn.engine.parameters import params
from grokdyn.engine.store.reading import read_spec
from grokdyn.engine.stored import run_number
from grokdyn.interop import to_torch

# https://github.com/huggingface/safetensors: a header of JSON, its length before it in 8 bytes, then the arrays.
DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
ALIGNED = 8


def of_run(store: str | Path, run: int | Mapping[str, Any], step: int | None) -> tuple[int, dict[str, np.ndarray]]:
    """Return the number of a stored run, and its parameters by PyTorch's names."""
    sweep = read_spec(store)
    number = run_number(sweep, run)
    arrays = params(store, number, step)
    return number, to_torch(list(sweep.experiments())[number].model, arrays)


def save(arrays: Mapping[str, np.ndarray], to: str, file: Any) -> None:
    """Write arrays into an open file."""
    if to == "safetensors":
        file.write(safetensors(arrays))
        return
    import torch  # pyright: ignore[reportMissingImports]

    torch.save({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}, file)


def safetensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays in the format of safetensors: little-endian, in C order, one after the other."""
    header, place, data = {}, 0, []
    for name, value in arrays.items():
        raw = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
        told = {"dtype": DTYPES[value.dtype.name], "shape": list(value.shape)}
        header[name] = {**told, "data_offsets": [place, place + len(raw)]}
        place += len(raw)
        data.append(raw)
    text = json.dumps({**header, "__metadata__": {"format": "pt"}}).encode()
    text += b" " * (-len(text) % ALIGNED)
    return len(text).to_bytes(8, "little") + text + b"".join(data)
