"""Processes killed while they keep programs: whoever comes after computes the same, and finds what was whole."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.as_users, pytest.mark.slow]

KILLS = 50
# A folder of programs for so many kills, so that every process still has some to write.
KILLS_A_FOLDER = 10
# Each program holds eight megabytes that nothing compresses: its write takes some milliseconds.
PROGRAMS = """
import sys
import jax
import numpy as np
from grokdyn.train.kept import Kept, keeping

found, real = [], Kept.get
Kept.get = lambda self, key: found.append(real(self, key)) or found[-1]
print("ready", flush=True)
with keeping():
    for i in range(int(sys.argv[1])):
        numbers = np.random.default_rng(i).random(2_000_000, np.float32)
        product = jax.jit(lambda x: x * numbers)(np.float32(3))
        assert np.array_equal(product, np.float32(3) * numbers), i
        print(i, sum(value is not None for value in found), flush=True)
"""


def begun(root, programs):
    """Return a process that compiles programs, or finds them, once it has begun to."""
    user = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_", "PYTEST_"))}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAMS, str(programs)],
        env={**user, "GROKDYN_CACHE_DIR": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.stderr.read() if process.stderr else ""
    return process


def unfinished(root):
    """Return the files that are being written, or were left so."""
    return list(root.glob("programs/*/*.tmp"))


def moment(process, root, draws, kill):
    """Wait for when to kill: a random moment, or, every other time, one in a write."""
    time.sleep(draws.uniform(0.1, 2.0))
    while kill % 2 and process.poll() is None and not unfinished(root):
        pass


def test_fifty_kills_while_programs_are_written(tmp_path):
    draws, in_a_write = random.Random(0), 0
    for kill in range(KILLS):
        root = tmp_path / str(kill // KILLS_A_FOLDER)
        process = begun(root, 1000)
        moment(process, root, draws, kill)
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors
        left = unfinished(root)
        in_a_write += bool(left)
        for file in left:  # so that the next one counts for itself
            file.unlink()
    print(in_a_write, "of", KILLS, "kills in a write")
    assert in_a_write >= KILLS // 10, "too few kills fell into a write"
    for root in tmp_path.iterdir():
        process = begun(root, 30)
        told, errors = process.communicate()
        assert process.returncode == 0, errors
        assert int(told.split()[-1]) > 0, "nothing was found of what was whole"
