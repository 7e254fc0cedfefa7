"""JAX gets its CPU devices before any test starts a backend, and all processes of a session share what they compile."""

import gc
import os
import tempfile

import jax
import pytest

from grokdyn.engine.host.devices import cores
from tests import quick

jax.config.update("jax_num_cpu_devices", cores())

CACHE = "JAX_COMPILATION_CACHE_DIR"
AS_USERS = "as_users"


def pytest_addoption(parser):
    parser.addoption("--as-users", action="store_true", help="compile all programs as users do, none quickly")


def pytest_configure(config):
    """Let pytest's workers, and the processes that tests start, find what another has compiled."""
    if CACHE not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="grokdyn-tests-")
        config.add_cleanup(folder.cleanup)
        os.environ[CACHE] = folder.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    jax.config.update("jax_compilation_cache_dir", os.environ[CACHE])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    # Where an operation was written is noted with each and read by nobody here: a fiftieth of the tests' time.
    jax.config.update("jax_traceback_in_locations_limit", 0)
    # What is imported stays: looking through all of it again and again finds no garbage.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    if not config.getoption("--as-users"):
        quick.install()


def pytest_collection_modifyitems(config, items):
    """Put what is compiled as for users last: all that was compiled is forgotten where one kind follows the other."""
    if not config.getoption("--as-users"):
        items.sort(key=lambda item: item.get_closest_marker(AS_USERS) is not None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Compile quickly, or as for users, before any fixture compiles something."""
    if not item.config.getoption("--as-users"):
        quick.switch(item.get_closest_marker(AS_USERS) is None)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Between two files, let go of programs where they have become many."""
    if nextitem is not None and nextitem.path != item.path:
        quick.forget_if_many()


@pytest.fixture
def x64():
    """Allow 64-bit numbers, as the engine does around its programs."""
    with jax.enable_x64(True):
        yield
