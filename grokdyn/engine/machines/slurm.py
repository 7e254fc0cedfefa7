"""A sweep as a SLURM array: every element trains its share of one store, no scheduler of ours between them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from grokdyn.spec.errors import SpecError

# SLURM tells a job so long before its time limit, which leaves time to save the batch in training.
NOTICE_SECONDS = 120
WORD = re.compile(r"[A-Za-z0-9_.,@+-]+")
TIME = re.compile(r"(?:(\d{1,3})-)?(\d{1,3}):([0-5]\d):([0-5]\d)")
MEMORY = re.compile(r"[1-9]\d*[KMGT]?")

SCRIPT = """\
#!/usr/bin/env bash
{header}

# Every element of the array trains its share of one store's batches; the last one puts the results together.
# {notice} s before the time limit SLURM sends TERM: the batch in training is saved, and the element queues again.
set -u
stopped=0
child=
trap 'stopped=1; [[ -z $child ]] || kill -TERM "$child" 2> /dev/null' TERM
grokdyn run {spec} --out {out}{scale} --shard "${{SLURM_ARRAY_TASK_ID}}/{tasks}" --quiet --no-figures &
child=$!
[[ $stopped -eq 0 ]] || kill -TERM "$child" # the signal came before the child was known
wait "$child"
status=$?
if [[ $stopped -eq 1 ]]; then # the signal may have ended the first wait
    wait "$child"
    status=$?
fi
if [[ $stopped -eq 1 && ($status -eq 130 || $status -eq 143) ]]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$status"
"""


@dataclass(frozen=True)
class Job:
    """What an array asks SLURM for.

    Attributes:
        spec, out: the file and the folder of the store, which all nodes see.
        scale: a scale of the file.
        tasks: elements of the array; each runs on one node.
        time: limit of one element, ``[D-]HH:MM:SS``; it may queue several times.
        cpus, gpus: of one element.
        memory: of one element, such as ``"8G"``; partition, account: as the site names them; default: the site's.
    """

    spec: Path
    out: Path
    tasks: int
    time: str
    scale: str = "full"
    cpus: int = 1
    gpus: int = 0
    memory: str | None = None
    partition: str | None = None
    account: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("tasks", 1), ("cpus", 1), ("gpus", 0)):
            if not least <= getattr(self, name) <= 100_000:
                raise SpecError(name, getattr(self, name), f"a whole number from {least} to 100000")
        if seconds(self.time) <= 2 * NOTICE_SECONDS:
            raise SpecError("time", self.time, f"HH:MM:SS or D-HH:MM:SS, more than {2 * NOTICE_SECONDS // 60} minutes")
        for name, allowed in (("partition", WORD), ("account", WORD), ("memory", MEMORY)):
            given = getattr(self, name)
            if given is not None and not allowed.fullmatch(given):
                raise SpecError(name, given, "8G, 500M, ..." if name == "memory" else "a name as the site uses it")


def seconds(text: str) -> int:
    """Return the seconds of a time limit; 0 if it is none."""
    found = TIME.fullmatch(text)
    if found is None:
        return 0
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def script(job: Job) -> str:
    """Return the text for ``sbatch``."""
    asked = {
        "job-name": f"grokdyn-{re.sub(r'[^A-Za-z0-9_.-]', '_', job.out.name)}",
        "array": f"1-{job.tasks}",
        "nodes": 1,
        "ntasks": 1,
        "cpus-per-task": job.cpus,
        "gpus-per-node": job.gpus or None,
        "mem": job.memory,
        "time": job.time,
        "partition": job.partition,
        "account": job.account,
        "signal": f"B:TERM@{NOTICE_SECONDS}",
        "open-mode": "append",
    }
    header = [f"#SBATCH --{name}={value}" for name, value in asked.items() if value is not None]
    return SCRIPT.format(
        header="\n".join([*header, "#SBATCH --requeue"]),
        tasks=job.tasks,
        notice=NOTICE_SECONDS,
        spec=shlex.quote(str(job.spec)),
        out=shlex.quote(str(job.out)),
        scale="" if job.scale == "full" else f" --scale {shlex.quote(job.scale)}",
    )
