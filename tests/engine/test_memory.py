"""How much memory there is, as the system tells it; what does not fit is refused before it is tried."""

import subprocess
import sys

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.cli import main
from grokdyn.engine.host import memory
from grokdyn.engine.loop import batch
from grokdyn.engine.plan import cohorts as plan
from tests import cases

GIB = 2**30


def group(folder, version, limit, used, cache=0):
    """Write the files of a control group."""
    limit_file, use_file, (inactive, active) = memory.GROUP_FILES[version]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / limit_file).write_text(f"{limit}\n")
    (folder / use_file).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{inactive} {cache // 2}\n{active} {cache - cache // 2}\n")


def processes(proc, mounts, cgroup):
    """Write what /proc tells of the groups of a process."""
    (proc / "self").mkdir(parents=True)
    (proc / "self/mountinfo").write_text("".join(f"{line}\n" for line in mounts))
    (proc / "self/cgroup").write_text(cgroup)
    return proc


def test_the_least_of_nested_groups_counts_and_what_can_be_taken_back_is_not_used(tmp_path):
    top = tmp_path / "fs cgroup"
    escaped = str(top).replace(" ", r"\040")
    mounts = [f"30 23 0:26 / {escaped} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate", "1 1 8:1 / / rw - ext4 a b"]
    proc = processes(tmp_path / "proc", mounts, "0::/user.slice/job/step\n")
    group(top / "user.slice/job/step", "cgroup2", "max", 1 * GIB)
    group(top / "user.slice/job", "cgroup2", 3 * GIB, 2 * GIB, cache=GIB)
    group(top / "user.slice", "cgroup2", 25 * GIB, 5 * GIB)
    assert list(memory.groups(proc)) == [2 * GIB, 20 * GIB]


def test_groups_of_version_1_are_found_beside_those_of_version_2_without_memory(tmp_path):
    old, new = tmp_path / "memory", tmp_path / "unified"
    mounts = [
        f"31 30 0:28 / {tmp_path}/cpu rw - cgroup cgroup rw,cpu",
        f"32 30 0:29 / {old} rw - cgroup cgroup rw,memory",
        f"33 30 0:30 / {new} rw - cgroup2 cgroup rw",
    ]
    proc = processes(tmp_path / "proc", mounts, "5:cpu:/other\n4:memory:/a/b\n9:name=systemd:/\n0::/\n")
    group(old / "a/b", "cgroup", 2**63 - 4096, GIB)
    group(old / "a", "cgroup", 4 * GIB, 3 * GIB)
    new.mkdir()
    assert list(memory.groups(proc)) == [2**63 - 4096 - GIB, GIB]


@pytest.mark.parametrize("root", ["/docker/abc", "/"])
def test_a_container_finds_its_group_whether_its_path_is_told_from_inside_or_outside(tmp_path, root):
    proc = processes(
        tmp_path / "proc", [f"32 30 0:29 {root} {tmp_path}/m ro - cgroup c ro,memory"], "4:memory:/docker/abc"
    )
    inside = tmp_path / "m" / ("docker/abc" if root == "/" else "")
    group(inside, "cgroup", 2 * GIB, GIB)
    assert list(memory.groups(proc)) == [GIB]
    group(tmp_path / "m", "cgroup", 2 * GIB, GIB)  # of a namespace of its own: the path leads out of it
    (proc / "self/cgroup").write_text("4:memory:/../other")
    assert list(memory.groups(proc)) == [GIB]


def test_a_system_without_groups_tells_what_the_machine_has_left(tmp_path):
    assert list(memory.groups(tmp_path)) == []
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    7 kB\n")
    assert list(memory.machine(tmp_path)) == [7 * 1024]
    assert 0 < memory.available() < memory.PLENTY


def test_a_limit_of_the_process_itself_counts():
    code = "import resource; from grokdyn.engine.host import memory; import sys\n"
    code += "resource.setrlimit(resource.RLIMIT_AS, (2**34,) * 2); print(memory.available())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(found.stdout) < 2**34


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("RESOURCE_EXHAUSTED: Out of memory allocating 8589934592 bytes.", True),
        ("INTERNAL: Error dispatching computation: Out of memory allocating 128000000 bytes.", True),
        ("INTERNAL: std::bad_alloc", True),
        ("UNKNOWN: Cannot allocate memory", True),
        ("INTERNAL: something else", False),
    ],
)
def test_every_way_to_say_that_memory_was_short_is_understood(text, short):
    assert memory.is_short(jax.errors.JaxRuntimeError(text)) == short
    assert not memory.is_short(RuntimeError(text))
    assert memory.is_short(MemoryError())


SWEEP = gd.Sweep(cases.tiny(), {"seed": range(8)})


def test_a_run_larger_than_memory_is_refused_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(memory, "available", lambda: memory.SPARE + 1000)
    told = r"memory: a single run does not fit, its state and records are 0\.0 MiB; .* can be had; allowed: a smaller"
    for out in (None, tmp_path / "s"):
        with pytest.raises(gd.OutOfMemoryError, match=told):
            gd.run(SWEEP, out=out, progress=False)
    assert not (tmp_path / "s").exists()
    (tmp_path / "spec.toml").write_text(SWEEP.to_toml())
    assert main(["plan", str(tmp_path / "spec.toml")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_memory_that_runs_out_elsewhere_is_told_in_a_line(monkeypatch, capsys):
    def short(*_):
        raise MemoryError

    monkeypatch.setattr("grokdyn.commands.list_kinds", short)
    assert main(["list"]) == 2
    assert capsys.readouterr().err == "grokdyn: memory: there is too little (no more can be had)\n"


def test_a_batch_larger_than_memory_is_halved_before_it_is_tried(monkeypatch, capsys):
    whole = gd.run(SWEEP, progress=False)
    with jax.enable_x64(True):
        (cohort,) = plan.cohorts(list(SWEEP.experiments()), None, jax.local_devices())
    fewest = len(jax.local_devices()) * -(-4 // len(jax.local_devices()))
    tried, begin = [], batch.Batch.__init__

    def noted(self, cohort, lanes, shared, **how):
        begin(self, cohort, lanes, shared, **how)
        tried.append(len(np.unique(lanes)))

    monkeypatch.setattr(batch.Batch, "__init__", noted)
    monkeypatch.setattr(memory, "available", lambda: memory.SPARE + cohort.bytes_of(fewest))
    monkeypatch.setattr(batch.Batch, "program_bytes", lambda *_: 0)
    assert gd.run(SWEEP, progress=True).identical(whole)
    assert tried == [4, 4]
    assert "8 runs do not fit into memory; trying half of them at a time" in capsys.readouterr().err


def test_what_the_program_takes_besides_counts(monkeypatch):
    monkeypatch.setattr(batch.Batch, "program_bytes", lambda *_: 2**60)
    with pytest.raises(gd.OutOfMemoryError, match="memory: a single run does not fit"):
        gd.run(SWEEP, progress=False)


def test_a_program_tells_what_it_takes_without_being_compiled_twice(monkeypatch):
    asked, told = [], batch.Batch.program_bytes
    monkeypatch.setattr(batch.Batch, "program_bytes", lambda *a: asked.append(told(*a)) or asked[-1])
    gd.run(SWEEP.base.replace(**{"model.hidden": (9,)}), progress=False)
    assert len(asked) == 1
    assert 0 < asked[0] < 2**24


def test_nothing_of_a_run_that_has_returned_is_kept():
    import gc
    import weakref

    def arrays():
        gc.collect()
        return sum(x.nbytes for x in jax.live_arrays())

    gd.run(SWEEP, progress=False)
    before, refs = arrays(), []
    for _ in range(2):
        found = gd.run(SWEEP, progress=False)
        refs += [weakref.ref(found), weakref.ref(found.train_loss.values)]
        del found
        assert arrays() == before
    assert not any(ref() for ref in refs)
