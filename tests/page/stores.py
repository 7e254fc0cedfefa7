"""Made-up results of every shape that a page has to show."""

import numpy as np
import xarray as xr

from tests.plot.conftest import landscape


def ended():
    """Return a grid with runs that diverged, that a rule ended, and that never ran."""
    ds = landscape(seeds=3, steps=range(0, 2050, 200))
    nothing = xr.full_like(ds["status"], -1)
    ds = ds.assign(stopped_at=nothing.copy(), diverged_at=nothing.copy()).copy(deep=True)
    ds["status"][7], ds["diverged_at"][7] = 1, 600
    ds["stopped_at"][3, :, 1] = 1200
    ds["status"][0, 0] = -1
    for name in ("train_accuracy", "test_accuracy", "train_loss", "test_loss", "weight_norm_per_tensor"):
        seen = (ds.status < 1) | (ds.step < 600)
        kept = seen & ((ds.stopped_at < 0) | (ds.step <= ds.stopped_at)) & (ds.status >= 0)
        ds[name] = ds[name].where(kept).transpose(*ds[name].dims)
    return ds


def one_run():
    return landscape(seeds=1, steps=range(0, 500, 50)).isel(weight_decay=[3], train_fraction=[2])


def alone():
    """Return a run without axes, and without accuracies."""
    return xr.Dataset({"train_loss": ("step", [1.0, 0.5, np.nan])}, {"step": [0, 10, 20]}, {"axes": ""})


def regression():
    return ended().drop_vars(["train_accuracy", "test_accuracy"])


def five_axes(nasty="<img src=x onerror=alert(1)>"):
    rng, shape = np.random.default_rng(0), (2, 3, 4, 3, 2)
    axes = ("a", "b", "learning_rate", "optimizer", "seed")
    curves = {v: ((*axes, "step"), rng.random((*shape, 6)).cumsum(-1) / 6) for v in ("train_accuracy", "test_accuracy")}
    labels = {"a": [1, 2], "b": ["relu", "</script><b>", nasty], "learning_rate": [1e-4, 1e-3, 1e-2, 0.1]}
    labels |= {"optimizer": ["adamw", "sgd", "lion"], "seed": [0, 1], "step": [0, 10, 20, 50, 100, 200]}
    ds = xr.Dataset(curves, labels, {"axes": " ".join(axes), "spec": f"# {nasty}\n</pre><script>alert(1)</script>\n"})
    return ds.assign(status=(axes, np.zeros(shape, int)))


def points(n=60):
    """Return runs on no grid: their numbers run along one dimension."""
    rng = np.random.default_rng(0)
    rate, decay = 10 ** rng.uniform(-4, -1, n), 10 ** rng.uniform(-2, 1, n)
    rise = 1 / (1 + np.exp(-np.log(rate * decay * 3000)[:, None] + np.linspace(2, -3, 5)))
    curves = {"train_accuracy": (("run", "step"), rise), "test_accuracy": (("run", "step"), rise**2)}
    labels = {"run": np.arange(n), "learning_rate": ("run", rate), "weight_decay": ("run", decay)}
    return xr.Dataset(curves, labels | {"step": np.arange(5) * 100}, {"axes": "run"})


def points_of_seeds():
    """Return single points with several seeds each."""
    ds = points(6).expand_dims(seed=[0, 1], axis=1).assign_attrs(axes="run seed")
    return ds.transpose("run", "seed", "step")


ALL = {
    "one": one_run,
    "alone": alone,
    "regression": regression,
    "five": five_axes,
    "points": points,
    "point_seeds": points_of_seeds,
}
