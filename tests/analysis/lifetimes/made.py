"""Made-up runs of known truth."""

import numpy as np
import xarray as xr


def runs(test, train=None, steps=range(0, 3001, 50), status=None, stopped=None, **axes):
    """Return accuracies that jump to 1 at times [*axes]; axes are named with their values."""
    steps, test = np.asarray(steps), np.asarray(test, float)
    train = np.zeros_like(test) if train is None else np.asarray(train, float)
    parts = {"train": train, "test": test}
    data = {f"{part}_accuracy": ((*axes, "step"), (steps >= t[..., None]) * 1.0) for part, t in parts.items()}
    ds = xr.Dataset(data, {**axes, "step": steps}, {"axes": list(axes)})
    ds["status"] = (tuple(axes), np.zeros(test.shape, int) if status is None else np.asarray(status))
    ds["stopped_at"] = (tuple(axes), np.full(test.shape, -1) if stopped is None else np.asarray(stopped))
    ended = xr.where(ds["stopped_at"] >= 0, ds["stopped_at"], steps[-1])
    return ds.assign({f"{part}_accuracy": ds[f"{part}_accuracy"].where(ds["step"] <= ended) for part in parts})


def censored(rng, n, last=np.inf, scale=1.0, rate=0.7):
    """Return times and whether they were seen, some ended at random before."""
    time, end = scale * rng.exponential(1, n), np.minimum(scale / rate * rng.exponential(1, n), last)
    return np.minimum(time, end), time <= end
