"""Patches with common and rare, strong and weak features, and noise to be memorised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.errors import Words
from grokdyn.spec.rules import Choice, Count, Flag, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.signature import Classes, Images, Reals

MOST_ROWS = 1_000_000
FEATURES = ("common", "rare")


class FeatureData(Task):
    """Learn two classes from patches that hold features and noise (Zou et al. 2023; Lu et al. 2023).

    A row is P patches of d numbers, an image of 1 x P places with d channels. A feature is a vector along an axis that
    the noise has nothing along: the ``common`` one of length ``common_length``, the ``rare`` one of ``rare_length``.
    ``vectors = "own"``: each class has its own two, four axes in all; ``"opposite"``: the classes share two axes and
    have the features with opposite signs. ``places = "shared"``: the first patch holds what features a row has, their
    sum; ``"own"``: the first the common one, the second the rare one, 0 where the row does not have it. Then come
    ``distractors`` patches with the common feature of a class at random times ``distractor_scale``, and
    ``noise_patches`` of entries N(0, noise_std^2) off the features' axes.

    So many rows train: ``common`` with the common feature alone, ``rare`` with the rare one alone, ``both`` with both,
    each a part of its own. Rows of the part ``test`` are as many of each kind, ``only_common`` and ``only_rare`` are
    ``test_rows`` each. In every part the classes take turns. ``targets = "sign"`` makes of class 1 and 0 the real
    targets 1 and -1. Every run draws its own distractors and noise from its split stream.

    ``fresh``: every update draws ``batch_size`` rows of its own, each kind in proportion to these numbers, with classes
    by fair coins; the rows of ``test``, the part ``mixture``, and the others only test.

    Features of rows for transforms: ``label`` of classes, and ``common_size`` and ``rare_size``, the largest size of an
    entry along the axes of these features (distractors included).
    """

    dimension: int = field(Count(1, 100_000), default=300, doc="d, length of a patch")
    common: int = field(Count(0, MOST_ROWS), default=90, doc="train rows with the common feature alone")
    rare: int = field(Count(0, MOST_ROWS), default=10, doc="train rows with the rare feature alone")
    both: int = field(Count(0, MOST_ROWS), default=0, doc="train rows with both features")
    test_rows: int = field(Count(1, MOST_ROWS), default=200, doc="test rows with one feature alone, of either")
    common_length: float = field(Number(0), default=1.0, doc="length of the common feature")
    rare_length: float = field(Number(0), default=1.0, doc="length of the rare feature")
    vectors: str = field(Choice(("own", "opposite")), default="own", doc="how the features of the classes lie")
    places: str = field(Choice(("shared", "own")), default="shared", doc="patches that hold the features")
    distractors: int = field(Count(0, 1000), default=1, doc="patches with a common feature of either class")
    distractor_scale: float = field(Number(0), default=0.1, doc="what multiplies it there")
    noise_patches: int = field(Count(0, 1000), default=1, doc="patches of noise")
    noise_std: float = field(Number(0), default=0.1, doc="standard deviation of an entry of noise")
    targets: str = field(Choice(("classes", "sign")), default="classes", doc="classes, or real targets of 1 and -1")

    fresh: bool = field(
        Flag(), default=False, doc="every update draws batch_size new rows; the table only tests", kw_only=True
    )

    drawn = True

    @property
    def endless(self) -> bool:
        """Whether every update draws rows of its own."""
        return self.fresh

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.dimension < self.axes:
            yield "dimension", self.dimension, f"at least {self.axes}, the axes of the features"
        if not self.counts:
            yield "common", Words("no row that trains"), "common, rare or both above 0"

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        if self.label_noise == 0:
            yield "noise", "label_noise is 0"
        told = "every update draws rows of its own" if self.fresh else "common, rare and both are the train rows"
        yield from ((name, told) for name in ("train_fraction", "train_points"))
        if not self.distractors:
            yield "distractor_scale", "distractors is 0"
        if not self.noise_patches or self.dimension == self.axes:
            yield "noise_std", "there is no noise"

    @property
    def axes(self) -> int:
        """Axes that features lie along, the first ones."""
        return 4 if self.vectors == "own" else 2

    @property
    def counts(self) -> dict[str, int]:
        """Train rows of each kind that there is."""
        kinds = {"common": self.common, "rare": self.rare, "both": self.both}
        return {name: n for name, n in kinds.items() if n}

    @property
    def first_noise(self) -> int:
        """Place of the first patch of noise."""
        return (1 if self.places == "shared" else 2) + self.distractors

    def signature(self) -> Signature:
        inputs = Images(1, self.first_noise + self.noise_patches, self.dimension)
        targets = Classes(2) if self.targets == "classes" else Reals(1)
        seen = {"mixture": "pool"} if self.fresh else dict.fromkeys(self.counts, "train") | {"test": "test"}
        parts = seen | {"only_common": "test", "only_rare": "test"}
        return Signature(inputs, targets, len(self.membership()), parts)

    def membership(self) -> np.ndarray:
        mixture = sum(self.counts.values())
        sizes = {"mixture": mixture} if self.fresh else {**self.counts, "test": mixture}
        sizes |= {"only_common": self.test_rows, "only_rare": self.test_rows}
        return np.repeat(list(sizes), list(sizes.values()))

    def kinds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return whether a row has the common feature, whether it has the rare one, and its class, each [rows]."""
        mixtures = 1 if self.fresh else 2
        of_mixture = np.repeat(list(self.counts), list(self.counts.values()))
        kind = np.concatenate([*[of_mixture] * mixtures, np.repeat(FEATURES, self.test_rows)])
        turn = np.concatenate([np.arange(n) for n in [*self.counts.values()] * mixtures + [self.test_rows] * 2])
        return kind != "rare", kind != "common", (turn % 2).astype(np.int32)

    def vector(self, feature: str, label: int) -> jax.Array:
        """Return a feature of a class, float64 [d]; traced lengths."""
        place = FEATURES.index(feature)
        axis, sign = (2 * place + label, 1.0) if self.vectors == "own" else (place, 2.0 * label - 1)
        length = (self.common_length, self.rare_length)[place]
        return sign * jnp.asarray(length, jnp.float64) * jax.nn.one_hot(axis, self.dimension, dtype=jnp.float64)

    def features(self, inputs: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        sizes = jnp.max(jnp.abs(inputs[..., : self.axes]), axis=(1, 2))
        half = self.axes // 2
        told = {"common_size": jnp.max(sizes[:, :half], axis=1), "rare_size": jnp.max(sizes[:, half:], axis=1)}
        return super().features(inputs, labels) | told

    def draw(self, key: jax.Array) -> Table:
        return self.rows_of(key, *self.kinds())

    def sample(self, rule: None, key: jax.Array, rows: int) -> Table:
        key, kind_key, label_key = jax.random.split(key, 3)
        place = jax.random.randint(kind_key, (rows,), 0, sum(self.counts.values()), jnp.int32)
        label = (jax.random.bits(label_key, (rows,), jnp.uint32) & 1).astype(jnp.int32)
        without_rare, without_common = place < self.common, (place >= self.common) & (place < self.common + self.rare)
        return self.rows_of(key, ~without_common, ~without_rare, label)

    def rows_of(self, key: jax.Array, has_common: Any, has_rare: Any, label: Any) -> Table:
        """Return rows with these features and classes, each [rows], their distractors and noise drawn."""
        which_key, noise_key = jax.random.split(key)
        rows, classes = len(label), np.arange(2)
        common, rare = (jnp.stack([self.vector(name, int(k)) for k in classes]) for name in FEATURES)
        held = [has_common[:, None] * common[label], has_rare[:, None] * rare[label]]
        shown = jnp.stack([held[0] + held[1]] if self.places == "shared" else held, axis=1)
        coins = (jax.random.bits(which_key, (rows, self.distractors), jnp.uint32) & 1).astype(jnp.int32)
        distracting = jnp.asarray(self.distractor_scale, jnp.float64) * common[coins]
        noise = jax.random.normal(noise_key, (rows, self.noise_patches, self.dimension), jnp.float32)
        off = np.arange(self.dimension) >= self.axes
        noise = jnp.where(off, jnp.asarray(self.noise_std, jnp.float32) * noise, jnp.float32(0))
        patches = jnp.concatenate([shown, distracting], axis=1).astype(jnp.float32)
        x = jnp.concatenate([patches, noise], axis=1)[:, None]
        y = jnp.asarray(label)
        return Table(x, y if self.targets == "classes" else (2 * y - 1).astype(jnp.float32)[:, None])
