"""The command line: parse, call, and tell a user's mistake in one line. JAX is imported by the commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from grokdyn import output
from grokdyn.usage import UsageError

FAMILIES = (
    "tasks",
    "models",
    "losses",
    "optimizers",
    "schedules",
    "probes",
    "stops",
    "records",
    "transforms",
    "interventions",
)
FORMATS = ("csv", "parquet", "tensorboard", "wandb", "mlflow", "torch", "safetensors")
RUN_OPTIONS = {
    **{"--out": 1, "--scale": 1, "--cluster": 1, "--scheduler-file": 1, "--shard": 1},
    **{"--quiet": 0, "--no-figures": 0, "--help": 0, "-h": 0},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status.

    0; 2 for a user's mistake; 130 after Ctrl-C; 1 where the system refuses, as a full disk under standard output does.
    """
    output.prepare()
    try:
        try:
            with output.warnings_told():
                return dispatch(list(sys.argv[1:] if argv is None else argv))
        finally:
            output.flush()  # now: when the interpreter ends nobody could tell what went wrong
    except BrokenPipeError:  # the reader had enough
        output.silence()
        return 0
    except OSError as error:
        output.silence()
        return fail(f"{error.filename or 'standard output'}: {error.strerror or error}", 1)


def dispatch(arguments: list[str]) -> int:
    """Parse and run one command."""
    # The installed command lacks the working directory, where a user's own classes are. Those that read results need
    # none: the directory may be a store from elsewhere, with modules in it that nobody asked for.
    if arguments[:1] not in (["info"], ["plot"], ["report"], ["export"]) and "" not in sys.path:
        sys.path.append("")
    if arguments[:1] == ["bench"]:  # has a parser of its own
        from grokdyn import bench

        return bench.main(arguments[1:])
    overrides = {}
    try:
        if arguments[:1] in (["run"], ["plan"], ["boundary"]):
            arguments, overrides = split_overrides(arguments)
        options = parser().parse_args(arguments)
        output.check_backend()
        return options.command(options, overrides)
    except KeyboardInterrupt as interrupt:
        return fail(str(interrupt) or "interrupted", 130)
    except MemoryError as error:
        return fail(f"memory: there is too little ({str(error) or 'no more can be had'})", 2)
    except ValueError as error:
        if not type(error).__module__.startswith("grokdyn."):  # not written for users: a defect of ours
            raise
        return fail(str(error), 2)
    except RuntimeError as error:
        told = output.platform_told(error)
        if told is None:
            raise
        return fail(told, 2)


class Parser(argparse.ArgumentParser):
    """A parser whose help does not hide that it could not be written."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            print(message, end="", file=file or sys.stderr)


def fail(message: str, status: int) -> int:
    output.say(message)
    return status


def split_overrides(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Split ``--path.to.field value`` from the options of the command itself.

    Raises:
        UsageError: if a path comes without a value.
    """
    from grokdyn.boundary_command import OPTIONS

    known = RUN_OPTIONS | (OPTIONS if arguments[:1] == ["boundary"] else {})
    kept, overrides, rest = [], {}, list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("--") or name in known:
            kept.append(word)
            if name in known and not equals:
                kept += [rest.pop(0) for _ in range(min(known[name], len(rest)))]
        elif equals or rest:
            overrides[name[2:].replace("-", "_")] = value if equals else rest.pop(0)
        else:
            raise UsageError(f"{word}: got nothing; allowed: a value after the name of a field")
    return kept, overrides


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    from grokdyn import boundary_command, commands, machines

    top = Parser(
        prog="grokdyn",
        description="Train thousands of small networks side by side and watch them grok.",
        epilog="Start with: grokdyn quickstart",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"grokdyn {commands.package_version()}")
    add = top.add_subparsers(title="commands", metavar="COMMAND", required=True).add_parser

    def command(name: str, function, help: str, **kwargs) -> argparse.ArgumentParser:
        made = add(name, help=help, description=help[0].upper() + help[1:] + ".", allow_abbrev=False, **kwargs)
        made.set_defaults(command=function)
        return made

    quick = command("quickstart", commands.quickstart, "train 128 networks and draw a phase diagram (half a minute)")
    quick.add_argument("--out", metavar="DIR", help="folder for the store; default: runs/quickstart")
    quick.add_argument("--print-spec", action="store_true", help="print the spec as TOML instead, to start your own")

    run = command(
        "run",
        commands.run,
        "train what a TOML file describes",
        usage="grokdyn run SPEC.toml [--out DIR] [--scale NAME] [--no-figures] [--quiet] [--path.to.field VALUE ...]\n"
        "                   [--cluster WHERE | --scheduler-file FILE | --shard I/N]",
        epilog="Any field can be set: --optimizer.weight-decay 1.0 --model.hidden '[64, 64]' "
        "--sweep.seed '{range = [0, 8]}'. A field that the file sweeps is then fixed.",
    )
    run.add_argument("spec", metavar="SPEC.toml")
    run.add_argument("--out", metavar="DIR", help="folder for the store; default: runs/ and the file's name")
    run.add_argument("--scale", default="full", help="a [scale.NAME] table of the file (default: full, as written)")
    run.add_argument("--no-figures", action="store_true", help="draw nothing")
    run.add_argument("--quiet", action="store_true", help="no progress, no table")
    machines.add_cluster(run)
    run.add_argument("--shard", metavar="I/N", help="as the I-th of N processes that share --out and know of no others")

    edge = command(
        "boundary",
        boundary_command.boundary,
        "find the line where runs begin to behave otherwise, with a part of a full grid's runs",
        usage="grokdyn boundary SPEC.toml [--question TEXT] [--seeds N] [--budget RUNS] [--batch RUNS] [--out DIR]\n"
        "                        [--scale NAME] [--no-figures] [--quiet] [--path.to.field VALUE ...] [--cluster WHERE]",
        epilog="[sweep] of the file has two axes, the values of a fine grid; question, seeds, budget and batch may be "
        "fields of a table [boundary]. The same command goes on after an interruption, or with a larger budget.",
    )
    edge.add_argument("spec", metavar="SPEC.toml")
    boundary_command.add_options(edge)
    edge.add_argument(
        "--out", metavar="DIR", help="folder for the store; default: runs/ and the file's name, -boundary"
    )
    edge.add_argument("--scale", default="full", help="a [scale.NAME] table of the file (default: full, as written)")
    edge.add_argument("--no-figures", action="store_true", help="draw nothing")
    edge.add_argument("--quiet", action="store_true", help="no progress, no table")
    machines.add_cluster(edge)

    again = command("resume", commands.resume, "go on with a sweep that was interrupted")
    again.add_argument("store", metavar="DIR")
    again.add_argument("--anyway", action="store_true", help="although versions, device or spec have changed")
    machines.add_cluster(again)
    again.add_argument("--no-figures", action="store_true", help="draw nothing")
    again.add_argument("--quiet", action="store_true", help="no progress, no table")

    many = command("cluster", None, "prepare a sweep for many machines").add_subparsers(metavar="WHAT", required=True)
    batch = many.add_parser("sbatch", help="print a SLURM array script", allow_abbrev=False)
    batch.set_defaults(command=machines.sbatch)
    machines.add_sbatch(batch)

    ahead = command(
        "plan",
        commands.plan,
        "tell what a sweep will cost, before it runs",
        usage="grokdyn plan SPEC.toml [--scale NAME] [--path.to.field VALUE ...]",
    )
    ahead.add_argument("spec", metavar="SPEC.toml")
    ahead.add_argument("--scale", default="full", help="a [scale.NAME] table of the file (default: full, as written)")

    later = command("probe", commands.probe, "measure more probes on the snapshots of a store")
    later.add_argument("store", metavar="DIR")
    later.add_argument("--add", nargs="+", required=True, metavar="PROBE", help="names as in: grokdyn list probes")

    later.add_argument("--anyway", action="store_true", help="although versions, device or settings have changed")

    on = command("fork", commands.fork, "run on from snapshots, with other numbers or after pruning")
    on.add_argument("store", metavar="DIR")
    on.add_argument(
        "--run", type=int, action="append", help="number of a run in the sweep, may be given again; default: all"
    )
    on.add_argument("--step", type=int, help="one of the snapshots; default: the last")
    commands.add_interventions(on)
    on.add_argument("--change", nargs=2, action="append", default=[], metavar=("PATH", "VALUE"), help="a list: an axis")
    on.add_argument("--out", metavar="DIR", help="folder for the new store; default: runs/fork")
    on.add_argument("--anyway", action="store_true", help="although versions, device or settings have changed")

    more = command("extend", commands.extend, "add runs to a store and train them")
    more.add_argument("store", metavar="DIR")
    told = "values of the new runs along a path, in TOML; the product of all that are named"
    more.add_argument("--add", nargs=2, action="append", required=True, metavar=("PATH", "VALUES"), help=told)
    more.add_argument("--anyway", action="store_true", help="although versions or device have changed")
    machines.add_cluster(more)
    more.add_argument("--no-figures", action="store_true", help="draw nothing")
    more.add_argument("--quiet", action="store_true", help="no progress, no table")

    plot = command("plot", commands.plot, "draw the figures of a store")
    plot.add_argument("store", metavar="DIR")
    plot.add_argument("--x", help="axis across")
    plot.add_argument("--y", help="axis up")
    plot.add_argument("--value", help="variable of the diagram, or phase, step_test, delay")
    plot.add_argument("--threshold", type=float, help="accuracy that counts as fitted (default: 0.9)")
    plot.add_argument("--delay", type=float, help="steps that make it grokking; default: five times the steps to fit")
    plot.add_argument("--format", choices=("png", "pdf", "svg"), default="png")
    plot.add_argument("--anyway", action="store_true", help="leave out what is damaged")

    page = command("report", commands.report, "write one HTML page of a store, or of a folder with several")
    page.add_argument("store", metavar="DIR")
    page.add_argument("--out", metavar="FILE", help="the page; default: report.html in the folder")
    page.add_argument("--threshold", type=float, default=0.9, help="accuracy that counts as fitted (default: 0.9)")
    page.add_argument("--anyway", action="store_true", help="leave out what is damaged")

    out = command("export", commands.export, "write results or parameters for other programs")
    out.add_argument("store", metavar="DIR")
    out.add_argument("--to", required=True, choices=FORMATS, help="tables, an experiment tracker's files, parameters")
    out.add_argument("--out", metavar="PATH", help="folder, or file of parameters; default: export in the store")
    out.add_argument("--run", type=int, help="of parameters: number of the run in the sweep (default: 0)")
    out.add_argument("--step", type=int, help="of parameters: one of the snapshots (default: the last)")
    out.add_argument("--threshold", type=float, default=0.9, help="accuracy that counts as fitted (default: 0.9)")
    out.add_argument("--anyway", action="store_true", help="leave out what is damaged")

    info = command("info", commands.info, "tell what a store holds")
    info.add_argument("store", nargs="?", metavar="DIR")
    info.add_argument("--anyway", action="store_true", help="leave out what is damaged")
    info.add_argument("--watch", action="store_true", help="again every few seconds, until the sweep is finished")
    kept = "tell of the compiled programs that are kept between commands, or remove them: --cache clear"
    info.add_argument("--cache", nargs="?", const="show", choices=("show", "clear"), help=kept)

    kinds = command("list", commands.list_kinds, "list what a spec can name, with fields, defaults and what is allowed")
    known = (
        f"a family, one of {', '.join(FAMILIES)}; one kind, such as transformer, or a class of yours, my_module:Class, "
        "with all that is said of it; experiment, seeds, sweep"
    )
    kinds.add_argument("name", nargs="?", metavar="FAMILY|KIND|my_module:Class", help=known)

    book = command("ledger", commands.ledger, "write the page of all claims that a folder of experiments keeps")
    book.add_argument("folder", metavar="EXPERIMENTS_DIR")

    again = command("reproduce", commands.reproduce, "run an experiment of a paper and check its claims")
    again.add_argument("folder", metavar="EXPERIMENT_DIR")
    again.add_argument("--scale", choices=("smoke", "cpu", "full"), default="cpu", help="how much of it (default: cpu)")
    again.add_argument("--out", metavar="DIR", help="folder for the stores; default: runs/ and the experiment's name")
    again.add_argument("--keep", action="store_true", help="copy claims and figure into the experiment's folder")
    again.add_argument("--reuse", metavar="DIR", help="copy sweeps that another reproduction has finished, if the same")
    again.add_argument("--quiet", action="store_true", help="no progress")

    add("bench", help="time the engine against hand-written JAX and PyTorch", add_help=False)
    return top
