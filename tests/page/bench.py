"""What the page of 10,000 runs costs: python -m tests.page.bench. A benchmark, no test: it asserts nothing."""

import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

import grokdyn as gd
from tests.page.browser import Browser, found

DECAYS, RATES, SEEDS, RECORDS = 25, 40, 10, 51
CLICK = """(async () => {
  const map = document.getElementById('map'), box = map.getBoundingClientRect(), begun = performance.now();
  map.dispatchEvent(new MouseEvent('click', {clientX: box.left + %d, clientY: box.top + 100, bubbles: true}));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  return performance.now() - begun;
})()"""


def results():
    """Return six variables of 10,000 runs with noise in every digit, which no compression shortens."""
    rng, axes = np.random.default_rng(0), ("weight_decay", "learning_rate", "seed")
    decays, rates = np.logspace(-2, 1, DECAYS), np.logspace(-4, -1, RATES)
    level = np.log(rates)[:, None, None] - 0.8 * np.log(decays)[:, None, None, None] + np.linspace(-1, 12, RECORDS)

    def noisy(values):
        shape = (DECAYS, RATES, SEEDS, RECORDS)
        return np.broadcast_to(values, shape) + rng.normal(0, 0.3, shape)

    variables = {
        "train_accuracy": 1 / (1 + np.exp(-noisy(level))),
        "test_accuracy": 1 / (1 + np.exp(-noisy(level - 2))),
        "train_loss": np.exp(-noisy(level)),
        "test_loss": np.exp(-noisy(level / 2)),
        "weight_norm": 20 + np.exp(noisy(0)),
        "gradient_norm": np.exp(-3 * noisy(level / 3)),
    }
    labels = {"weight_decay": decays, "learning_rate": rates, "seed": range(SEEDS), "step": np.arange(RECORDS) * 100}
    ds = xr.Dataset({name: ((*axes, "step"), v) for name, v in variables.items()}, labels, {"axes": " ".join(axes)})
    return ds.astype(np.float32).assign(status=(axes, np.zeros((DECAYS, RATES, SEEDS), int)))


def main():
    folder, ds = Path(tempfile.mkdtemp()), results()
    begun = time.perf_counter()
    path = gd.report(ds, folder / "report.html")
    print(f"written in {time.perf_counter() - begun:.1f} s, {path.stat().st_size / 1e6:.1f} MB")
    if found() is None:
        print("no Chromium here")
        return
    browser = Browser(folder)
    print(f"diagrams drawn {browser.open(path):.2f} s after opening")
    clicks = [browser.value(CLICK % x) for x in (120, 160, 200, 240)]
    print("curves after a click: " + ", ".join(f"{ms:.0f}" for ms in clicks) + " ms")
    browser.close()


if __name__ == "__main__":
    main()
