"""What the commands do on many machines. Heavy imports happen inside, so that help is quick."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from grokdyn.spec.paths import path_of, place_of
from grokdyn.usage import UsageError, default_folder, read_sweep, say


def add_cluster(parser: ArgumentParser) -> None:
    """Add the options that name a cluster."""
    parser.add_argument("--cluster", metavar="WHERE", help="local:N worker processes here, or tcp://HOST:PORT of dask")
    parser.add_argument("--scheduler-file", metavar="FILE", help="the file that dask scheduler --scheduler-file wrote")


def add_sbatch(parser: ArgumentParser) -> None:
    """Add what a SLURM script depends on."""
    parser.add_argument("spec", metavar="SPEC.toml")
    parser.add_argument("--tasks", "--nodes", type=int, required=True, metavar="N", help="elements of the array")
    parser.add_argument("--time", required=True, metavar="HH:MM:SS", help="limit of one element; it queues again")
    parser.add_argument("--out", metavar="DIR", help="folder for the store; default: runs/ and the file's name")
    parser.add_argument("--scale", default="full", help="a [scale.NAME] table of the file (default: full, as written)")
    parser.add_argument("--cpus", type=int, default=1, metavar="N", help="cores of an element (default: 1)")
    parser.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs of an element (default: 0)")
    parser.add_argument("--mem", metavar="SIZE", help="memory of an element, such as 8G")
    parser.add_argument("--partition", metavar="NAME")
    parser.add_argument("--account", metavar="NAME")


def cluster_of(options: Namespace) -> str | Path | None:
    """Return what the options name a cluster, checked; None for none.

    Raises:
        UsageError, SpecError: if they contradict each other or name none.
    """
    given = {name: getattr(options, name, None) for name in ("cluster", "scheduler_file", "shard")}
    named = [f"--{name.replace('_', '-')} {value}" for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise UsageError(f"{named[1].split()[0]}: got {' and '.join(named)}; allowed: one of them")
    cluster = given["cluster"]
    if given["scheduler_file"] is not None:
        cluster = path_of(given["scheduler_file"], "scheduler_file")
    if cluster is not None:
        from grokdyn.engine.machines.connect import meant

        meant(cluster)
    return cluster


def run_share(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Train one process's share of what a file describes; tabulate and draw it if that was the last."""
    from grokdyn.engine.machines.shard import Shard, run_shard, unfinished
    from grokdyn.outcome import tell

    shard, spec = Shard.parse(options.shard), path_of(options.spec, "spec")
    folder = default_folder(spec) if options.out is None else path_of(options.out, "out")
    found = run_shard(
        read_sweep(spec, options.scale, overrides), folder, shard, progress=False if options.quiet else None
    )
    if found is not None:
        return tell(found, folder, options.quiet, not options.no_figures)
    print(f"shard {options.shard} is finished; {len(unfinished(folder))} batches are left to the others")
    say(folder)
    return 0


def sbatch(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Print a SLURM array script."""
    from grokdyn.engine.machines.slurm import Job, script

    spec = path_of(options.spec, "spec")
    read_sweep(spec, options.scale, {})  # a mistake is told now, not when the job has queued
    out = default_folder(spec) if options.out is None else path_of(options.out, "out")
    job = Job(
        place_of(spec, "spec"),
        place_of(out, "out"),
        options.tasks,
        options.time,
        options.scale,
        options.cpus,
        options.gpus,
        options.mem,
        options.partition,
        options.account,
    )
    print(script(job), end="")
    return 0
