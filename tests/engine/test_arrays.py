"""Arrays in a file of their own: no flipped bit goes unseen, wherever it is."""

import os
import stat

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.engine.store.arrays import arrays_in, check_note, write_arrays
from grokdyn.engine.store.files import beside, remove_left, sync_all, write_text

ARRAYS = {"a": np.arange(12.0).reshape(3, 4), "b.W_0": np.int64(7), "text": np.frombuffer(b"what", np.uint8)}
NOTE = {"sweep": "one", "batch": "000001"}


@pytest.fixture(params=[True, False], ids=["packed", "plain"])
def written(request, tmp_path):
    write_arrays(tmp_path / "x.npz", ARRAYS, NOTE, packed=request.param)
    return tmp_path / "x.npz"


def read(place, note=NOTE):
    with arrays_in(place, note) as found:
        return {name: found[name] for name in found.files}


def test_arrays_are_read_as_they_were_written_also_by_numpy_alone(written):
    with np.load(written) as plain:
        for found in (read(written), {name: plain[name] for name in plain.files}):
            assert list(found) == list(ARRAYS)
            for name, array in ARRAYS.items():
                np.testing.assert_array_equal(found[name], array)
                assert found[name].dtype == array.dtype


def test_every_flipped_bit_is_found(written):
    whole = written.read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        written.write_bytes(flipped)
        with pytest.raises(gd.StoreError, match=r"x\.npz' is damaged"):
            read(written, None)


def test_every_missing_end_is_found(written):
    whole = written.read_bytes()
    for length in range(len(whole)):
        written.write_bytes(whole[:length])
        with pytest.raises(gd.StoreError, match=r"x\.npz' is damaged"):
            read(written, None)


def test_equal_arrays_make_equal_files(written, tmp_path):
    packed = written.stat().st_size < 900
    write_arrays(tmp_path / "y.npz", ARRAYS, NOTE, packed=packed)
    assert (tmp_path / "y.npz").read_bytes() == written.read_bytes()


def test_what_belongs_to_something_else_is_refused(written):
    with pytest.raises(gd.StoreError, match=r"belongs to something else \(sweep one\)"):
        read(written, {**NOTE, "sweep": "other"})
    with pytest.raises(gd.StoreError, match=r"something else \(batch 000001\)"):
        read(written, {**NOTE, "batch": "000002"})


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_an_earlier_version_wrote_is_read_where_it_made_the_store(tmp_path, save):
    save(tmp_path / "old.npz", **ARRAYS)
    np.testing.assert_array_equal(read(tmp_path / "old.npz", {"sweep": ""})["a"], ARRAYS["a"])
    with pytest.raises(gd.StoreError, match="belongs to something else"):
        read(tmp_path / "old.npz", NOTE)
    check_note(tmp_path, None, None, "")


def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises(gd.StoreError, match="not a regular file"):
            read(tmp_path / name)


def test_files_and_folders_have_the_users_mode(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "x")
        with beside(tmp_path / "folder", folder=True) as made:
            made.replace(tmp_path / "folder")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "folder")]
    assert modes == [0o640, 0o750]


def test_only_what_somebody_of_ours_left_is_removed(tmp_path):
    store, outside = tmp_path / "store", tmp_path / "outside"
    name = f"results.zarr.{'0' * 32}.tmp"
    for folder in (store, outside, store / name.replace("0", "1"), store / "mine.tmp"):
        folder.mkdir()
    for file in (store / name, store / "notes.tmp", outside / name):
        file.write_text("x")
    (store / f"link.{'2' * 32}.tmp").symlink_to(outside)
    (store / "parts").symlink_to(outside)
    with beside(store / "at-work") as busy:
        remove_left(store)
        remove_left(store / "parts")
        assert sorted(p.name for p in store.iterdir()) == sorted(
            [busy.name, f"link.{'2' * 32}.tmp", "mine.tmp", "notes.tmp", "parts"]
        )
    assert (outside / name).read_text() == "x"
    sync_all(store)
