"""Tensors in groups, with rates and decays of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import optax

from grokdyn.optim.base import Optimizer, Wrapper, clip_by_norm
from grokdyn.optim.muon import Muon, divided
from grokdyn.spec.base import Spec, field, rules
from grokdyn.spec.errors import Words
from grokdyn.spec.kinds import Tables, kind_of
from grokdyn.spec.patterns import Pattern, matches
from grokdyn.spec.rules import Number, Optional
from grokdyn.tasks.shapes import Shapes

OWN = ("learning_rate", "weight_decay")


class Group(Spec):
    """Tensors, and what the inner optimizer has for them in place of its own; what is left out is as for all."""

    match: str = field(Pattern(), doc="the tensors: a name, or a pattern such as 'W_*'")
    learning_rate: float | None = field(
        Optional(Number(0)), default=None, doc="their learning rate; 0: they stay as they are"
    )
    weight_decay: float | None = field(Optional(Number(0)), default=None, doc="their weight decay")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if all(getattr(self, name) is None for name in OWN):
            yield "match", self.match, "a group with a learning_rate or weight_decay of its own"


class Groups(Wrapper):
    """The inner optimizer with learning rates and decays by groups of tensors, as PyTorch's ``param_groups``.

    ``groups = [{match = "W_E", learning_rate = 0.0}, {match = "b_*", weight_decay = 0.0}]`` freezes the embedding and
    spares the biases. Each tensor is in one group at most; the others have the inner optimizer's numbers. The schedule
    multiplies all rates, ``clip_norm`` bounds the gradient of all tensors together. Wrappers go around it.
    """

    groups: tuple[Any, ...] = field(Tables(Group), doc="tensors with numbers of their own")

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if not isinstance(self.inner, Optimizer) or isinstance(self.inner, Muon) or not self.inner.plain:
            allowed = "an optimizer of one rate, such as adamw; wrappers go around groups, groups into muon's rest"
            yield "inner", kind_of(self.inner), allowed
            return
        for i, group in enumerate(self.groups):
            if group.weight_decay is not None and "weight_decay" not in rules(type(self.inner)):
                yield f"groups[{i}].weight_decay", group.weight_decay, f"nothing: {kind_of(self.inner)} has no decay"

    def conflicts(self, shapes: Shapes) -> Iterator[tuple[str, Any, str]]:
        tensors = ", ".join(shapes.params)
        for i, group in enumerate(self.groups):
            if not any(matches(name, group.match) for name in shapes.params):
                yield f"groups[{i}].match", group.match, f"a pattern of tensors of this model: {tensors}"
        for name in shapes.params:
            mine = [group.match for group in self.groups if matches(name, group.match)]
            if len(mine) > 1:
                yield "groups", Words(f"{name} in {' and '.join(map(repr, mine))}"), "each tensor in one group"
        yield from super().conflicts(shapes)

    def transform(self) -> optax.GradientTransformation:
        clip, found = self.inner.clip_norm, optax.chain(*self.inner.parts())
        for group in reversed(self.groups):
            own = {name: value for name in OWN if (value := getattr(group, name)) is not None}
            found = divided(chosen(group.match), optax.chain(*self.inner.replace(**own).parts()), found)
        return found if clip is None else optax.chain(clip_by_norm(clip), found)


def chosen(pattern: str) -> Any:
    """Return what tells the tensors of a group."""

    def ours(name: str, leaf: jax.Array) -> bool:
        return matches(name, pattern)

    return ours
