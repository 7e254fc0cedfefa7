"""Classification in context: every sequence shows its inputs and classes in a way that its own task decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grokdyn.spec.base import field
from grokdyn.spec.rules import Choice, Count, Integer, Number
from grokdyn.tasks.base import Signature, Table, Task
from grokdyn.tasks.digit_tasks import pictures
from grokdyn.tasks.digits import DIGITS, FIX, MISSING, ROWS, source
from grokdyn.tasks.signature import Classes, Sequences

# Tasks from here on, as many again, are those that no run trains on.
MOST_TASKS = 2**20
MOST_ROWS = 100_000
UNSEEN_TASKS = "unseen"


class InContextClassification(Task):
    """Tell classes that a sequence names in an order of its own, from the examples before (Kirsch et al. 2022).

    Task t is a matrix A_t [width, entries] with entries N(0, 1 / entries) and a permutation pi_t of the classes. A
    sequence has one task, and inputs x_1, ..., x_L of classes y_1, ..., y_L, drawn independently. Its vector i is

        [A_t x_i, e(pi_t(y_{i-1}))],  e(c) the c-th unit vector, zeros at i = 1,

    and its answer i is pi_t(y_i): one at every vector, so that answer i can be told from i - 1 examples. A transformer
    has to be causal and to have as many ``answers`` as a sequence is long.

    Every update draws ``batch_size`` sequences, each of a task that is drawn uniformly from 0, ..., ``tasks`` - 1. No
    table of tasks is kept: A_t and pi_t are drawn from the run's key with t folded in, so that 2^20 of them cost what
    one does, and a run with fewer knows a subset. ``rows`` sequences of these tasks are the test rows, as many of tasks
    that no run trains on, 2^20 and on, the part ``unseen``.

    x of ``prototypes``: (p_y + noise_std n) / sqrt(1 + noise_std^2), n ~ N(0, I), with p_1, p_2, ... ~ N(0, I) drawn
    once for a run, y uniform; entries = width. Of ``digits``: an image of 8 x 8 pixels of the first ``classes`` digits,
    less the mean image and over the root mean square of all that is left; entries = 64. A run draws ``images`` that
    train; both test parts show the others alone.
    """

    classes: int = field(Count(2, 1000), default=10, doc="number of classes")
    width: int = field(Count(1, 1000), default=16, doc="entries of an input as a sequence shows it, A x")
    length: int = field(Count(2, 1000), default=40, doc="L, inputs of a sequence")
    tasks: int = field(Integer(1, MOST_TASKS), default=MOST_TASKS, doc="tasks that train")
    source: str = field(Choice(("prototypes", "digits")), default="prototypes", doc="what inputs are made of")
    noise_std: float = field(Number(0), default=0.5, doc="distance of inputs from their prototype, in each entry")
    images: int = field(Count(1, ROWS), default=1000, doc="images of digits that train")
    rows: int = field(Count(1, MOST_ROWS), default=500, doc="sequences of each part that tests")

    drawn, endless = True, True

    def problems(self) -> Iterator[tuple[str, Any, str]]:
        if self.source != "digits":
            return
        if source() is None:
            yield "source", MISSING, FIX
        elif self.classes > DIGITS:
            yield "classes", self.classes, f"at most {DIGITS}, the number of digits"
        elif self.images >= self.there:
            allowed = f"at most {self.there - 1}: there are {self.there} images of {self.classes} digits, some test"
            yield "images", self.images, allowed

    def ignored(self, steps: int) -> Iterator[tuple[str, str]]:
        yield from super().ignored(steps)
        name = "noise_std" if self.source == "digits" else "images"
        yield name, f'source is "{self.source}"'

    @property
    def there(self) -> int:
        """Images of the digits that are classes."""
        return len(self.digits()[1])

    def digits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the images [images, pixels] of the digits that are classes, and which digit each is [images]."""
        x, y = pictures()
        return x[y < self.classes], y[y < self.classes]

    def signature(self) -> Signature:
        parts = {"pool": "pool", UNSEEN_TASKS: "test"}
        targets = Classes(self.classes, answers=self.length)
        return Signature(Sequences(self.length, self.width + self.classes), targets, 2 * self.rows, parts)

    def membership(self) -> np.ndarray:
        return np.repeat(["pool", UNSEEN_TASKS], self.rows)

    def rule(self, key: jax.Array) -> dict[str, jax.Array]:
        """Return what tasks are drawn from, and the prototypes [classes, width] or the order of all images."""
        task_key, input_key = jax.random.split(key)
        of_tasks = jax.random.key_data(task_key)
        if self.source == "digits":
            return {"tasks": of_tasks, "order": jax.random.permutation(input_key, self.there).astype(jnp.int32)}
        return {"tasks": of_tasks, "prototypes": jax.random.normal(input_key, (self.classes, self.width), jnp.float32)}

    def draw(self, key: jax.Array) -> Table:
        rule, rows = self.rule(key), self.rows
        seen, unseen = (jax.random.fold_in(key, i) for i in (2, 3))
        parts = (
            self.sequences(rule, seen, rows, 0, self.tasks, trains=False),
            self.sequences(rule, unseen, rows, MOST_TASKS, MOST_TASKS, trains=False),
        )
        return Table(*(jnp.concatenate(both) for both in zip(*parts, strict=True)))

    def sample(self, rule: dict[str, jax.Array], key: jax.Array, rows: int) -> Table:
        return self.sequences(rule, key, rows, 0, self.tasks, trains=True)

    def sequences(
        self, rule: dict[str, jax.Array], key: jax.Array, rows: int, first: int, among: Any, trains: bool
    ) -> Table:
        """Draw sequences of tasks first, ..., first + among - 1, of images that train or of the others."""
        task_key, input_key = jax.random.split(key)
        number = first + jax.random.randint(task_key, (rows,), 0, jnp.asarray(among, jnp.int32), jnp.int32)
        A, pi = jax.vmap(lambda t: self.task_of(rule, t))(number)
        x, y = self.shown(rule, input_key, rows, trains)
        seen = jnp.einsum("rwe,rle->rlw", A, x, precision="highest")
        answers = jnp.take_along_axis(pi, y, axis=1)
        told = jax.nn.one_hot(answers[:, :-1], self.classes, dtype=x.dtype)
        before = jnp.concatenate([jnp.zeros((rows, 1, self.classes), x.dtype), told], axis=1)
        return Table(jnp.concatenate([seen, before], axis=-1), answers)

    def task_of(self, rule: dict[str, jax.Array], t: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return A_t [width, entries], float32, and pi_t [classes], int32."""
        matrix_key, order_key = jax.random.split(jax.random.fold_in(jax.random.wrap_key_data(rule["tasks"]), t))
        entries = self.entries
        A = jax.random.normal(matrix_key, (self.width, entries), jnp.float32) * np.float32(entries**-0.5)
        return A, jnp.argsort(jax.random.uniform(order_key, (self.classes,), jnp.float32)).astype(jnp.int32)

    @property
    def entries(self) -> int:
        """Entries of an input x."""
        return pictures().inputs.shape[1] if self.source == "digits" else self.width

    def shown(self, rule: dict[str, jax.Array], key: jax.Array, rows: int, trains: bool) -> tuple[jax.Array, jax.Array]:
        """Draw inputs x [rows, length, entries], float32, and their classes y [rows, length], int32."""
        first, second = jax.random.split(key)
        shape = (rows, self.length)
        if self.source == "digits":
            images, labels = self.digits()
            images = standardised(images)
            own = rule["order"][: self.images] if trains else rule["order"][self.images :]
            which = own[jax.random.randint(first, shape, 0, len(own), jnp.int32)]
            return jnp.asarray(images)[which], jnp.asarray(labels)[which]
        y = jax.random.randint(first, shape, 0, self.classes, jnp.int32)
        noise, spread = jax.random.normal(second, (*shape, self.width), jnp.float32), jnp.asarray(self.noise_std)
        x = rule["prototypes"][y] + spread.astype(noise.dtype) * noise
        return x / jnp.sqrt(1 + spread**2).astype(x.dtype), y


def standardised(images: np.ndarray) -> np.ndarray:
    """Return images [images, pixels] less their mean, over the root mean square of all that is left, float32."""
    apart = images - images.mean(0, dtype=np.float64)
    return (apart / np.sqrt(np.mean(apart**2))).astype(np.float32)
