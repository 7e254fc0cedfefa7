"""Stores with a flipped bit, an edited character, a file gone: named, repaired or refused, never other numbers."""

import itertools
import random
import shutil
import string
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine import run as engine_run
from grokdyn.engine.loop.batch import Batch
from grokdyn.engine.plan import cohorts as plan
from tests import cases

SWEEP = gd.Sweep(
    cases.tiny(steps=6, record=gd.Every(1), snapshots=(0, 2, 6), probes=(gd.Loss(), gd.WeightNorm())),
    {"optimizer.weight_decay": [0.0, 0.5], "seed": [3, 4]},
)
START = gd.Start(train_rows=list(range(30)))
FORK = {"run": 1, "step": 2, "change": {"optimizer.weight_decay": [0.0, 1.0]}, "progress": False}
TEXTS = (".toml", ".json")


class CutError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module", autouse=True)
def two_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "MOST_LANES", 2)
        yield


def cut(chunks, make):
    """Make a store and end after some chunks."""
    advance, left = Batch.advance, itertools.repeat(None, chunks)

    def counted(self):
        if next(left, CutError) is CutError:
            raise CutError
        advance(self)

    with pytest.MonkeyPatch.context() as patch, suppress(CutError):
        patch.setattr(Batch, "advance", counted)
        make()


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Return stores of several kinds, and what each of them has to give."""
    folder = tmp_path_factory.mktemp("stores")
    whole = gd.run(SWEEP, out=folder / "finished", start=START, progress=False)
    probed = gd.probe(folder / "finished", ["distance_from_init"])
    forked = gd.fork(folder / "finished", out=folder / "fork", **FORK)
    chunks = 10  # the second batch is half way
    cut(chunks, lambda: gd.run(SWEEP, folder / "cut", START, progress=False, checkpoint_seconds=0))
    cut(2, lambda: engine_run.resume(fork_of(folder), checkpoint_seconds=0))
    assert list((folder / "cut/parts").glob("*.npz"))
    assert list((folder / "cut/checkpoints").glob("*/*.npz"))
    assert list((folder / "cut-fork/checkpoints").glob("*/*.npz"))
    return folder, {"finished": whole, "cut": whole, "fork": forked, "cut-fork": forked}, probed, forked


def fork_of(folder):
    """Return the store of a fork that has not begun."""
    cut(0, lambda: gd.fork(folder / "finished", out=folder / "cut-fork", **FORK))
    return folder / "cut-fork"


def flip(file, draw):
    whole = bytearray(file.read_bytes())
    if not whole:
        return ""
    place = draw.randrange(len(whole))
    whole[place] ^= 1 << draw.randrange(8)
    file.write_bytes(whole)
    return f"a bit at {place} of {len(whole)}"


def edit(file, draw):
    text = list(file.read_text())
    place = draw.randrange(len(text))
    before, text[place] = text[place], draw.choice(string.digits + string.ascii_letters + "[]{}=,.\"' \n")
    file.write_text("".join(text))
    return f"{before!r} at {place} is {text[place]!r}"


def take(file, draw):
    shutil.rmtree(file) if file.is_dir() else file.unlink()
    return "gone"


def chosen(path, draw, wanted):
    """Return a file of a store: first one of the kinds that there are, then one of them."""
    kinds = {}
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        kind = (inside.parts[0], file.suffix, file.name if file.suffix in TEXTS else "")
        if wanted(file):
            kinds.setdefault(kind, []).append(file)
    return draw.choice(kinds[draw.choice(sorted(kinds))])


DAMAGES = {
    "flip": (flip, lambda file: file.is_file()),
    "edit": (edit, lambda file: file.suffix in TEXTS),
    "take": (take, lambda file: file.suffix != ".lock"),
}


def refused(error):
    """Return whether a user was told in one line."""
    return isinstance(error, gd.StoreError | gd.SpecError) and "\n" not in str(error)


def check(use, right, told):
    """Check that a use gives what is right, or tells in one line why not; return which."""
    try:
        found = use()
    except Exception as error:
        if refused(error):
            return "refused"
        raise AssertionError(f"{told}: {error!r}") from error
    assert right(found), told
    return "right"


def in_part(whole):
    """Return whether results are those of a store, as far as they are there."""

    def right(found):
        if dict(found.sizes) != dict(whole.sizes):
            whole_then = whole.reindex({d: found[d] for d in found.dims if d in found.coords})
        else:
            whole_then = whole
        there = found.status == 0
        for name in set(found.data_vars) - {"status", "diverged_at", "stopped_at"}:
            a, b = found[name].values, whole_then[name].values
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            told = there.values.reshape(there.shape + (1,) * (a.ndim - there.ndim))
            if not (same | (np.isnan(a) & ~told)).all():
                return False
        return True

    return right


def trial(stores, tmp_path, kind, draw):
    """Damage a store, use it in all ways, and return how each went."""
    folder, wholes, probed, forked = stores
    name = draw.choice(sorted(wholes))
    path = tmp_path / "s"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(folder / name, path)
    how, wanted = DAMAGES[kind]
    file = chosen(path, draw, wanted)
    told = f"{kind} of {file.relative_to(path)} in {name}: {how(file, draw)}"
    went = [check(lambda: gd.open(path), in_part(wholes[name]), told)]
    went.append(check(lambda: gd.open(path, anyway=True), in_part(wholes[name]), told))
    if name == "finished":
        went.append(check(lambda: gd.probe(path, ["distance_from_init"]), probed.identical, told))
        went.append(check(lambda: gd.fork(path, **FORK), forked.identical, told))
    went.append(check(lambda: gd.resume(path, progress=False), wholes[name].identical, told))
    if went[-1] == "right":
        went.append(check(lambda: gd.open(path), wholes[name].identical, told))
        assert went[-1] == "right", told
    return went


def try_all(stores, tmp_path, seed, counts):
    draw, seen = random.Random(seed), Counter()
    for kind, count in counts.items():
        for _ in range(count):
            seen[kind, *trial(stores, tmp_path, kind, draw)] += 1
    print(*(f"{count} x {' '.join(went)}" for went, count in sorted(seen.items())), sep="\n")


def test_a_damaged_store_never_gives_other_numbers(stores, tmp_path):
    try_all(stores, tmp_path, 5, {"flip": 6, "edit": 4, "take": 2})


@pytest.mark.slow
def test_hundreds_of_damages_never_give_other_numbers(stores, tmp_path):
    try_all(stores, tmp_path, 2026, {"flip": 200, "edit": 100, "take": 30})
