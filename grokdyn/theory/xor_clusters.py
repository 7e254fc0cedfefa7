"""Exact dual dynamics of a two-layer ReLU network on XOR clusters (Xu et al. 2023, arXiv 2310.02541; Frei et al. 2022).

Rows x = s mu_c + z with z ~ N(0, I_p), s = +-1, orthogonal means mu_0, mu_1 of one norm, true label +1 where c = 0
and -1 where c = 1; train labels y are the opposite with probability eta, test labels are the true ones. The network
f(x) = sum_j a_j relu(w_j . x) has a fixed readout a_j = +-1/sqrt(m) and w_j ~ N(0, s_w^2 I_p); its w_j follow
full-batch gradient descent on the mean of log(1 + exp(-y f)).

The dual: updates stay in the span of the train rows X, so products with rows are all that is needed. For V = W X^T
[m, n] and H = W R^T [m, k] of any further rows R (test rows, means),

    V <- V + (rate / n) a_j sum_i g_i y_i 1[V_ji > 0] (X X^T)_ik,   g_i = 1 / (1 + exp(y_i f_i)),

and the same for H with X R^T: a step costs m n^2 however large p is.

The law: turned so that mu_c lie along the first two axes, the noise of N = n + k rows in the other p - 2 is L Q, with Q
orthonormal rows, independent of the lower trapezoidal L [N, min(N, p - 2)]: L_ij ~ N(0, 1) below the diagonal and
L_ii ~ chi of p - 2 - i degrees (Bartlett 1933). Gaussian w_j have independent N(0, s_w^2) coordinates in every
orthonormal basis. So rows of 2 + min(N, p - 2) numbers have exactly the law of all products, at every p and N.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array


class Setting(NamedTuple):
    """Sizes and scales of one panel.

    Attributes:
        rate: step size of gradient descent; init_std: s_w.
        dimension: p; train, test: number of rows; width: m.
        mean_norm: |mu|; flip: eta.
    """

    rate: float
    init_std: float = 1e-15
    dimension: int = 40_000
    train: int = 200
    test: int = 200
    width: int = 1000
    mean_norm: float = 2.5 * 200**0.5
    flip: float = 0.05


# Figure 1 of Xu et al. as its text has it: |mu| = 2.5 sqrt(p / n).
LEFT, RIGHT = Setting(rate=1e-12), Setting(rate=1e-16)
# As it is drawn, at twice these rates: after 17 steps on the right the median train accuracy over 100 seeds is .735
# (.72 to .75) at the rate of the text and .90 (.89 to .91) at twice it, where the figure has .90; the left agrees.
# A loss of two logits f and -f would double every update like this.
LEFT_DRAWN, RIGHT_DRAWN = Setting(rate=2e-12), Setting(rate=2e-16)


class Clusters(NamedTuple):
    """One draw of the data, in coordinates in which only products of rows have a meaning.

    Attributes:
        rows: [n, r]; labels: +-1 [n], some of them flipped; flipped: bool [n].
        test_rows: [k, r]; test_labels: +-1 [k], true.
        means: mu_0 and mu_1 [2, r].
    """

    rows: np.ndarray
    labels: np.ndarray
    flipped: np.ndarray
    test_rows: np.ndarray
    test_labels: np.ndarray
    means: np.ndarray


class Network(NamedTuple):
    """A network seen through its products: train [m, n], tracked [m, k] with further rows, readout [m]."""

    train: np.ndarray
    tracked: np.ndarray
    readout: np.ndarray


class Record(NamedTuple):
    """What the network is after `step` updates: train and tracked products as in ``Network``."""

    step: int
    train: np.ndarray
    tracked: np.ndarray


class Curves(NamedTuple):
    """Accuracies [seed, step] on the train rows by their labels, on those with true and with flipped ones, on the test.

    ``means`` holds the products of neurons and means, [seed, step, neuron, 2], of no neuron unless they were asked
    for; ``readout`` is [seed, neuron]. An accuracy of no rows is nan.
    """

    step: np.ndarray
    train: np.ndarray
    clean: np.ndarray
    flipped: np.ndarray
    test: np.ndarray
    readout: np.ndarray
    means: np.ndarray


def draw_clusters(setting: Setting, generator: np.random.Generator) -> Clusters:
    """Draw rows that have the exact law of all products of train rows, test rows and means.

    Raises:
        ValueError: for counts below 1, a dimension below 2, a flip outside [0, 1].
    """
    _checked(setting)
    n, total = setting.train, setting.train + setting.test
    noise = bartlett(total, setting.dimension - 2, generator)
    truth, sign = (2 * generator.integers(2, size=total) - 1 for _ in range(2))
    plane = generator.standard_normal((total, 2))
    plane[np.arange(total), (1 - truth) // 2] += sign * setting.mean_norm
    rows = np.concatenate([plane, noise], axis=1)
    flipped = generator.random(n) < setting.flip
    means = setting.mean_norm * np.eye(2, rows.shape[1])
    return Clusters(rows[:n], np.where(flipped, -truth[:n], truth[:n]), flipped, rows[n:], truth[n:], means)


def bartlett(rows: int, dimension: int, generator: np.random.Generator) -> np.ndarray:
    """Draw L [rows, min(rows, dimension)] such that L L^T is the Gram matrix of standard normal rows in `dimension`."""
    columns = min(rows, dimension)
    L = np.tril(generator.standard_normal((rows, columns)), -1)
    L[np.arange(columns), np.arange(columns)] = np.sqrt(generator.chisquare(dimension - np.arange(columns)))
    return L


def draw_network(setting: Setting, data: Clusters, generator: np.random.Generator) -> Network:
    """Draw a network before training; what it tracks are the test rows, then the two means."""
    W = setting.init_std * generator.standard_normal((setting.width, data.rows.shape[1]))
    readout = (2 * generator.integers(2, size=setting.width) - 1) / np.sqrt(setting.width)
    return Network(W @ data.rows.T, W @ np.concatenate([data.test_rows, data.means]).T, readout)


def descend(
    network: Network,
    gram: np.ndarray,
    cross: np.ndarray,
    labels: np.ndarray,
    rate: float,
    steps: Iterable[int],
    slack: float = 0.0,
) -> Iterator[Record]:
    """Yield the network after each of the given numbers of updates, in rising order.

    Products are not formed anew, but changed by the entries of the pattern 1[V_ji > 0] that changed, while no g_i has
    moved by more than `slack` since they were; at 0 that is exact. A slack d moves updates by at most about 2 d of
    themselves while g is near 1/2, and saves most of the work where logits stay below 2 d: both panels of ``LEFT`` and
    ``RIGHT`` at 1e-8.

    Args:
        gram: X X^T [n, n]; cross: X R^T [n, k]; labels: +-1 [n].

    Raises:
        ValueError: for no steps, or one below 0.
    """
    V, a, n = network.train.copy(), network.readout, labels.size
    push = np.zeros_like(V)
    on, C, rise = np.zeros(V.shape, bool), np.zeros_like(V), np.zeros_like(V)
    g, total, since = np.full(n, np.inf), np.zeros_like(V), np.zeros(V.shape, np.int64)
    step, steps = 0, sorted(set(steps))
    if not steps or steps[0] < 0:
        raise ValueError(f"steps: got {steps!r}; allowed: at least one number of updates, from 0 on")
    for wanted in steps:
        while step < wanted:
            # 1 / (1 + exp(y f)) without overflow.
            current = np.exp(-np.logaddexp(0, labels * (a @ np.maximum(V, 0))))
            now = V > 0
            if np.max(np.abs(current - g)) > slack:
                g, push = current, a[:, None] * (rate / n * current * labels)
                total += C * (step - since)
                C, since[:] = now * push, step
                rise = C @ gram
            else:
                at = np.flatnonzero(now != on)
                change = np.where(now.flat[at], push.flat[at], -push.flat[at])
                total.flat[at] += C.flat[at] * (step - since.flat[at])
                C.flat[at], since.flat[at] = C.flat[at] + change, step
                rise += entries(change, at, V.shape) @ gram
            on, step = now, step + 1
            V += rise
        total += C * (step - since)
        since[:] = step
        yield Record(step, V.copy(), network.tracked + total @ cross)


def entries(values: np.ndarray, at: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Return a sparse matrix with values at places, counted row by row in rising order, and 0 elsewhere."""
    row, column = np.divmod(at, shape[1])
    return csr_array((values, column, np.searchsorted(row, np.arange(shape[0] + 1))), shape=shape)


def run(setting: Setting, seed: int, steps: Iterable[int], means: bool = False, slack: float = 0.0) -> Curves:
    """Draw one data set and network and return their curves, without an axis for seeds."""
    for_data, for_network = np.random.default_rng(seed).spawn(2)
    data = draw_clusters(setting, for_data)
    network = draw_network(setting, data, for_network)
    cross = data.rows @ np.concatenate([data.test_rows, data.means]).T
    gram, k, taken, products = data.rows @ data.rows.T, setting.test, [], []
    for record in descend(network, gram, cross, data.labels, setting.rate, steps, slack):
        logits = [network.readout @ np.maximum(V, 0) for V in (record.train, record.tracked[:, :k])]
        fits, right = logits[0] * data.labels > 0, logits[1] * data.test_labels > 0
        parts = (fits, fits[~data.flipped], fits[data.flipped], right)
        taken.append((record.step, *(np.mean(part) if part.size else np.nan for part in parts)))
        products.append(record.tracked[:, k:] if means else np.empty((0, 2)))
    step, train, clean, wrong, test = np.array(taken).T
    return Curves(step.astype(int), train, clean, wrong, test, network.readout, np.array(products))


def curves(
    setting: Setting,
    seeds: Iterable[int],
    steps: Iterable[int],
    means: bool = False,
    slack: float = 0.0,
    workers: int = 1,
) -> Curves:
    """Return the curves of many seeds, each with data, flips and network of its own.

    Args:
        steps: numbers of updates after which to look; 0 is before training.
        means: keep the products of neurons and means.
        slack: see ``descend``.
        workers: threads; give BLAS one thread each (OPENBLAS_NUM_THREADS=1) if there are several.
    """
    seeds, steps = list(seeds), list(steps)
    if not seeds:
        raise ValueError("seeds: got none; allowed: at least one")
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(lambda seed: run(setting, seed, steps, means, slack), seeds))
    return Curves(found[0].step, *(np.stack([one[i] for one in found]) for i in range(1, len(Curves._fields))))


def _checked(setting: Setting) -> None:
    for name in ("train", "test", "width"):
        if getattr(setting, name) < 1:
            raise ValueError(f"{name}: got {getattr(setting, name)!r}; allowed: an integer from 1 on")
    if setting.dimension < 2:
        raise ValueError(f"dimension: got {setting.dimension!r}; allowed: an integer from 2 on, for two means")
    if not 0 <= setting.flip <= 1:
        raise ValueError(f"flip: got {setting.flip!r}; allowed: a probability")
