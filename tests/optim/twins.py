"""Optimizers and schedules transcribed to plain float64 numpy, one loop each, from their papers and PyTorch's pages."""

import numpy as np


def sgd(o, w, gradients, factor):
    b = None
    for t, g in enumerate(gradients):
        g = g + o.weight_decay * w
        b = g if b is None else o.momentum * b + g
        w = w - o.learning_rate * factor(t) * (g + o.momentum * b if o.nesterov else b)
        yield w


def adam(o, w, gradients, factor):
    return _adam(o, w, gradients, factor, coupled=o.weight_decay, decoupled=0.0)


def adamw(o, w, gradients, factor):
    return _adam(o, w, gradients, factor, coupled=0.0, decoupled=o.weight_decay)


def _adam(o, w, gradients, factor, coupled, decoupled):
    m = v = np.zeros_like(w)
    for t, g in enumerate(gradients):
        rate = o.learning_rate * factor(t)
        g = g + coupled * w
        w = w * (1 - rate * decoupled)
        m = o.b1 * m + (1 - o.b1) * g
        v = o.b2 * v + (1 - o.b2) * g**2
        m_hat, v_hat = m / (1 - o.b1 ** (t + 1)), v / (1 - o.b2 ** (t + 1))
        w = w - rate * m_hat / (np.sqrt(v_hat) + o.eps)
        yield w


def lion(o, w, gradients, factor):
    m = np.zeros_like(w)
    for t, g in enumerate(gradients):
        c = o.b1 * m + (1 - o.b1) * g
        m = o.b2 * m + (1 - o.b2) * g
        w = w - o.learning_rate * factor(t) * (np.sign(c) + o.weight_decay * w)
        yield w


def constant(s, t):
    return 1.0


def warmup(s, t):
    return min((t + s.offset) / s.steps, 1.0) if s.steps else 1.0


def cosine(s, t):
    if t < s.warmup:
        return t / s.warmup
    part = min((t - s.warmup) / max(s.steps - s.warmup, 1), 1.0)
    return s.final + (1 - s.final) * (1 + np.cos(np.pi * part)) / 2


def step(s, t):
    return s.factor_per_drop ** (t // s.every)


def clipped(gradients, largest):
    for g in gradients:
        norm = np.sqrt(np.sum(g**2))
        yield g * min(1.0, largest / norm) if norm else g
