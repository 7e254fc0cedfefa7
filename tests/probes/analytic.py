"""Gromov's analytic solution, whose Fourier structure is known, and slow transcriptions of published measures."""

import numpy as np


def gromov(p, frequencies, phases, signs=(1, 1), noise=0.0, seed=0):
    """Return W_0 [2p, N], W_1 [N, p] of Gromov 2023: cos(wa + f), cos(+-wb + g), cos(wc + f + g), w = 2 pi k/p.

    Args:
        frequencies: k of every neuron.
        phases: (f, g) of every neuron.
        signs: of a and b in the operation.
    """
    w = 2 * np.pi * np.asarray(frequencies) / p
    f, g = np.asarray(phases).T
    x = np.arange(p)[:, None]
    rows = [np.cos(sign * w * x + phase) for sign, phase in zip(signs, (f, g), strict=True)]
    params = {"W_0": np.concatenate(rows), "W_1": np.cos(w * x + f + g).T}
    rng = np.random.default_rng(seed)
    return {name: W + noise * rng.normal(size=W.shape) for name, W in params.items()}


def random_phases(neurons, seed=0):
    return np.random.default_rng(seed).uniform(0, 2 * np.pi, (neurons, 2))


def hidden(params, p):
    """Return the square activations [p, p, N]."""
    a, b = params["W_0"][:p], params["W_0"][p:]
    return (a[:, None] + b[None]) ** 2


def logits(params, p):
    return hidden(params, p) @ params["W_1"]


def fourier_rows(p):
    """Return the published basis of R^p, row after row: constant, then cosine and sine of every frequency."""
    rows, names = [np.ones(p) / np.sqrt(p)], [(0, "constant")]
    for k in range(1, p // 2 + 1):
        for function in (np.cos, np.sin):
            row = function(2 * np.pi * k * np.arange(p) / p)
            if np.linalg.norm(row) > 1e-9:
                rows.append(row / np.linalg.norm(row))
                names.append((k, function.__name__))
    return np.array(rows), names


def block_shares(activations, k):
    """Return the share of every neuron's variance in the 3 x 3 block of a frequency, one 2D product after another."""
    p = len(activations)
    rows, names = fourier_rows(p)
    mine = [row for row, (freq, _) in zip(rows, names, strict=True) if freq in (0, k)]
    centred = activations - activations.mean(axis=(0, 1))
    found = []
    for n in range(activations.shape[-1]):
        total = np.sum(centred[..., n] ** 2)
        inside = sum(np.sum(np.outer(u, v) * centred[..., n]) ** 2 for u in mine for v in mine)
        found.append(inside / total)
    return np.array(found)


def released_keys(activations):
    """Return each neuron's best frequency among 1 ... p//2 - 1, as the released code has it."""
    p = len(activations)
    shares = np.array([block_shares(activations, k) for k in range(1, p // 2)])
    return shares.argmax(axis=0) + 1, shares.max(axis=0)


def directions(p, k, signs=(1, 1)):
    """Return the unit vectors cos w(a+b), sin w(a+b) over the pairs [p * p], from products of one-dimensional ones."""
    x = 2 * np.pi * k * np.arange(p) / p
    a, b = signs[0] * x, signs[1] * x
    cosine = np.outer(np.cos(a), np.cos(b)) - np.outer(np.sin(a), np.sin(b))
    sine = np.outer(np.sin(a), np.cos(b)) + np.outer(np.cos(a), np.sin(b))
    found = [part.ravel() for part in (cosine, sine)]
    return [part / np.linalg.norm(part) for part in found if np.linalg.norm(part) > 1e-9]


def component(flat, p, k, signs=(1, 1)):
    """Return the part of logits [p * p, classes] along the directions of a frequency."""
    return sum(np.outer(d, d @ flat) for d in directions(p, k, signs))


def cross_entropy(flat, labels):
    flat = flat - flat.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(flat).sum(axis=1)) - flat[np.arange(len(flat)), labels])


def restricted_loss(flat, labels, p, keys, signs=(1, 1)):
    kept = sum(component(flat, p, k, signs) for k in keys)
    kept = kept + (flat - kept).mean(axis=0)
    return cross_entropy(kept, labels)


def excluded_loss(flat, labels, train, p, keys, signs=(1, 1)):
    rest = flat - sum(component(flat, p, k, signs) for k in keys)
    return cross_entropy(rest[train], labels[train])


def circuit_coefficient(flat, p, k, signs=(1, 1)):
    a, b = (x.ravel() for x in np.mgrid[:p, :p])
    wave = np.cos(2 * np.pi * k * (signs[0] * a + signs[1] * b)[:, None] / p - 2 * np.pi * k * np.arange(p) / p)
    return np.sum(flat * wave) / np.linalg.norm(wave)
