"""A whole training run in plain float64 numpy: a square network with one hidden layer, cross-entropy, momentum."""

import numpy as np


def softmax_losses(logits, labels):
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(labels)), labels], np.exp(log_p)


class Loop:
    """Gradient descent with momentum on the train rows; ``records`` sees what the probes should.

    Args:
        x, clean: one-hot inputs and labels of the whole table.
        train, labels: rows that train, and their labels as trained.
    """

    def __init__(self, x, clean, train, labels, params, learning_rate, momentum):
        self.x, self.clean, self.train, self.momentum = x, clean, train, momentum
        self.labels = clean.copy()
        self.labels[train] = labels
        self.test = np.setdiff1d(np.arange(len(x)), train)
        self.corrupted = train[labels != clean[train]]
        self.params = {name: np.array(w, np.float64) for name, w in params.items()}
        self.first = {name: w.copy() for name, w in self.params.items()}
        self.learning_rate = learning_rate
        self.buffer = {name: 0 * w for name, w in self.params.items()}

    def logits(self, x):
        pre = x @ self.params["W_0"] + self.params["b_0"]
        return pre, pre**2 @ self.params["W_1"] + self.params["b_1"]

    def gradient(self):
        x, y = self.x[self.train], self.labels[self.train]
        pre, logits = self.logits(x)
        slope = (softmax_losses(logits, y)[1] - np.eye(logits.shape[1])[y]) / len(y)
        inner = (slope @ self.params["W_1"].T) * 2 * pre
        return {"W_0": x.T @ inner, "W_1": (pre**2).T @ slope, "b_0": inner.sum(0), "b_1": slope.sum(0)}

    def update(self):
        g = self.gradient()
        return {name: -self.learning_rate * (g[name] + self.momentum * self.buffer[name]) for name in g}

    def advance(self):
        g = self.gradient()
        for name in g:
            self.buffer[name] = g[name] + self.momentum * self.buffer[name]
            self.params[name] -= self.learning_rate * self.buffer[name]

    def record(self):
        logits = self.logits(self.x)[1]
        found = {}
        losses = softmax_losses(logits, self.labels)[0]
        guess = logits.argmax(axis=1)
        others = np.where(np.eye(logits.shape[1], dtype=bool)[self.labels], -np.inf, logits)
        margin = logits[np.arange(len(logits)), self.labels] - others.max(axis=1)
        for part, rows in (("train", self.train), ("test", self.test)):
            found[f"{part}_loss"] = losses[rows].mean()
            found[f"{part}_accuracy"] = np.mean(guess[rows] == self.labels[rows])
            found[f"{part}_logit_norm"] = np.linalg.norm(logits[rows], axis=1).mean()
            found[f"{part}_margin"] = margin[rows].mean()
        untouched = np.setdiff1d(self.train, self.corrupted)
        found["clean_rows_accuracy"] = np.mean(guess[untouched] == self.clean[untouched])
        found["corrupted_rows_accuracy"] = np.mean(guess[self.corrupted] == self.labels[self.corrupted])
        found["recovered_accuracy"] = np.mean(guess[self.corrupted] == self.clean[self.corrupted])
        trees = {
            "weight_norm": self.params,
            "gradient_norm": self.gradient(),
            "update_norm": self.update(),
            "distance_from_init": {name: w - self.first[name] for name, w in self.params.items()},
        }
        for name, tree in trees.items():
            per_tensor = np.array([np.sqrt(np.sum(tree[tensor] ** 2)) for tensor in ("W_0", "W_1", "b_0", "b_1")])
            found |= {f"{name}_per_tensor": per_tensor, name: np.sqrt(np.sum(per_tensor**2))}
        return found
