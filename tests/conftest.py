"""JAX gets its CPU devices before any test starts a backend."""

import jax
import pytest

from grokdyn.engine.devices import cores

jax.config.update("jax_num_cpu_devices", cores())


@pytest.fixture
def x64():
    """Allow 64-bit numbers, as the engine does around its programs."""
    with jax.enable_x64(True):
        yield
