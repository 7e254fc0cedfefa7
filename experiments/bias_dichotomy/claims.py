"""Lyu et al. 2024: kernel first, sparse later, and the sharp time between them, beside the exact flow."""

import matplotlib.figure
import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, MaximalError, Probability, mean
from grokdyn.plot import style

LYU, EXACT = "Lyu et al. 2024 (arXiv 2311.18817)", "theory.diagonal, exact flow"
REACHED, LOW, HIGH = 0.85, 0.7, 0.95
# Seeds whose own flow is integrated.
FLOWS = 8


def rate(ds):
    return gd.Sweep.from_toml(ds.attrs["spec"]).base.optimizer.learning_rate


def first_time(ds, level):
    """Return when test accuracy first comes to a level, between records; nan where it never does."""
    values, times = ds.test_accuracy.transpose(..., "step"), rate(ds) * ds.step.values

    def of(row):
        there = np.flatnonzero(row >= level)
        if not len(there) or there[0] == 0:
            return np.nan if not len(there) else times[0]
        i = there[0]
        share = (level - row[i - 1]) / (row[i] - row[i - 1])
        return times[i - 1] + share * (times[i] - times[i - 1])

    found = np.apply_along_axis(of, -1, values.values)
    return values.isel(step=0, drop=True).copy(data=found)


def decays(ds):
    return [float(value) for value in ds.weight_decay.values if value > 0]


def slope(ds, decay):
    """Return lambda dt*/d log alpha of every seed."""
    times = decay * first_time(ds.sel(weight_decay=decay), REACHED).transpose("seed", "init_scale").values
    x = np.log(ds.init_scale.values)
    x = x - x.mean()
    return mean(times @ x / (x @ x), "lambda times the slope of t* on log alpha")


def flows(ds, decay):
    """Return the test loss and accuracy of the flow for some seeds, over (seed, init_scale, step)."""
    base = gd.Sweep.from_toml(ds.attrs["spec"]).base.replace(**{"optimizer.weight_decay": decay})
    found = {}
    for seed in ds.seed.values[:FLOWS]:
        sweep = gd.Sweep(base.replace(seed=int(seed)), {"model.init_scale": ds.init_scale.values.tolist()})
        found[int(seed)] = gd.theory.of(sweep, ds.step)
    return found


def apart(ds, decay, told):
    """Return how far test losses are from those of each seed's flow, over the largest of the flow."""
    seeds = list(told)
    runs = ds.sel(weight_decay=decay, seed=seeds).test_loss.transpose("seed", "init_scale", "step").values
    lines = np.stack([told[seed].test_loss.values for seed in seeds])
    values = ((runs - lines) / np.abs(lines).max()).reshape(len(seeds), -1)
    return MaximalError(values, np.zeros(values.shape[1]))


def later(ds, decay, told):
    """Return by how much lambda t* of a network is after that of its own flow."""
    base = ds.attrs
    differences = []
    for seed, lines in told.items():
        runs = decay * first_time(ds.sel(weight_decay=decay, seed=seed), REACHED).values
        differences.append(np.mean(runs - decay * first_time(lines.assign_attrs(base), REACHED).values))
    return mean(differences, "lambda t* of networks less that of their flows")


def at_log_alpha(ds, decay):
    """Return test accuracy of the largest alpha at lambda t = log alpha."""
    one = ds.sel(weight_decay=decay).isel(init_scale=-1)
    time = np.log(float(one.init_scale)) / decay
    return mean(one.test_accuracy.sel(step=time / rate(ds), method="nearest").values, "test accuracy")


def width(ds, decay):
    """Return lambda times the time between two accuracies, of the largest alpha less that of alpha = 1."""
    one = ds.sel(weight_decay=decay)
    spent = decay * (first_time(one, HIGH) - first_time(one, LOW))
    return mean((spent.isel(init_scale=-1) - spent.sel(init_scale=1.0)).values, "lambda times the change of its length")


def claims(results):
    ds = results["diagonal"]
    found = []
    for decay in decays(ds):
        found.append(
            Claim(
                f"decay {decay:g}: the transition is at (log alpha + constant) / decay",
                LYU,
                "slope 1 / decay",
                slope(ds, decay),
                (0.95, 1.05),
            )
        )
    decay = decays(ds)[0]
    told = flows(ds, decay)
    free = ds.sel(weight_decay=0.0).isel(init_scale=-1)
    return [
        *found,
        Claim(
            f"decay {decay:g}: test losses are those of the exact flow at every record, to .05 of the largest",
            EXACT,
            "equal for small steps",
            apart(ds, decay, told),
            (0, 0.05),
            unit="of the largest test loss",
        ),
        Claim(
            f"decay {decay:g}: the transition is that of the exact flow, to .05 in decay times time",
            EXACT,
            "equal for small steps",
            later(ds, decay, told),
            (-0.05, 0.05),
        ),
        Claim(
            f"decay {decay:g}: at decay times time = log alpha the largest alpha is still a kernel machine",
            LYU,
            "test accuracy of the l2 bias",
            at_log_alpha(ds, decay),
            (0.5, 0.75),
        ),
        Claim(
            f"decay {decay:g}: in the end the largest alpha is right",
            LYU,
            "test accuracy of the l1 bias",
            mean(ds.sel(weight_decay=decay).isel(init_scale=-1, step=-1).test_accuracy.values, "test accuracy"),
            (0.97, 1),
        ),
        Claim(
            f"decay {decay:g}: the transition lasts as long for the largest alpha as for 1, so it sharpens",
            LYU,
            "a length that alpha does not change",
            width(ds, decay),
            (-0.15, 0.15),
        ),
        Claim(
            "without decay the largest alpha does not come to .85 in the same time",
            LYU,
            "no transition",
            Probability(free.test_accuracy.max("step").values >= REACHED),
            (0, 0.2),
        ),
    ]


def figure(results):
    ds = results["diagonal"]
    decay = decays(ds)[0]
    base = gd.Sweep.from_toml(ds.attrs["spec"]).base.replace(**{"optimizer.weight_decay": decay})
    lines = gd.theory.of(gd.Sweep(base, {"model.init_scale": ds.init_scale.values.tolist()}), ds.step)
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 2.5), layout="constrained")
        curves, collapsed, times = drawn.subplots(1, 3)
        for letter, ax in zip("abc", (curves, collapsed, times), strict=True):
            style.letter(ax, letter)
        for color, alpha in zip(style.CYCLE, ds.init_scale.values, strict=False):
            one = ds.sel(weight_decay=decay, init_scale=alpha)
            t = decay * rate(ds) * one.step
            middle = one.test_accuracy.median("seed")
            ends = one.test_accuracy.quantile([0.1, 0.9], "seed")
            curves.fill_between(t, *ends.values, color=color, alpha=0.15, lw=0)
            curves.plot(t, middle, color=color, label=f"{alpha:g}")
            first = one.isel(seed=0).test_accuracy
            collapsed.plot(t - np.log(alpha), first, color=color, lw=1.8, alpha=0.5)
            told = lines.test_accuracy.sel(init_scale=alpha)
            collapsed.plot(t - np.log(alpha), told, color=style.INK, lw=0.7, ls=(0, (2.5, 1.5)))
        free = ds.sel(weight_decay=0.0).isel(init_scale=-1)
        time = decay * rate(ds) * free.step
        label = f"{float(free.init_scale):g}, no decay"
        curves.plot(time, free.test_accuracy.median("seed"), color=style.INK, lw=0.8, ls=":", label=label)
        curves.set(xlabel="decay × time", ylabel="test accuracy", title="by alpha: median, 80 %")
        curves.set_xlim(0, min(float(t[-1]), np.log(ds.init_scale.values[-1]) + 4))
        curves.legend(title="alpha")
        collapsed.set(xlabel="decay × time - log alpha", title="one seed; dashed: its exact flow", xlim=(-2, 4))
        draw_times(times, ds)
    return drawn


def draw_times(ax, ds):
    """Draw decay times t* of every run against log alpha, with a line of slope 1 through the means."""
    x = np.log(ds.init_scale.values)
    for k, (color, decay) in enumerate(zip(style.CYCLE, decays(ds), strict=False)):
        values = decay * first_time(ds.sel(weight_decay=decay), REACHED).transpose("init_scale", "seed")
        ax.plot(x + 0.04 * k, values.values, ".", ms=2.5, alpha=0.4, color=color, mew=0)
        middle = values.mean("seed").values
        ax.plot(x + 0.04 * k, middle, "o", ms=3.5, color=color, label=f"decay {decay:g}")
        ax.plot(x, x + np.mean(middle - x), color=color, lw=0.7, ls=(0, (4, 2)))
    ax.set(xlabel="log alpha", ylabel=f"decay × time of test accuracy {REACHED:g}", title="dashed: slope 1")
    ax.legend()
