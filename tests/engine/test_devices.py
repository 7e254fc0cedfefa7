"""However many devices share the lanes, every run is the same."""

import os
import subprocess
import sys

import numpy as np
import pytest

import grokdyn as gd

CODE = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", 8)
import grokdyn as gd
from grokdyn.engine.machines import here
# 21 runs: no number of devices but one divides them. Float64 losses, dropout and mini-batches draw and round too.
base = gd.Experiment(
    task=gd.ModularArithmetic(p=7, label_noise=0.2), model=gd.MLP(hidden=(12, 9), activation="tanh"),
    loss=gd.CrossEntropy(precision="float64"), optimizer=gd.AdamW(learning_rate=3e-3), steps=60, record=gd.Every(10),
    batch_size=10,
)
axes = {"task.train_fraction": [0.3, 0.5, 0.7], "seed": range(7)}
for count in (1, 2, 4, 8):
    here.devices = lambda: jax.local_devices()[:count]
    gd.run(gd.Sweep(base, axes), out=f"{sys.argv[1]}/{count}", progress=False)
"""


@pytest.mark.slow
def test_one_two_four_and_eight_devices_agree(tmp_path):
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "8"}
    subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], check=True, env=environment)
    one, two, four, eight = (gd.open(tmp_path / str(count)) for count in (1, 2, 4, 8))
    assert all(other.identical(two) for other in (one, four, eight))
    assert np.isfinite(two.train_loss).all()
