"""A store is used as what it was made, or it is said what of it has changed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.cli import main
from grokdyn.engine.store import folder as store
from grokdyn.engine.store import manifest, reading
from grokdyn.spec.places import KINDS
from tests import cases
from tests.test_imports import ROOT, imported

SWEEP = gd.Sweep(cases.tiny(steps=4, record=gd.Every(2), snapshots=(0, 4)), {"seed": [3, 4]})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("stores") / "s"
    return out, gd.run(SWEEP, out=out, progress=False)


@pytest.fixture
def finished(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "s")


@pytest.fixture
def unfinished(finished):
    """Return a store whose results are still to be trained."""
    shutil.rmtree(finished / "results.zarr")
    store.unsettle(finished, reading.read_manifest(finished))
    return finished


USES = {
    "open": gd.open,
    "info": lambda path: command("info", path),
    "plot": lambda path: command("plot", path),
    "probe": lambda path: gd.probe(path, ["weight_norm"]),
    "fork": lambda path: gd.fork(path, run=0, step=4, change={"steps": 6}, progress=False),
    "resume": lambda path: gd.resume(path, progress=False),
}


def command(*words):
    """Run a command; raise what it told as an error."""
    from grokdyn import commands
    from grokdyn.parser import parser

    options = parser().parse_args([str(word) for word in words])
    assert options.command in vars(commands).values()
    return options.command(options, {})


def replaced(file, old, new):
    text = file.read_text()
    assert text.count(old) == 1, (old, text)
    file.write_text(text.replace(old, new))


EDITS = {
    "steps = 4": ("steps = 5", "steps was 4, is 5"),
    "learning_rate = 0.01": ("learning_rate = 0.02", r"optimizer\.learning_rate was 0\.01, is 0\.02"),
    'kind = "cross_entropy"': ('kind = "stablemax"', r"loss\.kind was cross_entropy, is stablemax"),
    "\np = 7": ("\nq = 7", r"task\.p was 7, is nothing; task\.q was nothing, is 7"),
    "seed = [": ("seed = [9, ", r"sweep\.seed was \[3, 4\], is \[9, 3, 4\]"),
    "steps = 4\n": ("steps 4\n", "it is no TOML, Expected '='"),
}


def edited(path, text):
    """Edit a spec at the first place of a text."""
    new, told = EDITS[text]
    file = path / "spec.toml"
    whole = file.read_text()
    whole = whole.replace("seed = [\n    3,\n    4,\n]", "seed = [3, 4]")
    assert text in whole, whole
    file.write_text(whole.replace(text, new, 1))
    return told


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("text", EDITS)
def test_a_spec_that_was_edited_is_never_used_in_silence(finished, text, use):
    told = edited(finished, text)
    before = sorted(finished.rglob("*"))
    with pytest.raises(gd.StoreError, match=rf"spec\.toml.* is damaged or was changed: {told}") as raised:
        USES[use](finished)
    assert "\n" not in str(raised.value)
    assert sorted(finished.rglob("*")) == before
    assert ("grokdyn fork" in str(raised.value)) == ("steps 4" not in EDITS[text][0])


def test_an_edited_spec_is_told_where_results_are_asked_for_anyway(made, finished):
    edited(finished, "steps = 4")
    assert gd.open(finished, anyway=True).identical(made[1])
    assert gd.probe(finished, ["weight_norm"], anyway=True).step.values.tolist() == [0, 4]


def test_blanks_and_comments_change_nothing(made, finished):
    file = finished / "spec.toml"
    file.write_text("# mine\n\n" + file.read_text().replace("steps = 4", "steps  =  4  # few"))
    for use in ("open", "resume"):
        assert USES[use](finished).identical(made[1])


@pytest.mark.parametrize("name", ["spec", "cohorts", "checksums", "jax", "finished", "sessions", "device_kind"])
def test_an_edit_in_the_manifest_is_found_and_named(made, finished, name):
    file = finished / "manifest.json"
    known = json.loads(file.read_text())
    other = {"spec": known["spec"].replace("steps = 4", "steps = 5"), "finished": False, "sessions": []}
    file.write_text(json.dumps({**known, name: other.get(name, [])}))
    for use in USES.values():
        with pytest.raises(gd.StoreError, match=rf"manifest\.json' is damaged or was changed: {name}"):
            use(finished)
    assert gd.open(finished, anyway=True).identical(made[1])


@pytest.mark.parametrize(
    "text", ["[]", "3", '"x"', "null", '{"spec": 3}', '{"cohorts": [1]}', '{"sessions": {"a": 1}}']
)
def test_a_manifest_of_other_types_is_told_in_a_line(finished, text):
    (finished / "manifest.json").write_text(text)
    for use in USES.values():
        with pytest.raises(gd.StoreError, match=r"manifest\.json' is damaged or was changed: \w+"):
            use(finished)


@pytest.mark.parametrize("name", ["spec.toml", "manifest.json"])
def test_bytes_that_are_no_text_are_told_with_what_can_be_done(made, finished, name):
    file = finished / name
    whole = file.read_bytes()
    for place in range(0, len(whole), len(whole) // 20):
        file.write_bytes(whole[:place] + bytes([whole[place] | 0x80]) + whole[place + 1 :])
        with pytest.raises(gd.StoreError, match=rf"{name}' (is damaged|cannot be read).* remove it, and") as raised:
            gd.open(finished)
        assert "\n" not in str(raised.value)
        assert gd.open(finished, anyway=True).identical(made[1])


def test_a_manifest_without_checksums_of_its_own_is_still_read(made, finished):
    file = finished / "manifest.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in known.items() if name != "seal"}))
    assert gd.open(finished).identical(made[1])
    assert gd.probe(finished, ["weight_norm"]).sizes["step"] == 2


@pytest.mark.parametrize("name", ["jax", "source", "random", "xla_flags", "device_kind"])
@pytest.mark.parametrize("use", ["probe", "fork"])
def test_states_of_other_versions_and_settings_are_taken_up_only_where_told(made, finished, use, name, capsys):
    before = USES[use](made[0])
    store.write_manifest(finished, {**reading.read_manifest(finished), name: "another"})
    with pytest.raises(gd.StoreError, match=rf"cannot {use}: {name} was another, is .*; allowed: .*anyway=True"):
        USES[use](finished)
    arguments = ["--add", "weight_norm"] if use == "probe" else ["--run", "0", "--step", "4", "--out", finished / "f"]
    assert main([use, str(finished), *map(str, arguments)]) == 2
    capsys.readouterr()
    if use == "probe":
        assert gd.probe(finished, ["weight_norm"], anyway=True).equals(before)
    else:
        again = gd.fork(finished, run=0, step=4, change={"steps": 6}, progress=False, anyway=True)
        np.testing.assert_array_equal(again.train_loss, before.train_loss)
    assert f"grokdyn: {use} although {name} was another, is " in capsys.readouterr().err


def test_a_damaged_entry_of_the_manifest_can_be_left_out(made, unfinished, capsys):
    file = unfinished / "manifest.json"
    file.write_text(file.read_text().replace('"jax": "', '"jax": "1'))
    with pytest.raises(gd.StoreError, match=r"was changed: jax; remove it, and its copy takes its place"):
        USES["resume"](unfinished)
    assert gd.resume(unfinished, progress=False, anyway=True).identical(made[1])
    assert gd.open(unfinished).identical(made[1])


def test_damaged_results_of_other_versions_are_left_as_they_are(finished):
    store.write_manifest(finished, {**reading.read_manifest(finished), "jax": "another"})
    chunk = finished / "results.zarr/train_loss/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    before = sorted(finished.rglob("*"))
    with pytest.raises(gd.StoreError, match="cannot resume: jax was another"):
        USES["resume"](finished)
    assert sorted(finished.rglob("*")) == before


def closure(files):
    """Return all files of the package that some files import, one after the other."""
    found, todo = set(), list(files)
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += [place for name in imported(ROOT / file) for place in places(name)]
    return found


def places(name):
    parts = Path(*name.split(".")[1:]) if name.startswith("grokdyn.") else None
    wanted = [parts.with_suffix(".py"), parts / "__init__.py"] if parts else []
    return [place for place in wanted if (ROOT / place).is_file()]


def test_the_digest_of_the_source_covers_what_makes_the_numbers():
    """What trains, probes and stops, and all that it imports; what is left out is left out by name."""
    known = set(manifest.sources())
    makers = [f"{part}/{file.name}" for part in ("train", "probes") for file in (ROOT / part).glob("*.py")]
    rooms = {"loop": ("batch", "train"), "store": ("results",), "plan": ("plan", "schedule")}
    engine = [f"engine/{name}.py" for name in ("run", "probing", "fork", "rounds", "mend")]
    engine += [f"engine/{room}/{name}.py" for room, names in rooms.items() for name in names]
    needed = {str(file) for file in closure(map(Path, [*makers, *engine, "spec/stop.py", "spec/places.py"]))}
    kinds = {place.partition(":")[0] for kinds in KINDS.values() for place in kinds.values()}
    needed |= {str(file) for file in closure(file for kind in kinds for file in places(kind))}
    only_tell = {f"engine/host/{name}.py" for name in ("progress", "interrupt", "say")}
    only_tell |= {f"engine/loop/{name}.py" for name in ("estimate", "speed")}
    elsewhere = {f"engine/machines/{name}.py" for name in ("cluster", "connect", "keys", "local", "worker")}
    assert needed - known <= only_tell | elsewhere | {"__init__.py"}
    assert {"spec/stop.py", "engine/loop/batch.py", "engine/store/results.py", "engine/run.py"} <= known


def test_the_digest_changes_with_any_of_its_files(monkeypatch, tmp_path):
    before = manifest.source.__wrapped__()
    listed = manifest.sources()
    for name in ("engine/loop/batch.py", "spec/stop.py", "engine/store/results.py"):
        other = tmp_path / "other.py"
        other.write_bytes(listed[name].read_bytes() + b"\n")
        monkeypatch.setattr(manifest, "sources", lambda name=name, other=other: {**listed, name: other})
        assert manifest.source.__wrapped__() != before
