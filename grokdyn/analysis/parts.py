"""Which parts of the rows a Dataset knows: train, test, and those that the task names besides."""

import xarray as xr

from . import checks

DIVIDED = ("train", "test")


def parts(ds: xr.Dataset, what: str = "accuracy") -> tuple[str, ...]:
    """Return the parts with a variable `<part>_<what>`, train and test first.

    A part is known by the attribute `part` of its variables; train and test also by their names, since results of
    earlier versions have no such attribute. Raises ValueError for what is not a Dataset.
    """
    named = {str(v.attrs["part"]): None for v in checks.dataset(ds).data_vars.values() if "part" in v.attrs}
    return tuple(part for part in {**dict.fromkeys(DIVIDED), **named} if f"{part}_{what}" in ds.data_vars)


def one_part(ds: xr.Dataset, part: str, what: str = "accuracy") -> str:
    """Return the name of a part's variable.

    Raises ValueError where there is none, naming the parts that have one.
    """
    if part not in DIVIDED:
        checks.choice(part, parts(ds, what), "part")
    return str(checks.variable(ds, f"{part}_{what}").name)
