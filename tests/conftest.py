"""JAX gets its CPU devices before any test starts a backend, and all processes of a session share what they compile."""

import os
import tempfile

import jax
import pytest

from grokdyn.engine.host.devices import cores

jax.config.update("jax_num_cpu_devices", cores())

CACHE = "JAX_COMPILATION_CACHE_DIR"


def pytest_configure(config):
    """Let pytest's workers, and the processes that tests start, find what another has compiled."""
    if CACHE not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="grokdyn-tests-")
        config.add_cleanup(folder.cleanup)
        os.environ[CACHE] = folder.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    jax.config.update("jax_compilation_cache_dir", os.environ[CACHE])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


@pytest.fixture
def x64():
    """Allow 64-bit numbers, as the engine does around its programs."""
    with jax.enable_x64(True):
        yield
