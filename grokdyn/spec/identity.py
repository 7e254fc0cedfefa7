"""What makes two specs the same program: their class, their structure, and the code of what a user brought.

JAX compares trees of registered dataclasses without their class (0.10 to 0.12), and knows nothing of the code behind a
class. Both belong to what is compiled, hence to every key: that of a program, of a cohort, of a store.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import platform
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

# Where Python and installed packages live: their code is told by its name, since versions are noted elsewhere.
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
INSTALLED = frozenset(("site-packages", "dist-packages"))
PACKAGE = str(Path(__file__).parents[1])
# Of a class: what Python and dataclasses add, which says nothing that its fields and methods do not.
GENERATED = frozenset(
    (
        *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__firstlineno__"),
        *("__static_attributes__", "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
        *("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__init__", "__repr__", "__eq__"),
        *("__hash__", "__setattr__", "__delattr__", "__replace__"),
    )
)
# What a program that is run is called, here and in processes that it starts.
SCRIPTS = ("__main__", "__mp_main__")
# Objects within objects, and objects in all, that are looked at: a user's function may refer to anything.
DEEPEST, MOST = 60, 20_000


def register(cls: type, nodes: tuple[str, ...], structure: tuple[str, ...]) -> None:
    """Make a frozen dataclass a pytree whose class and static fields decide whether two structures are equal.

    Args:
        nodes: names of the fields that are children.
        structure: names of the others.
    """
    children, static = values_of(nodes), values_of(structure)
    keys = tuple(jax.tree_util.GetAttrKey(name) for name in nodes)

    def flatten(spec: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return children(spec), (cls, *static(spec))

    def flatten_with_keys(spec: Any) -> tuple[Any, tuple[Any, ...]]:
        return tuple(zip(keys, children(spec), strict=True)), (cls, *static(spec))

    def unflatten(same: tuple[Any, ...], values: Any) -> Any:
        spec = object.__new__(cls)  # around tracers too, where no rule can look at a value
        spec.__dict__.update(zip(nodes, values, strict=True), **dict(zip(structure, same[1:], strict=True)))
        return spec

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)


def values_of(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Return spec -> the values of the named fields."""
    if not names:
        return lambda spec: ()
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda spec: (one(spec),)
    return attrgetter(*names)


def own_code(*specs: Any, here: bool = True) -> str:
    """Return a digest of the code that a user brought to some specs, empty if there is none.

    It covers the classes and functions in them that are neither of this package nor installed, and all that these
    refer to by name: helpers, constants, arrays. So a class defined anew with other code, and one whose constant was
    changed between two runs, are other programs; the same text defined again is the same.

    Args:
        here: whether the digest is compared within this process alone; what has no contents to look at then counts by
            its place in memory, else by its type.
    """
    brought = {id(thing): thing for spec in specs for thing in parts_of(spec) if is_own(thing)}
    if not brought:
        return ""
    digest, seen = hashlib.sha256(), {}
    for thing in brought.values():
        for word in words(thing, here, seen, 0):
            digest.update(word.encode("utf-8", "backslashreplace") + b"\0")
    # Byte code differs between versions of Python.
    return f"{'.'.join(platform.python_version_tuple()[:2])}:{digest.hexdigest()[:16]}"


def parts_of(spec: Any) -> Iterator[Any]:
    """Yield the classes and functions in a spec and its parts."""
    if isinstance(spec, Mapping):
        spec = list(spec.values())
    if isinstance(spec, tuple | list):
        for item in spec:
            yield from parts_of(item)
    elif dataclasses.is_dataclass(spec) and not isinstance(spec, type):
        yield type(spec)
        for field in dataclasses.fields(spec):
            yield from parts_of(getattr(spec, field.name, None))
    elif callable(spec):
        yield spec


def homeless(*specs: Any) -> list[str]:
    """Return the names of classes and functions in some specs that another process could not import by them.

    They are those of a script or notebook, and those within a function.
    """
    found = [thing for spec in specs for thing in parts_of(spec) if is_own(thing)]
    places = [(getattr(thing, "__module__", "?"), getattr(thing, "__qualname__", repr(thing))) for thing in found]
    lost = [f"{module}:{name}" for module, name in places if module in SCRIPTS or "<" in name]
    return list(dict.fromkeys(lost))


def is_own(thing: Any) -> bool:
    """Return whether a class or function is neither of this package nor installed."""
    thing = unwrapped(thing)
    if isinstance(thing, functools.partial):
        return True
    module = getattr(thing, "__module__", None)
    if module is None or module == "builtins":
        return False
    if module == "__main__":  # whatever program runs it
        return True
    if module.partition(".")[0] in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:  # a notebook, a console, something built in
        return isinstance(thing, types.FunctionType | type)
    return is_own_file(file)


def is_own_file(file: str) -> bool:
    return not file.startswith((*LIBRARIES, PACKAGE)) and INSTALLED.isdisjoint(Path(file).parts)


def unwrapped(thing: Any) -> Any:
    """Return the function inside what jit, wraps and the like put around it."""
    for _ in range(DEEPEST):
        inner = getattr(thing, "__wrapped__", None) or getattr(thing, "__func__", None)
        if inner is None or isinstance(thing, type):
            return thing
        thing = inner
    return thing


def words(thing: Any, here: bool, seen: dict[int, Any], depth: int) -> Iterator[str]:
    """Yield words that tell a thing from any other: values by contents, own code by its code, libraries by name."""
    if thing is None or isinstance(thing, bool | int | float | complex | str | bytes):
        yield f"{type(thing).__name__} {thing!r}"
        return
    if id(thing) in seen or depth > DEEPEST or len(seen) > MOST:
        yield "again"
        return
    if not isinstance(thing, tuple | frozenset | types.CodeType):  # equal constants are one object only sometimes
        seen[id(thing)] = thing  # kept, so that no other thing takes its place in memory
    below = functools.partial(words, here=here, seen=seen, depth=depth + 1)
    yield type(thing).__qualname__
    if isinstance(thing, types.CodeType):
        yield thing.co_code.hex()
        yield " ".join((*thing.co_names, "|", *thing.co_varnames, "|", *thing.co_freevars))
        for constant in thing.co_consts:
            yield from below(constant)
    elif isinstance(thing, type):
        yield from of_class(thing, below)
    elif isinstance(thing, types.FunctionType):
        yield from of_function(thing, below)
    else:
        yield from of_value(thing, below, here)


def of_class(cls: type, below: Callable[[Any], Iterator[str]]) -> Iterator[str]:
    yield f"{cls.__module__}:{cls.__qualname__}"
    if is_own(cls):
        for name, value in vars(cls).items():
            if name not in GENERATED:
                yield name
                yield from below(value)
        for base in cls.__bases__:
            yield from below(base)


def of_function(function: types.FunctionType, below: Callable[[Any], Iterator[str]]) -> Iterator[str]:
    yield f"{function.__module__}:{function.__qualname__}"
    if not is_own(function):
        return
    yield from below(function.__code__)
    yield from below(function.__defaults__)
    yield from below(function.__kwdefaults__)
    for cell in function.__closure__ or ():
        try:
            yield from below(cell.cell_contents)
        except ValueError:  # not yet filled
            yield "empty"
    for name in sorted(names_in(function.__code__)):
        if name in function.__globals__:
            yield name
            yield from below(function.__globals__[name])


def names_in(code: types.CodeType) -> set[str]:
    """Return the names that a function and those inside it may look up."""
    inner = [names_in(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)


def of_value(thing: Any, below: Callable[[Any], Iterator[str]], here: bool) -> Iterator[str]:
    if isinstance(thing, types.ModuleType):
        yield thing.__name__
        if thing.__name__ in sys.modules and is_own_module(thing):
            for name, value in vars(thing).items():
                if not name.startswith("__"):
                    yield name
                    yield from below(value)
    elif isinstance(thing, np.ndarray | np.generic) or is_concrete(thing):
        array = np.asarray(jax.random.key_data(thing) if is_key(thing) else thing)  # pyright: ignore[reportArgumentType]
        yield f"{array.dtype} {array.shape} "
        if array.dtype.hasobject:
            yield from below(array.tolist())
        else:
            yield hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    elif isinstance(thing, tuple | list):
        for item in thing:
            yield from below(item)
    elif isinstance(thing, set | frozenset):
        for item in sorted(thing, key=repr):
            yield from below(item)
    elif isinstance(thing, Mapping):
        for name, item in thing.items():
            yield from below(name)
            yield from below(item)
    elif isinstance(thing, functools.partial):
        yield from below((thing.func, thing.args, thing.keywords))
    elif isinstance(thing, property):
        yield from below((thing.fget, thing.fset))
    elif (inner := unwrapped(thing)) is not thing:
        yield from below(inner)
        yield from below(getattr(thing, "__self__", None))
    elif hasattr(thing, "__dict__") and is_own(type(thing)):
        yield from below(type(thing))
        yield from below(vars(thing))
    elif hasattr(thing, "__dict__") and vars(thing):
        yield from below(vars(thing))
    else:
        yield f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', getattr(thing, '__name__', ''))}"
        yield str(id(thing)) if here else ""


def is_concrete(thing: Any) -> bool:
    return isinstance(thing, jax.Array) and not isinstance(thing, Tracer)


def is_key(thing: Any) -> bool:
    return isinstance(thing, jax.Array) and jax.numpy.issubdtype(thing.dtype, jax.dtypes.prng_key)


def is_own_module(module: types.ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and is_own_file(file)
