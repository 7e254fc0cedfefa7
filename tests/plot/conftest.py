"""A made-up sweep with all four phases, shaped as measured ones: weight decay x train fraction x seed."""

import numpy as np
import pytest
import xarray as xr

WEIGHT_DECAY = [0.0, 0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 20.0]
TRAIN_FRACTION = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def landscape(seeds=4, steps=range(0, 2050, 50), noise=0.25):
    """Fit at about 60 steps unless decay is too strong; generalise sooner with more data and more decay."""
    rng = np.random.default_rng(0)
    decay, data, _, step = (
        np.asarray(v, float).reshape([-1 if i == j else 1 for j in range(4)])
        for i, v in enumerate((WEIGHT_DECAY, TRAIN_FRACTION, range(seeds), steps))
    )
    jitter = rng.normal(0, noise, (decay.size, data.size, seeds, 1))
    fit = 55 * (1 + data) * (1 + 0.02 * decay) * np.exp(0.3 * jitter)
    generalise = fit + 8000 * np.exp(-7 * data - 0.35 * np.log1p(20 * decay) + jitter) / (1 + decay)
    generalise = np.where((data < 0.27) | ((decay < 0.05) & (data < 0.55)), 1e9, generalise)
    alive = sigmoid((11 - decay * np.exp(jitter)) * 1.2)
    log_step = np.log(np.maximum(step, 1))
    train = 0.01 + 0.99 * alive * sigmoid(6 * (log_step - np.log(fit)) + 2.5)
    test = 0.01 + 0.99 * alive * sigmoid(9 * (log_step - np.log(generalise)) + 2.5)
    return _dataset(train, test, seeds, steps)


def _dataset(train, test, seeds, steps):
    axes = ("weight_decay", "train_fraction", "seed")
    variables = {
        "train_accuracy": train,
        "test_accuracy": np.minimum(test, train + 0.02),
        "train_loss": 4.7 * (1 - train) ** 2 + 1e-4,
        "test_loss": 4.7 * (1 - test) + 0.8 * train * (1 - test) + 1e-3,
    }
    ds = xr.Dataset(
        {name: ((*axes, "step"), np.clip(value, 0, None)) for name, value in variables.items()},
        {
            "weight_decay": WEIGHT_DECAY,
            "train_fraction": TRAIN_FRACTION,
            "seed": np.arange(seeds),
            "step": np.asarray(steps, np.int64),
        },
        {"axes": list(axes)},
    )
    norms = 20 + 10 * train[..., None] * np.array([1.0, 2.0])
    ds["weight_norm_per_tensor"] = ((*axes, "step", "tensor"), norms)
    ds["status"] = (axes, np.zeros(train.shape[:3], int))
    return ds.assign_coords(tensor=["hidden/kernel", "readout/kernel"])


@pytest.fixture(scope="session")
def sweep():
    return landscape()


@pytest.fixture
def shown():
    """Return a function that draws a figure to memory and lists every text in it."""
    import io

    def draw(figure):
        figure.savefig(io.BytesIO(), format="png", dpi=60)
        return [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")) if t.get_text()]

    return draw
