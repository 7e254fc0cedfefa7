"""What a user types to run on many machines."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import grokdyn as gd
from grokdyn.cli import main
from grokdyn.engine.machines import connect

SPEC = """
steps = 20
record = {every = 5}
[task]
kind = "modular"
p = 7
[model]
kind = "mlp"
hidden = [8]
[loss]
kind = "mse"
[optimizer]
kind = "adamw"
[sweep]
"optimizer.weight_decay" = [0.0, 1.0, 2.0]
seed = {range = [0, 8]}
[scale.smoke]
steps = 10
"""
TOOLS = Path(sys.executable).parent


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SPEC)
    return "small.toml"


def test_shards_share_a_store_and_the_last_one_tells(spec, capsys):
    run = ["run", spec, "--no-figures", "--scale", "smoke", "--optimizer.learning-rate", "0.01"]
    assert main([*run, "--shard", "2/2"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == ["shard 2/2 is finished; 4 batches are left to the others", "runs/small"]
    assert main([*run, "--shard=1/2"]) == 0
    assert "test accuracy" in capsys.readouterr().out
    found = gd.open("runs/small")
    assert found.identical(gd.run(gd.load("runs/small/spec.toml"), progress=False))
    assert main([*run, "--shard", "2/2"]) == 0, "queued again: nothing is left to do"
    assert main(["run", spec, "--shard", "1/2"]) == 2
    assert "holds another sweep" in capsys.readouterr().err


MISTAKES = {
    "no shard": (["--shard", "0/2"], "shard: got '0/2'", "i from 1 to n"),
    "shard beyond": (["--shard", "3/2"], "shard: got '3/2'", "i from 1 to n"),
    "not a shard": (["--shard", "two"], "shard: got 'two'", "1/8"),
    "no workers": (["--cluster", "local:0"], "cluster: got 'local:0'", "local:N with N from 1"),
    "not a cluster": (["--cluster", "everywhere"], "cluster: got 'everywhere'", "tcp://HOST:PORT"),
    "nobody there": (["--cluster", "tcp://127.0.0.1:1"], "no dask scheduler answers", "one that runs"),
    "no file": (["--scheduler-file", "no.json"], "scheduler_file: got 'no.json'", "dask scheduler --scheduler-file"),
    "both": (["--cluster", "local:2", "--shard", "1/2"], "--cluster local:2 and --shard 1/2", "one of them"),
    "no value": (["--cluster"], "--cluster", "expected one argument"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_a_line_and_writes_nothing(name, spec, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 0.3)
    arguments, told, allowed = MISTAKES[name]
    try:
        status = main(["run", spec, *arguments])
    except SystemExit as end:  # argparse
        status = end.code
    assert status == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert told in message
    assert allowed in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.toml"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"address": 3}', '{"address": "nowhere"}'])
def test_a_file_that_no_scheduler_wrote_is_refused(content, spec, tmp_path, capsys):
    (tmp_path / "scheduler.json").write_text(content)
    assert main(["run", spec, "--scheduler-file", "scheduler.json"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_missing_extra_is_named(spec, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["run", spec, "--cluster", "local:2"]) == 2
    assert "pip install 'grokdyn[cluster]'" in capsys.readouterr().err


SBATCH = ["cluster", "sbatch", "small.toml", "--tasks", "4", "--time", "1-02:00:00"]


def test_a_slurm_script_asks_for_what_was_said(spec, tmp_path, capsys):
    more = ["--cpus", "8", "--gpus", "1", "--mem", "16G", "--partition", "long", "--account", "lab.a"]
    assert main([*SBATCH, *more, "--scale", "smoke", "--out", "my runs/wd"]) == 0
    script = capsys.readouterr().out
    for line in (
        "--array=1-4", "--time=1-02:00:00", "--cpus-per-task=8", "--gpus-per-node=1", "--mem=16G",
        "--partition=long", "--account=lab.a", "--job-name=grokdyn-wd", "--signal=B:TERM@120", "--requeue",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    command = f"grokdyn run {tmp_path}/small.toml --out '{tmp_path}/my runs/wd' --scale smoke --shard"
    assert f'{command} "${{SLURM_ARRAY_TASK_ID}}/4"' in script
    assert main(SBATCH) == 0
    plain = capsys.readouterr().out
    assert "--gpus" not in plain
    assert "--partition" not in plain
    assert f"--out {tmp_path}/runs/small --shard" in plain
    for text in (script, plain):
        subprocess.run([TOOLS / "shellcheck", "-"], input=text, text=True, check=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.toml"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"--tasks": "0"}, "tasks: got 0"),
        ({"--time": "soon"}, "time: got 'soon'"),
        ({"--time": "00:04:00"}, "time: got '00:04:00'"),
        ({"--cpus": "-1"}, "cpus: got -1"),
        ({"--mem": "lots"}, "memory: got 'lots'"),
        ({"--partition": "a b; rm"}, "partition: got 'a b; rm'"),
        ({"--scale": "huge"}, "scale: got 'huge'"),
    ],
)
def test_mistakes_in_what_a_slurm_script_asks_for(changed, told, spec, capsys):
    assert main([*SBATCH, *(word for pair in changed.items() for word in pair)]) == 2
    message = capsys.readouterr()
    assert told in message.err
    assert message.out == ""


# A signal that comes when the job has started grokdyn and does not know its number yet.
EARLY = "&\nuntil [[ -e started ]]; do sleep 0.01; done; kill -TERM $$\n"


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(("ends", "queued"), [(130, True), (143, True), (0, False), (2, False)])
def test_a_slurm_job_queues_again_when_its_time_is_up(ends, queued, early, spec, tmp_path, capsys):
    """With stand-ins for grokdyn, which ends as told on TERM, and for scontrol, which notes what it is asked."""
    main(SBATCH)
    stubs = {
        "grokdyn": f"trap 'sleep 0.2; exit {ends}' TERM\ntouch started\nwhile :; do sleep 0.05; done",
        "scontrol": 'echo "$@" > queued',
    }
    for name, text in stubs.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    script = capsys.readouterr().out
    assert script.count("&\n") == 1
    (tmp_path / "job.sh").write_text(script.replace("&\n", EARLY) if early else script)
    told = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_JOB_ID": "77"}
    job = subprocess.Popen(["bash", "job.sh"], env=os.environ | told, start_new_session=True)
    try:
        while not early and not (tmp_path / "started").exists():
            time.sleep(0.01)
        if not early:
            job.send_signal(signal.SIGTERM)
        assert job.wait(30) == ends
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
    assert (tmp_path / "queued").exists() == queued
    if queued:
        assert (tmp_path / "queued").read_text() == "requeue 77_3\n"
