"""The list of all kinds is read from the source; it says what the classes say, and imports next to nothing."""

import importlib
import inspect
import subprocess
import sys

from grokdyn.catalogue import docstring
from grokdyn.listing import flowing
from grokdyn.spec.places import KINDS


def test_it_says_what_the_classes_say():
    for place in (place for kinds in KINDS.values() for place in kinds.values()):
        module, _, name = place.partition(":")
        assert docstring(place) == inspect.getdoc(getattr(importlib.import_module(module), name))


def test_paragraphs_flow_and_lists_stay():
    words = "What it is,\nin two lines.\n\nMore:\n\n* one\n* two\n\nArgs:\n    x: a number,\n        or none"
    assert flowing(words) == words.replace("is,\nin", "is, in")


def test_it_needs_no_library_of_numbers():
    script = "import sys; from grokdyn.cli import main; main(['list']); print({'jax', 'numpy'} & {*sys.modules})"
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert told.endswith("set()\n")
    assert all(kind in told for kinds in KINDS.values() for kind in kinds)
