"""Processes that tests start, whose bits are those of this one."""

from contextlib import contextmanager

import pytest

from tests import quick


@contextmanager
def processes_alike():
    """Have processes that are started compile as this one does, and stores note that all of them do."""
    flags = quick.environment()["XLA_FLAGS"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", flags)
        yield
