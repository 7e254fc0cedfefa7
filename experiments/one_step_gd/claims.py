"""Mahankali, Hashimoto & Ma 2023: one step of gradient descent is the best of one layer of linear attention."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, MaximalError, Probability, mean
from grokdyn.plot import style
from grokdyn.theory import in_context

SOURCE = "Mahankali, Hashimoto & Ma 2023 (arXiv 2307.03576), theorem 1 for isotropic prompts"
OURS = "closed form of gd.theory.in_context"


def setting(ds):
    """Return the dimension and the noise of prompts."""
    task = gd.Sweep.from_toml(ds.attrs["spec"]).base.task
    return task.dimension, float(task.noise_std)


def lengths(ds):
    """Return the fewest and the most pairs of a prompt in training, of each arm."""
    return [tuple(int(n) for n in str(label).split("-")) for label in ds.train_pairs.values]


def rates(ds):
    """Return the best rate of each arm."""
    return np.array([in_context.shared_rate(np.arange(low, high + 1), *setting(ds)) for low, high in lengths(ds)])


def told(ds):
    """Return the risk of each arm's rate at every length that is shown [train_pairs, shown]."""
    return np.array([in_context.risk(ds.shown.values, *setting(ds), eta) for eta in rates(ds)])


def trained(ds):
    """Return the last record."""
    return ds.isel(step=-1).transpose("seed", "train_pairs", ..., missing_dims="ignore")


def own(ds):
    """Return, of arms of one length, their number and the place of their length among those shown."""
    shown = ds.shown.values.tolist()
    return [(arm, shown.index(low)) for arm, (low, high) in enumerate(lengths(ds)) if low == high]


def relative(values, theory):
    """Return the largest distance of means over seeds from theory, over theory."""
    return MaximalError(values / theory, np.ones_like(theory))


def matrices(ds):
    """Return the diagonal's mean and the others' root mean square over the best rate, both [seeds, train_pairs]."""
    M = trained(ds).step_matrix.transpose("seed", "train_pairs", "entry", "query_entry").values
    d, diagonal = M.shape[-1], np.trace(M, axis1=-2, axis2=-1)
    rest = np.sum(M**2, axis=(-2, -1)) - np.sum(np.diagonal(M, axis1=-2, axis2=-1) ** 2, axis=-1)
    return diagonal / d / rates(ds), np.sqrt(rest / (d * (d - 1))) / rates(ds)


def directions(ds):
    """Return how many directions each run of the narrow layer knows: singular values above half the best rate."""
    M = ds.step_matrix.isel(step=-1).transpose("init_scale", "seed", "entry", "query_entry").values
    best = in_context.rate(int(ds.shown.values[-1]), *setting(ds))
    return np.sum(np.linalg.svd(M, compute_uv=False) > best / 2, axis=-1)


def claims(results):
    ds, soft = results["linear"], trained(results["softmax"])
    last, places, theory = trained(ds), own(ds), told(ds)
    loss, step = last.in_context_loss.values, last.one_step_loss.values
    at = tuple(np.array(places).T)
    same = loss[:, *at], step[:, *at], theory[at]
    (diagonal, rest), known = matrices(ds), directions(results["small"])
    first, longest = places[0], places[-1]
    mixed = [arm for arm, (low, high) in enumerate(lengths(ds)) if low < high]
    far = theory[first[0], longest[1]] / theory[longest[0], longest[1]]
    return [
        Claim(
            "trained and tested on one length, the error is the closed form's, to a twentieth",
            SOURCE,
            "s^2 + d (d + 1 + s^2) / (n + d + 1 + s^2)",
            relative(same[0], same[2]),
            (0, 0.05),
            unit="of the closed form",
        ),
        Claim(
            "on the same prompts it is as good as one step at the best rate, to a hundredth",
            SOURCE,
            "equal",
            MaximalError((same[0] - same[1]) / same[2], np.zeros(len(places))),
            (0, 0.01),
            unit="of the closed form",
        ),
        Claim(
            "tested on every other length, the error is that of the rate it was trained for, to .15",
            OURS,
            "s^2 + d (1 - 2 eta n + eta^2 n (n + d + 1 + s^2))",
            relative(loss.reshape(len(loss), -1), theory.reshape(-1)),
            (0, 0.15),
            unit="of the closed form",
        ),
        Claim(
            "the response to a pair is the best rate for the length of training, to .03",
            SOURCE,
            "1 / (n + d + 1 + s^2)",
            MaximalError(diagonal, np.ones(diagonal.shape[1])),
            (0, 0.03),
            unit="of the best rate",
        ),
        Claim(
            "and a multiple of the identity: other entries have a root mean square of at most .03",
            SOURCE,
            "0",
            MaximalError(rest, np.zeros(rest.shape[1])),
            (0, 0.03),
            unit="of the best rate",
        ),
        Claim(
            "trained on all lengths it has one rate for all, E n / E[n (n + d + 1 + s^2)], to .03",
            OURS,
            "1",
            mean(diagonal[:, mixed].ravel(), "mean rate over the closed form's"),
            (0.97, 1.03),
            published=1.0,
        ),
        Claim(
            f"trained on {ds.shown.values[first[1]]} pairs, its error on {ds.shown.values[longest[1]]} is at least 1.5 "
            "times that of one trained on as many",
            OURS,
            f"{far:.2f} times as large",
            Contrast(loss[:, first[0], longest[1]], loss[:, longest[0], longest[1]], "ratio"),
            (1.5, np.inf),
            (1, np.inf),
            published=far,
        ),
        Claim(
            f"on {ds.shown.values[longest[1]]} pairs ridge regression has at most half its error",
            "the best predictor of all, which one step is not",
            "a half or less",
            Contrast(last.ridge_loss.values[:, longest[0], longest[1]], loss[:, longest[0], longest[1]], "ratio"),
            (0, 0.5),
            (0, 1),
        ),
        Claim(
            "softmax in place of the linear weights changes its error by at most a tenth",
            "ours",
            "1",
            Contrast(soft.in_context_loss.values[:, longest[1]], loss[:, longest[0], longest[1]], "ratio"),
            (0.9, 1.1),
        ),
        Claim(
            "a narrower layer from small weights ends, in at least a tenth of runs, where it knows one direction alone",
            "ours: a saddle, rank one, on the way to the optimum",
            "a tenth or more",
            Probability(known[0] == 1),
            (0.1, 1),
        ),
        Claim(
            "from larger weights in at most a fifth",
            "ours",
            "a fifth or less",
            Probability(known[-1] == 1),
            (0, 0.2),
        ),
    ]


def figure(results):
    ds, soft = results["linear"], results["softmax"]
    with style.context():
        drawn = style.new_figure(7.2, 4.6)
        axes = drawn.subplots(2, 2).ravel()
        by_length(axes[0], ds)
        by_rate(axes[1], ds)
        over_steps(axes[2], ds, soft)
        by_scale(axes[3], results["small"])
        for letter, ax in zip("abcd", axes, strict=True):
            ax.legend(fontsize=6)
            style.letter(ax, letter)
    return drawn


def by_length(ax, ds):
    """Draw the error of every arm at every length: dots are means, lines the closed form."""
    last, (d, noise) = trained(ds), setting(ds)
    n = np.geomspace(ds.shown.values[0], ds.shown.values[-1], 200)
    for arm, (color, eta, (low, high)) in enumerate(zip(style.CYCLE, rates(ds), lengths(ds), strict=False)):
        told = f"{low} pairs" if low == high else f"{low} to {high}"
        ax.plot(n, in_context.risk(n, d, noise, eta), color=color)
        ax.plot(ds.shown, last.in_context_loss.mean("seed")[arm], "o", ms=3, color=color, label=told)
    ridge = last.ridge_loss.mean(("seed", "train_pairs"))
    ax.plot(ds.shown, ridge, color="0.5", ls="--", label="ridge")
    ax.set(xscale="log", xlabel="pairs in the prompt", ylabel="squared error", title="error, by training length")
    ax.set_xticks(ds.shown.values, [str(n) for n in ds.shown.values])
    ax.set_xticks([], minor=True)
    ax.set_ylim(0, None)


def by_rate(ax, ds):
    """Draw every run's rate, the mean of the diagonal, at its length of training, on the closed form."""
    d, noise = setting(ds)
    diagonal = matrices(ds)[0] * rates(ds)
    arms = lengths(ds)
    n = np.linspace(1, max(high for _, high in arms) * 1.05, 200)
    ax.plot(n, in_context.rate(n, d, noise), color="0.3", label=r"$1/(n+d+1+s^2)$")
    for arm, (color, (low, high)) in enumerate(zip(style.CYCLE, arms, strict=False)):
        if low == high:
            ax.plot(np.full(len(diagonal), low), diagonal[:, arm], "o", ms=3, alpha=0.5, mew=0, color=color)
        else:
            ax.axhline(rates(ds)[arm], color=color, ls=":", label=f"best for {low} to {high}")
            ax.plot(
                np.full(len(diagonal), (low + high) / 2), diagonal[:, arm], "o", ms=3, alpha=0.5, mew=0, color=color
            )
    ax.set(xlabel="pairs in training", ylabel="response to one pair", title="rate of the step", ylim=(0, None))


def over_steps(ax, ds, soft):
    """Draw the test error at the longest length over steps, of linear and softmax weights: median and all runs."""
    arm, place = own(ds)[-1]
    level = told(ds)[arm, place]
    ridge = float(trained(ds).ridge_loss.mean(("seed", "train_pairs"))[place])
    for color, name, losses in (
        (style.CYCLE[0], "linear", ds.test_loss.isel(train_pairs=arm)),
        (style.CYCLE[1], "softmax", soft.test_loss),
    ):
        losses = losses.transpose("step", "seed")
        ax.fill_between(
            losses.step, losses.quantile(0.1, "seed"), losses.quantile(0.9, "seed"), color=color, alpha=0.2, lw=0
        )
        ax.plot(losses.step, losses.median("seed"), color=color, label=name)
    ax.axhline(level, color="0.3", ls=":", label="closed form")
    ax.axhline(ridge, color="0.5", ls="--", label="ridge")
    zero = setting(ds)[0] + setting(ds)[1] ** 2  # error of the predictor 0; runs begin far above it
    ax.set(xlabel="step", ylabel="test error", title=f"{lengths(ds)[arm][0]} pairs, by weights of attention")
    ax.set_ylim(0, 1.4 * zero)


def by_scale(ax, ds):
    """Draw the shares of runs that know one direction, all, or some in between, by the scale of their first weights."""
    known, d = directions(ds), setting(ds)[0]
    place = np.arange(len(known))
    kinds = {
        "one direction": known <= 1,
        "some": (known > 1) & (known < d),
        "all": known >= d,
    }
    bottom = np.zeros(len(known))
    for color, (name, runs) in zip((style.CYCLE[1], "0.75", style.CYCLE[0]), kinds.items(), strict=True):
        ax.bar(place, runs.mean(1), 0.6, bottom=bottom, color=color, label=name)
        bottom = bottom + runs.mean(1)
    ax.set_xticks(place, [f"{scale:g}" for scale in ds.init_scale.values])
    ax.set(
        xlabel="scale of the first weights", ylabel="share of runs", title="directions known in the end", ylim=(0, 1.35)
    )
    ax.set_yticks([0, 0.5, 1])
