"""What a user sees when a description cannot be run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpecError(ValueError):
    """A mistake in a description: the path of the field, what came, what is allowed.

    Attributes:
        path: dotted path of the field, e.g. ``"optimizer.learning_rate"``.
    """

    def __init__(self, path: str, came: object, allowed: str, hint: str = ""):
        self.path = path or "spec"
        tail = f" ({line(hint, 200)})" if hint else ""
        super().__init__(f"{line(self.path)}: got {shown(came)}; allowed: {allowed}{tail}")

    def __reduce__(self):  # between processes the message travels as it was told
        return told_elsewhere, (self.path, str(self))


def told_elsewhere(path: str, message: str) -> SpecError:
    """Return an error that another process raised."""
    error = SpecError(path, None, "")
    error.args = (message,)
    return error


def shown(value: object) -> str:
    """Return a short one-line picture of a value for a message."""
    try:
        text = str(value) if isinstance(value, Missing | Words) else repr(value)
    except Exception:  # thousands of levels or of digits, or a user's class that has no picture
        text = f"a {type(value).__name__} that cannot be shown"
    return line(text, 160 if isinstance(value, Words) else 80)


def line(text: str, longest: int = 120) -> str:
    """Return text on one line, cut to a length, control characters spelled out."""
    text = printable(" ".join(text.split())[: longest + 1])
    return text if len(text) <= longest else text[: longest - 3] + "..."


def printable(text: str, keep: str = "") -> str:
    """Return text with control characters spelled out, those of terminals and of right-to-left writing among them."""
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


class Missing:
    """Stands for a value that was not given."""

    def __str__(self) -> str:
        return "nothing"


class Words(str):
    """A phrase shown as it is, without quotes."""


# What others call a field -> what it may be called here.
ELSEWHERE = {
    "lr": ("learning_rate",),
    "rate": ("learning_rate",),
    "wd": ("weight_decay",),
    "decay": ("weight_decay",),
    "betas": ("b1",),
    "beta1": ("b1",),
    "beta2": ("b2",),
    "epsilon": ("eps",),
    "mu": ("momentum",),
    "scheduler": ("schedule",),
    "max_norm": ("clip_norm",),
    "epochs": ("steps",),
    "num_epochs": ("steps",),
    "iterations": ("steps",),
    "modulus": ("p",),
    "prime": ("p",),
    "mod": ("p",),
    "operation": ("op",),
    "fraction": ("train_fraction",),
    "frac_train": ("train_fraction",),
    "width": ("hidden", "d_model"),
    "widths": ("hidden",),
    "hidden_dim": ("hidden", "d_model"),
    "hidden_size": ("hidden", "d_model"),
    "n_layers": ("layers",),
    "num_layers": ("layers",),
    "depth": ("layers",),
    "n_heads": ("heads",),
    "num_heads": ("heads",),
    "nhead": ("heads",),
    "d_ff": ("ff", "d_mlp"),
    "dim_feedforward": ("ff", "d_mlp"),
    "embed_dim": ("d_model",),
    "nonlinearity": ("activation",),
    "dataset": ("task",),
    "data": ("task",),
    "network": ("model",),
    "criterion": ("loss",),
    "metrics": ("probes",),
    "batch": ("batch_size",),
    "log_every": ("record",),
    "save_every": ("snapshots",),
}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word closest to ``name``, or what it is called here; else nothing.

    A word that begins so, however it is written, is closer than one that is spelt alike.
    """
    known = sorted(known)
    called = [word for word in ELSEWHERE.get(str(name), ()) if word in known]
    begun = [word for word in known if len(str(name)) > 2 and word.lower().startswith(str(name).lower())]
    close = called or sorted(begun, key=len) or difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else ""
