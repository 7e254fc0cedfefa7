"""Kills at random moments while a store is extended: processes of their own, as users have."""

import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter

import pytest

import grokdyn as gd
from tests.engine import test_extend
from tests.engine.test_extend import NEW, OLD, same

pytestmark = [pytest.mark.as_users, pytest.mark.slow]
KILLS = 30
EXTEND = """
import json, sys
import grokdyn as gd
print("ready", flush=True)
gd.extend(sys.argv[1], json.loads(sys.argv[2]), progress=False, checkpoint_seconds=0)
"""

# The same points in stores of this module's own, trained by programs as users have them.
old, store, whole = test_extend.old, test_extend.store, test_extend.whole


def test_thirty_kills_of_an_extension_change_no_bit(store, whole, tmp_path):
    draw, seen, tries, longest = random.Random(30), Counter(), 0, None
    while seen.total() < KILLS:
        path, tries = shutil.copytree(store, tmp_path / str(tries)), tries + 1
        command = [sys.executable, "-c", EXTEND, str(path), json.dumps(NEW)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        began, delay = time.monotonic(), float("inf") if longest is None else draw.uniform(0, longest)
        while process.poll() is None and time.monotonic() - began < delay:
            time.sleep(0.001)
        killed = process.poll() is None
        longest = longest or time.monotonic() - began  # the first is never killed, and tells how long it takes
        process.kill()
        process.communicate()
        if killed:
            found = gd.open(path)
            seen["all" if found.sizes["run"] == len(OLD + NEW) else "old"] += 1
            found = gd.resume(path, progress=False)
            same(found if found.sizes["run"] == len(OLD + NEW) else gd.extend(path, NEW, progress=False), whole)
    print(dict(seen), "of", tries)
    assert set(seen) == {"old", "all"}
