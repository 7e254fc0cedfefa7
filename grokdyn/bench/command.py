"""Command line of ``grokdyn bench``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from grokdyn.bench.cases import CASES
from grokdyn.bench.costs import COSTS
from grokdyn.spec.errors import nearest

# As many lanes as the engine puts into one batch.
MOST_RUNS = 4096
# Cases whose runs are small, which is what lanes are for, and the one whose grid is extrapolated.
DEVICE_CASES = ("p23", "doshi", "p113", "transformer")


class OptionError(Exception):
    """An option that cannot be."""


class Parser(argparse.ArgumentParser):
    """Says one line about a mistake, where argparse adds its usage."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(message)


def main(argv: list[str]) -> int:
    """Time the chosen cases, print a table, write JSON; return the exit status."""
    try:
        options = checked(parser().parse_args(argv))
    except OptionError as mistake:
        print(f"grokdyn bench: {mistake}", file=sys.stderr)
        return 2
    except SystemExit as done:  # --help
        return int(done.code or 0)
    return bench(options)


def bench(options: argparse.Namespace) -> int:
    # JAX would take most of a GPU's memory at its start and leave PyTorch none.
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")
    return (plan if options.gpu_plan else grow if options.device else compare)(options)


def plan(options: argparse.Namespace) -> int:
    """Print what cases would take at the least on accelerators."""
    from grokdyn.bench import accelerators, devices_report, report
    from grokdyn.engine.host.devices import devices

    demands = accelerators.planned(options.case, devices())
    devices_report.show_plan(demands)
    if options.json:
        report.write_json(options.json, accelerators.as_json(demands))
    return 0


def grow(options: argparse.Namespace) -> int:
    """Time cases on this device with more and more lanes."""
    from grokdyn.bench import device, devices_report, report
    from grokdyn.engine.host.devices import devices

    devices()
    about, most = report.machine(), options.lanes or MOST_RUNS
    budget = {"rounds": options.rounds, "seconds": options.seconds, "torch": options.torch, "say": say}
    found = [device.grown(name, most, **budget) for name in options.case]
    devices_report.show_growth(found, about)
    if options.json:
        report.write_json(options.json, devices_report.growth_as_json(found, about, recorded(options)))
    return int(any(one.best() is None for one in found))


def compare(options: argparse.Namespace) -> int:
    """Time every side of cases, and what parts cost."""
    from grokdyn.bench import report
    from grokdyn.bench.costs import compared
    from grokdyn.bench.measure import FAILED, measured
    from grokdyn.engine.host.devices import devices

    devices()
    about = report.machine()
    budget = {"rounds": options.rounds, "seconds": options.seconds, "say": say}
    results, costs = [], []
    for name in options.case:
        if name in CASES:
            case = CASES[name]
            results.append(measured(name, case, options.lanes or case.runs, torch=options.torch, **budget))
        else:
            cost = COSTS[name]
            costs.append(compared(name, cost, options.lanes or cost.runs, **budget))
    report.show(results, costs, about)
    if options.json:
        report.write_json(options.json, report.as_json(results, costs, about, recorded(options)))
    failed = any(timing.why_not.startswith(FAILED) for line in [*results, *costs] for timing in line.timings.values())
    return int(failed)


def parser() -> Parser:
    made = Parser(prog="grokdyn bench", description="Time the engine beside the same maths by hand and in PyTorch.")
    kinds = ", ".join(f"{name} ({line.about})" for name, line in {**CASES, **COSTS}.items())
    kinds = kinds.replace("%", "%%")  # argparse formats its help
    made.add_argument("--case", action="append", metavar="NAME", help=f"may be repeated; default: all of {kinds}")
    made.add_argument(
        "--lanes", type=int, metavar="N", help="runs that train together; default: the case's; with --device: the most"
    )
    made.add_argument("--rounds", type=int, metavar="N", help="measurements of each side (default: 5; --device: 2)")
    made.add_argument(
        "--seconds", type=float, metavar="S", help="about how long each measurement takes (default: 3; --device: 1)"
    )
    made.add_argument("--json", type=Path, metavar="PATH", help="write all measurements to this file")
    made.add_argument("--no-torch", dest="torch", action="store_false", help="leave PyTorch out")
    other = made.add_mutually_exclusive_group()
    other.add_argument(
        "--device",
        action="store_true",
        help="time the engine and PyTorch with 1 to 4096 runs side by side, on any device",
    )
    other.add_argument(
        "--gpu-plan", action="store_true", help="no timing: what operations and memory would take on accelerators"
    )
    return made


def checked(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options with defaults filled in.

    Raises:
        OptionError: naming the option, what came and what is allowed.
    """
    known = {**CASES, **({} if options.device or options.gpu_plan else COSTS)}
    options.case = list(dict.fromkeys(options.case or (DEVICE_CASES if options.device else known)))
    options.rounds = options.rounds if options.rounds is not None else 2 if options.device else 5
    options.seconds = options.seconds if options.seconds is not None else 1.0 if options.device else 3.0
    for name in options.case:
        if name not in known:
            hint = nearest(name, known)
            raise OptionError(f"--case: got {name!r}; allowed: {', '.join(known)}{f' ({hint})' if hint else ''}")
    if options.lanes is not None and not 1 <= options.lanes <= MOST_RUNS:
        raise OptionError(f"--lanes: got {options.lanes}; allowed: a whole number from 1 to {MOST_RUNS}")
    if not 1 <= options.rounds <= 1000:
        raise OptionError(f"--rounds: got {options.rounds}; allowed: a whole number from 1 to 1000")
    if not 0 < options.seconds <= 3600:
        raise OptionError(f"--seconds: got {options.seconds:g}; allowed: a number above 0 and at most 3600")
    if options.json and (options.json.is_dir() or not os.access(options.json.absolute().parent, os.W_OK)):
        raise OptionError(f"--json: got {str(options.json)!r}; allowed: a file in a folder that you may write")
    return options


def recorded(options: argparse.Namespace) -> dict[str, object]:
    return {**vars(options), "json": str(options.json)}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
