"""Programs that tests compile quickly: XLA's own passes as ever, LLVM's and the fusion emitters' left out.

A program of the tests runs for milliseconds and compiles for seconds, most of them to make its machine code a little
faster. What a formula gives in float64, what a store holds and what a command tells does not hang on that. Tests of
bits, of what narrow numbers round to and of trajectories in float32 are marked ``as_users`` and have the programs that
users have; ``pytest --as-users`` gives those to all.
"""

from __future__ import annotations

import gc
import os
import threading
from functools import cache

import jax
from jax._src import compiler
from jax._src.interpreters import mlir

from grokdyn.train import compiled

# One module of machine code a program: in eight, as by default, each repeats what they share.
OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
# A worker remembers every program. Where it has grown by so many bytes, it lets go of them between two files; what is
# freed stays with the process and is filled again before it grows further.
MOST_GROWTH = 3 * 2**29

_options_of = compiler.get_compile_options
_fresh_context = getattr(mlir, "make_ir_context", None)  # a version of JAX may have it elsewhere
_contexts = threading.local()
_quick = False
_memory = 0


def install() -> None:
    """Put the options into whatever this process compiles from now on."""
    global _quick
    compiler.get_compile_options = options_of
    if _fresh_context is not None:
        mlir.make_ir_context = context
    _quick = True


def options_of(*args, env_options_overrides=None, **kwargs):
    """Return JAX's options of a program, with ours before its own where the test is not marked."""
    return _options_of(*args, env_options_overrides={**(env_options_overrides or {}), **quick_options()}, **kwargs)


def context():
    """Return the thread's place for texts of programs; JAX makes one a program, half of the work on a small text."""
    if not hasattr(_contexts, "own"):
        _contexts.own = _fresh_context()
    return _contexts.own


def quick_options() -> dict:
    return known_options() if _quick else {}


@cache
def known_options() -> dict:
    """Return those of our options that this version of XLA has; from jax 0.12 on the emitters cannot be left out."""
    return {name: value for name, value in OPTIONS.items() if is_known(name, value)}


def is_known(name: str, value: object) -> bool:
    global _quick
    before, _quick = _quick, False
    try:
        jax.jit(lambda: 0.0).lower().compile(compiler_options={name: value})
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        return False
    finally:
        _quick = before
    return True


def environment() -> dict[str, str]:
    """Return the environment of a process that compiles as this one does."""
    flags = [f"--{name}={str(value).lower()}" for name, value in quick_options().items()]
    return {**os.environ, "XLA_FLAGS": " ".join([os.environ.get("XLA_FLAGS", ""), *flags]).strip()}


def switch(wanted: bool) -> None:
    """Compile quickly from now on, or as for users; what was compiled otherwise is forgotten."""
    global _quick
    if wanted != _quick:
        forget()
        _quick = wanted


def forget() -> None:
    """Let go of all programs in memory."""
    global _contexts
    compiled.PROGRAMS.clear()
    _contexts = threading.local()
    jax.clear_caches()
    gc.collect()


def forget_if_many() -> None:
    """Let go of all programs where they have come to take much memory."""
    global _memory
    if memory() > _memory + MOST_GROWTH:
        forget()
        _memory = memory()


def memory() -> int:
    """Return the bytes that this process has in memory, 0 where that is not told."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
