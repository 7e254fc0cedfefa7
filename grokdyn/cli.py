"""The command line: parse, call, and tell a user's mistake in one line. JAX is imported by the commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from grokdyn import boundary_command, output
from grokdyn.parser import parser
from grokdyn.usage import UsageError

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


def fail(message: str, status: int) -> int:
    output.say(message)
    return status


def split_overrides(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Split ``--path.to.field value`` from the options of the command itself.

    Raises:
        UsageError: if a path comes without a value.
    """
    known = RUN_OPTIONS | (boundary_command.OPTIONS if arguments[:1] == ["boundary"] else {})
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
