"""How fast the engine is: beside the same maths written by hand, and beside PyTorch, alternating on one machine."""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Run the command line of ``grokdyn bench``.

    Args:
        argv: options, without the program's name; ``["--help"]`` lists them.

    Returns:
        Exit status: 0, 1 if a side failed, 2 for a mistake in the options.
    """
    from grokdyn.bench.command import main as command

    return command(argv)
