"""Results that are damaged, or made to harm whoever opens them: named, read as far as they are whole, never run."""

import json
import os
import pickle
import random
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

import grokdyn as gd
from grokdyn.engine.loop import train
from grokdyn.engine.store import damage, metadata, reading, regular
from grokdyn.engine.store import folder as store
from grokdyn.engine.store.checked import Checked
from tests import cases

SWEEP = gd.Sweep(cases.tiny(steps=2, record=gd.Every(1)), {"optimizer.weight_decay": [0.0, 0.5], "seed": [3, 4]})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("stores") / "s"
    return out, gd.run(SWEEP, out=out, progress=False)


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "s")


def reseal(path, **changes):
    """Write a store's checksums as its maker would."""
    known = reading.read_manifest(path)
    sums = {"results.zarr": damage.checksums(path / "results.zarr")}
    store.write_manifest(path, {**known, "checksums": sums, **changes})


def older(path):
    """Take from a manifest what earlier versions did not note."""
    known = json.loads((path / "manifest.json").read_text())
    kept = {name: value for name, value in known.items() if name not in ("axes", "results", "seal", "given")}
    (path / "manifest.json").write_text(json.dumps(kept))


def flip(file, draw):
    whole = bytearray(file.read_bytes())
    whole[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
    file.write_bytes(whole)


DESCRIBING = ("zarr.json", "*/zarr.json", "step/c/0", "seed/c/0", "tensor/c/0", "weight_decay/c/0")


@pytest.mark.parametrize("version", ["present", "older"])
def test_metadata_and_coordinates_that_are_lost_are_made_anew(made, tmp_path, version, monkeypatch):
    """Bit flips in any of them, and removal: named, then all of it read, then mended without training."""
    draw = random.Random(7)
    monkeypatch.setattr(train, "train_batch", None)
    names = sorted({file.relative_to(made[0] / "results.zarr").as_posix() for pattern in DESCRIBING
                    for file in (made[0] / "results.zarr").glob(pattern)})  # fmt: skip
    assert len(names) > 12
    for i, name in enumerate(names):
        path = shutil.copytree(made[0], tmp_path / str(i))
        if version == "older":
            older(path)
        flip(path / "results.zarr" / name, draw)
        with pytest.raises(gd.StoreError, match=f"is damaged: 1 of .* files, such as {name};"):
            gd.open(path)
        if (version, name) == ("older", "tensor/c/0"):  # names that only the model could tell
            with pytest.raises(gd.StoreError, match="nothing can be read without them"):
                gd.open(path, anyway=True)
            continue
        assert gd.open(path, anyway=True).identical(made[1]), name
        if name in ("zarr.json", "seed/c/0"):
            assert gd.resume(path, progress=False).identical(made[1])
            assert gd.open(path).identical(made[1])


def test_all_metadata_may_be_lost_at_once(made, copy):
    for file in [*(copy / "results.zarr").rglob("zarr.json"), *(copy / "results.zarr").glob("se*/c/0")]:
        file.unlink()
    assert gd.open(copy, anyway=True).identical(made[1])


def test_an_array_of_which_nothing_is_known_is_left_out_and_trained_again(made, copy, capsys):
    older(copy)
    (copy / "results.zarr/zarr.json").unlink()
    (copy / "results.zarr/train_loss/zarr.json").unlink()
    rest = gd.open(copy, anyway=True)
    assert "train_loss" not in rest
    np.testing.assert_array_equal(rest.test_loss, made[1].test_loss)
    assert "left out what is damaged" in capsys.readouterr().err or (rest.status == 0).all()


def test_a_lost_manifest_is_told_and_results_are_read(made, copy, capsys):
    (copy / "manifest.json").unlink()
    assert gd.open(copy).identical(made[1])
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "manifest.json' is not there: results are read without their checksums" in told
    chunk = copy / "results.zarr/test_loss/c/0/0/0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(gd.StoreError, match="is damaged"):
        gd.open(copy)
    rest = gd.open(copy, anyway=True)
    assert rest.test_loss.isnull().all()
    assert (rest.status == -1).all()
    chunk.write_bytes(whole)
    file = copy / "results.zarr/test_loss/zarr.json"
    file.write_text(file.read_text().replace('"shape": [', '"shape": [ '))
    assert gd.open(copy).identical(made[1])
    file.write_text(file.read_text().replace('"fill_value": "NaN"', '"fill_value": 0.0'))
    with pytest.raises(gd.StoreError, match="'test_loss' is described in two ways"):
        gd.open(copy)


class Attack:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def pickled_in_format_2(place, mark, **how):
    """Write an array of objects of zarr's format 2, whose bytes are a pickle."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    told = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None, "order": "C"}
    told |= {"compressor": None, "filters": None, **how}
    (place / ".zarray").write_text(json.dumps(told))
    (place / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["x"]}))
    (place / "0").write_bytes(pickle.dumps(Attack(mark)))


ATTACKS = {"filter": {"filters": [{"id": "pickle"}]}, "compressor": {"compressor": {"id": "pickle"}}}


@pytest.mark.parametrize("how", ATTACKS)
@pytest.mark.parametrize("where", ["", "train_loss", "extra"])
def test_a_pickle_in_results_is_never_loaded(made, copy, tmp_path, how, where):
    mark, place = tmp_path / "ran", copy / "results.zarr"
    if where:
        pickled_in_format_2(place / where, mark, **ATTACKS[how])
        (place / ".zmetadata").write_text(json.dumps({"zarr_consolidated_format": 1, "metadata": {}}))
    else:
        pickled_in_format_2(place / "a", mark, **ATTACKS[how])
        for name in ("zarr.json", *(f"{file.name}/zarr.json" for file in place.iterdir())):
            (place / name).unlink(missing_ok=True)
        (place / ".zgroup").write_text('{"zarr_format": 2}')
    for changes in ({}, {"results": {"metadata": {}, "coordinates": {}}}):
        if changes:
            known = reading.read_manifest(copy)
            store.write_manifest(copy, {name: value for name, value in known.items() if name != "results"})
        reseal(copy)
        for anyway in (False, True):
            if where and (where == "extra" or anyway):
                np.testing.assert_array_equal(gd.open(copy, anyway=anyway).test_loss, made[1].test_loss)
            else:
                with pytest.raises(gd.StoreError):
                    gd.open(copy, anyway=anyway)
            assert not mark.exists()


STRANGE = {
    "codec": ({"codecs": [{"name": "numcodecs.pickle", "configuration": {}}]}, "codec 'numcodecs.pickle'; allowed: by"),
    "dtype": ({"data_type": {"name": "null_terminated_bytes", "configuration": {}}}, "data type 'null_terminated_b"),
    "object": ({"data_type": "object"}, "data type 'object'; allowed: bool"),
    "transformer": ({"storage_transformers": [{"name": "x"}]}, "unknown metadata 'storage_transformers'"),
    "field": ({"evil": {"must_understand": False}}, "unknown metadata 'evil'"),
    "size": ({"shape": [2**30, 2**30, 2]}, "a shape or chunks that cannot be"),
    "dims": ({"dimension_names": [1, 2, 3]}, "names of dimensions that cannot be"),
}


@pytest.mark.parametrize("how", STRANGE)
def test_metadata_that_could_do_anything_but_hold_numbers_is_refused_in_a_line(made, copy, how):
    changes, told = STRANGE[how]
    file, root = copy / "results.zarr/train_loss/zarr.json", copy / "results.zarr/zarr.json"
    text = json.loads(file.read_text()) | changes
    file.write_text(json.dumps(text))
    whole = json.loads(root.read_text())
    whole["consolidated_metadata"]["metadata"]["train_loss"] = text
    root.write_text(json.dumps(whole))
    known = reading.read_manifest(copy)
    store.write_manifest(copy, {name: value for name, value in known.items() if name != "results"})
    reseal(copy)
    with pytest.raises(gd.StoreError, match=f"'train_loss': {told}") as raised:
        gd.open(copy)
    assert "\n" not in str(raised.value)
    rest = gd.open(copy, anyway=True)
    assert "train_loss" not in rest
    np.testing.assert_array_equal(rest.test_loss, made[1].test_loss)


LINKED = ("results.zarr/train_loss/c/0/0/0", "results.zarr/zarr.json", "results.zarr/step", "results.zarr",
          "spec.toml", "manifest.json")  # fmt: skip


@pytest.mark.parametrize("name", LINKED)
def test_links_out_of_a_store_are_not_followed(made, copy, tmp_path, name):
    file, other = copy / name, tmp_path / "elsewhere"
    shutil.move(file, other)
    file.symlink_to(other)
    with pytest.raises(gd.StoreError, match=r"a link that points out of the store|nothing says") as raised:
        gd.open(copy)
    assert "\n" not in str(raised.value)
    file.unlink()
    inside = copy / "figures"
    inside.mkdir()
    shutil.move(other, inside / "kept")
    file.symlink_to(os.path.relpath(inside / "kept", file.parent))
    if name not in ("results.zarr/step",):  # links to files within the store are, and to all of its results
        assert gd.open(copy).identical(made[1])


@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
@pytest.mark.parametrize("name", ["results.zarr/train_loss/c/0/0/0", "results.zarr/zarr.json", "spec.toml",
                                  "manifest.json"])  # fmt: skip
def test_only_regular_files_are_read(copy, name, what):
    file = copy / name
    file.unlink()
    if what == "pipe":
        os.mkfifo(file)
    elif what == "device":
        file.symlink_to("/dev/zero")
    else:
        file.mkdir()
    with pytest.raises(gd.StoreError, match=r"a pipe or a device|points out of the store|is a folder|\(a folder\)"):
        gd.open(copy)


def test_a_pipe_among_the_pieces_of_an_unfinished_store_is_told(made, copy):
    shutil.rmtree(copy / "results.zarr")
    store.unsettle(copy, reading.read_manifest(copy))
    for where in ("sessions", "parts"):
        (copy / where).mkdir(exist_ok=True)
        os.mkfifo(copy / where / ("x.json" if where == "sessions" else "000000.npz"))
    with pytest.raises(gd.StoreError, match=r"000000\.npz' is a pipe or a device; allowed: a regular file"):
        gd.open(copy)
    assert (gd.open(copy, anyway=True).status == -1).all()


def test_what_the_system_refuses_to_read_is_not_called_damaged(copy, monkeypatch):
    """Root may read anything, so the system's refusal is played."""
    first, opened = str(copy / "results.zarr/test_loss/c/0/0/0"), open

    def refused(file, *rest, **more):
        if str(file) == first:
            raise PermissionError(13, "Permission denied", first)
        return opened(file, *rest, **more)

    monkeypatch.setattr("builtins.open", refused)
    told = (
        r"cannot be read: 1 of .*test_loss/c/0/0/0 \(unreadable, Permission denied\); allowed: files that you may read"
    )
    for use in (gd.open, lambda path: gd.resume(path, progress=False)):
        with pytest.raises(gd.StoreError, match=told):
            use(copy)
    monkeypatch.setattr("builtins.open", opened)

    def closed(folder, topdown=True, onerror=None, followlinks=False):
        onerror(PermissionError(13, "Permission denied", str(folder)))
        yield from ()

    monkeypatch.setattr(damage.os, "walk", closed)
    with pytest.raises(gd.StoreError, match=r"results\.zarr' cannot be read: Permission denied$"):
        gd.open(copy)


def test_results_that_are_a_file_are_told(copy):
    shutil.rmtree(copy / "results.zarr")
    (copy / "results.zarr").write_text("")
    with pytest.raises(gd.StoreError, match=r"results\.zarr' is damaged: it is no folder; remove it"):
        gd.open(copy)


def test_zarr_sees_only_what_was_looked_at(made):
    texts = {"zarr.json": b'{"zarr_format": 3, "node_type": "group"}'}
    shown = Checked(texts, {}, made[0])
    assert list(zarr.open_group(shown, mode="r").keys()) == []
    assert metadata.problem({}) == "it is no array of zarr's format 3"
    assert regular.irregular(made[0] / "nothing", made[0]) == ""
    assert xr.open_zarr(made[0] / "results.zarr").load().identical(made[1]), "it stays what any reader can read"
