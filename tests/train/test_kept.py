"""Programs kept between processes: found again, never a damaged one or another's, never too many, never an error."""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src import compilation_cache

from grokdyn.train import kept
from grokdyn.train.kept import Kept, keeping

VALUE = bytes(range(256)) * 8


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return where programs are kept, with a JAX that has no cache of the tests."""
    monkeypatch.setenv("GROKDYN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compilation_cache, "_cache", None)
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", None)
    yield tmp_path / "cache/programs"
    jax.config.update("jax_compilation_cache_dir", before)


def compiled(monkeypatch, offset=0.0):
    """Return a result of a program compiled within ``keeping``, and how often JAX found one."""
    hits = []
    real = Kept.get
    monkeypatch.setattr(Kept, "get", lambda self, key: hits.append(real(self, key)) or hits[-1])
    with keeping():
        found = jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x) + offset)(np.arange(9.0, dtype=np.float32).reshape(3, 3))
        found.block_until_ready()
    monkeypatch.setattr(Kept, "get", real)
    return np.asarray(found), sum(hit is not None for hit in hits)


def test_a_program_is_found_again_and_is_the_same(root, monkeypatch):
    first, hits = compiled(monkeypatch)
    assert not hits
    (folder,) = root.iterdir()
    assert list(folder.iterdir())
    again, hits = compiled(monkeypatch)
    assert hits
    assert np.array_equal(first, again)
    other, hits = compiled(monkeypatch, offset=1.0)
    assert not hits
    assert not np.array_equal(first, other)


def test_a_damaged_program_is_compiled_anew(root, monkeypatch):
    first, _ = compiled(monkeypatch)
    for file in kept.files(root):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    again, hits = compiled(monkeypatch)
    assert not hits
    assert np.array_equal(first, again)
    assert compiled(monkeypatch)[1], "what was compiled anew is kept"


@pytest.mark.parametrize("how", ["flipped", "cut off", "empty", "another's"])
def test_what_is_not_whole_or_not_its_own_is_not_given_out(tmp_path, how):
    cache = Kept(tmp_path)
    cache.put("one", VALUE)
    cache.put("other", VALUE[::-1])
    assert cache.get("one") == VALUE
    file, data = cache.file("one"), cache.file("one").read_bytes()
    for place in range(0, len(data), 101):
        wrong = {
            "flipped": data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :],
            "cut off": data[:place],
            "empty": b"",
            "another's": cache.file("other").read_bytes(),
        }[how]
        file.write_bytes(wrong)
        assert cache.get("one") is None
        assert not file.exists()
    cache.put("one", VALUE)
    assert cache.get("one") == VALUE


def test_a_kill_at_any_moment_leaves_nothing_that_is_taken(tmp_path, monkeypatch):
    """Before a file is renamed it is under no key; what lies about is removed later."""
    cache = Kept(tmp_path / "here")
    cache._path.mkdir()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            cache.put("one", VALUE)
    assert cache.get("one") is None
    left = cache._path / "0123.tmp"
    left.write_bytes(VALUE[:100])
    os.utime(left, (0, time.time() - 2 * kept.STALE_SECONDS))
    fresh = cache._path / "4567.tmp"
    fresh.write_bytes(VALUE[:100])
    cache.put("one", VALUE)
    assert not left.exists()
    assert fresh.exists(), "somebody may be writing it"


def test_the_longest_unused_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST_BYTES", 3 * (len(VALUE) + kept.SEAL))
    cache = Kept(tmp_path / "here")
    cache._path.mkdir()
    for i, key in enumerate("abc"):
        cache.put(key, VALUE)
        os.utime(cache.file(key), (0, 1000 + i))
    assert cache.get("a") == VALUE  # used now
    cache.put("d", VALUE)
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]


def test_no_place_no_room_and_no_right_are_no_error(root, monkeypatch):
    root.parent.mkdir()
    root.write_text("a file in the way")
    assert not compiled(monkeypatch)[1]
    root.unlink()
    compiled(monkeypatch)
    (folder,) = root.iterdir()
    folder.chmod(0o777)
    assert not compiled(monkeypatch)[1], "what others can write is not run"
    folder.chmod(0o700)
    assert compiled(monkeypatch)[1]
    monkeypatch.setenv("GROKDYN_CACHE_DIR", "")
    assert kept.folder_here() is None
    assert not compiled(monkeypatch)[1]
    Kept(root / "not there").put("one", VALUE)
    assert Kept(root / "not there").get("one") is None


def test_other_machines_and_versions_have_folders_of_their_own(monkeypatch):
    here = kept.machine()
    assert here == kept.machine()
    with monkeypatch.context() as patch:
        patch.setattr(kept, "processor", lambda: ("another", "sse2"))
        assert kept.machine() != here
    monkeypatch.setattr(kept.jax, "__version__", "0.0.1")
    assert kept.machine() != here


def test_jax_is_left_as_it_was(root):
    before = jax.config.jax_persistent_cache_min_compile_time_secs
    with keeping(), keeping():
        assert isinstance(compilation_cache._cache, Kept)
    assert compilation_cache._cache is None
    assert jax.config.jax_persistent_cache_min_compile_time_secs == before
    jax.config.update("jax_compilation_cache_dir", str(root.parent))
    with keeping():
        assert not isinstance(compilation_cache._cache, Kept), "a cache of the user's own is used"
