"""What the command line takes: one function a command, in the order in which help lists them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from grokdyn import boundary_command, commands, machines

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

# name, what it calls, help, other arguments of argparse -> the parser of one command
Add = Callable[..., argparse.ArgumentParser]


class Parser(argparse.ArgumentParser):
    """A parser whose help does not hide that it could not be written."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            print(message, end="", file=file or sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = Parser(
        prog="grokdyn",
        description="Train thousands of small networks side by side and watch them grok.",
        epilog="Start with: grokdyn quickstart",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"grokdyn {commands.package_version()}")
    add = top.add_subparsers(title="commands", metavar="COMMAND", required=True).add_parser

    def command(name: str, function: Any, help: str, **kwargs: Any) -> argparse.ArgumentParser:
        made = add(name, help=help, description=help[0].upper() + help[1:] + ".", allow_abbrev=False, **kwargs)
        made.set_defaults(command=function)
        return made

    for one in COMMANDS:
        one(command)
    add("bench", help="time the engine against hand-written JAX and PyTorch", add_help=False)
    return top


def add_quickstart(command: Add) -> None:
    quick = command("quickstart", commands.quickstart, "train 128 networks and draw a phase diagram (half a minute)")
    quick.add_argument("--out", metavar="DIR", help="folder for the store; default: runs/quickstart")
    quick.add_argument("--print-spec", action="store_true", help="print the spec as TOML instead, to start your own")


def add_run(command: Add) -> None:
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
    add_scale(run)
    add_quiet(run)
    machines.add_cluster(run)
    run.add_argument("--shard", metavar="I/N", help="as the I-th of N processes that share --out and know of no others")


def add_boundary(command: Add) -> None:
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
    add_scale(edge)
    add_quiet(edge)
    machines.add_cluster(edge)


def add_resume(command: Add) -> None:
    again = command("resume", commands.resume, "go on with a sweep that was interrupted")
    again.add_argument("store", metavar="DIR")
    again.add_argument("--anyway", action="store_true", help="although versions, device or spec have changed")
    machines.add_cluster(again)
    add_quiet(again)


def add_cluster(command: Add) -> None:
    many = command("cluster", None, "prepare a sweep for many machines").add_subparsers(metavar="WHAT", required=True)
    batch = many.add_parser("sbatch", help="print a SLURM array script", allow_abbrev=False)
    batch.set_defaults(command=machines.sbatch)
    machines.add_sbatch(batch)


def add_plan(command: Add) -> None:
    ahead = command(
        "plan",
        commands.plan,
        "tell what a sweep will cost, before it runs",
        usage="grokdyn plan SPEC.toml [--scale NAME] [--path.to.field VALUE ...]",
    )
    ahead.add_argument("spec", metavar="SPEC.toml")
    add_scale(ahead)


def add_probe(command: Add) -> None:
    later = command("probe", commands.probe, "measure more probes on the snapshots of a store")
    later.add_argument("store", metavar="DIR")
    later.add_argument("--add", nargs="+", required=True, metavar="PROBE", help="names as in: grokdyn list probes")
    later.add_argument("--anyway", action="store_true", help="although versions, device or settings have changed")


def add_fork(command: Add) -> None:
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


def add_extend(command: Add) -> None:
    more = command("extend", commands.extend, "add runs to a store and train them")
    more.add_argument("store", metavar="DIR")
    told = "values of the new runs along a path, in TOML; the product of all that are named"
    more.add_argument("--add", nargs=2, action="append", required=True, metavar=("PATH", "VALUES"), help=told)
    more.add_argument("--anyway", action="store_true", help="although versions or device have changed")
    machines.add_cluster(more)
    add_quiet(more)


def add_plot(command: Add) -> None:
    plot = command("plot", commands.plot, "draw the figures of a store")
    plot.add_argument("store", metavar="DIR")
    plot.add_argument("--x", help="axis across")
    plot.add_argument("--y", help="axis up")
    plot.add_argument("--value", help="variable of the diagram, or phase, step_test, delay")
    plot.add_argument("--threshold", type=float, help="accuracy that counts as fitted (default: 0.9)")
    plot.add_argument("--delay", type=float, help="steps that make it grokking; default: five times the steps to fit")
    plot.add_argument("--format", choices=("png", "pdf", "svg"), default="png")
    add_anyway(plot)


def add_report(command: Add) -> None:
    page = command("report", commands.report, "write one HTML page of a store, or of a folder with several")
    page.add_argument("store", metavar="DIR")
    page.add_argument("--out", metavar="FILE", help="the page; default: report.html in the folder")
    add_threshold(page)
    add_anyway(page)


def add_export(command: Add) -> None:
    out = command("export", commands.export, "write results or parameters for other programs")
    out.add_argument("store", metavar="DIR")
    out.add_argument("--to", required=True, choices=FORMATS, help="tables, an experiment tracker's files, parameters")
    out.add_argument("--out", metavar="PATH", help="folder, or file of parameters; default: export in the store")
    out.add_argument("--run", type=int, help="of parameters: number of the run in the sweep (default: 0)")
    out.add_argument("--step", type=int, help="of parameters: one of the snapshots (default: the last)")
    add_threshold(out)
    add_anyway(out)


def add_info(command: Add) -> None:
    info = command("info", commands.info, "tell what a store holds")
    info.add_argument("store", nargs="?", metavar="DIR")
    add_anyway(info)
    info.add_argument("--watch", action="store_true", help="again every few seconds, until the sweep is finished")
    kept = "tell of the compiled programs that are kept between commands, or remove them: --cache clear"
    info.add_argument("--cache", nargs="?", const="show", choices=("show", "clear"), help=kept)


def add_list(command: Add) -> None:
    kinds = command("list", commands.list_kinds, "list what a spec can name, with fields, defaults and what is allowed")
    known = (
        f"a family, one of {', '.join(FAMILIES)}; one kind, such as transformer, or a class of yours, my_module:Class, "
        "with all that is said of it; experiment, seeds, sweep"
    )
    kinds.add_argument("name", nargs="?", metavar="FAMILY|KIND|my_module:Class", help=known)


def add_ledger(command: Add) -> None:
    book = command("ledger", commands.ledger, "write the page of all claims that a folder of experiments keeps")
    book.add_argument("folder", metavar="EXPERIMENTS_DIR")


def add_reproduce(command: Add) -> None:
    again = command("reproduce", commands.reproduce, "run an experiment of a paper and check its claims")
    again.add_argument("folder", metavar="EXPERIMENT_DIR")
    again.add_argument("--scale", choices=("smoke", "cpu", "full"), default="cpu", help="how much of it (default: cpu)")
    again.add_argument("--out", metavar="DIR", help="folder for the stores; default: runs/ and the experiment's name")
    again.add_argument("--keep", action="store_true", help="copy claims and figure into the experiment's folder")
    again.add_argument("--reuse", metavar="DIR", help="copy sweeps that another reproduction has finished, if the same")
    again.add_argument("--quiet", action="store_true", help="no progress")


COMMANDS = (
    *(add_quickstart, add_run, add_boundary, add_resume, add_cluster, add_plan, add_probe, add_fork, add_extend),
    *(add_plot, add_report, add_export, add_info, add_list, add_ledger, add_reproduce),
)


# What several commands take.


def add_scale(one: argparse.ArgumentParser) -> None:
    one.add_argument("--scale", default="full", help="a [scale.NAME] table of the file (default: full, as written)")


def add_quiet(one: argparse.ArgumentParser) -> None:
    one.add_argument("--no-figures", action="store_true", help="draw nothing")
    one.add_argument("--quiet", action="store_true", help="no progress, no table")


def add_threshold(one: argparse.ArgumentParser) -> None:
    one.add_argument("--threshold", type=float, default=0.9, help="accuracy that counts as fitted (default: 0.9)")


def add_anyway(one: argparse.ArgumentParser) -> None:
    one.add_argument("--anyway", action="store_true", help="leave out what is damaged")
