"""Roberts 2021: each update opens the gap between test and train loss by rate Tr C / N. How long does that hold?"""

import numpy as np

from grokdyn.analysis.claims import Claim, Student
from grokdyn.plot import style
from grokdyn.theory import sgd_gap

PAPER = "Roberts 2021 (arXiv 2104.04874), first order"
OURS = "ours"
# Ratios that count as 1, to theory and to another arm; what counts as off; updates at rate .01 at which each is asked.
RIGHT, SAME, OFF = (0.75, 1.33), (0.8, 1.25), (-np.inf, 0.75)
FIRST, LATER, LAST = 4, 64, 128
RATE = 0.01


def long(ds):
    return int(ds.step[-1]) >= LAST


def opened(ds):
    """Return by how much the gap has grown since step 0, [seed, step]."""
    gap = (ds.test_loss - ds.train_loss).transpose("seed", "step").values
    return gap - gap[:, :1]


def said(ds, rate, rows, part="test"):
    """Return what theory says of it, with the covariance over rows of a part, [seed, step]."""
    trace = ds[f"{part}_gradient_covariance"].transpose("seed", "step").values
    return sgd_gap.gap(ds.step.values, trace, rate, rows)


def ratio(one, other, what="ratio of means"):
    """Return the ratio of two means over the same runs, its error by linear propagation."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    keep = np.isfinite(one) & np.isfinite(other)
    one, other = one[keep], other[keep]
    n, value = len(one), one.mean() / other.mean()
    error = (one - value * other).std(ddof=1) / np.sqrt(n) / abs(other.mean())
    return Student(float(value), float(error), n - 1, n, what)


def at(ds, values, step):
    return values[:, int(np.flatnonzero(ds.step.values == step)[0])]


def right(text, ds, rate, rows, step, agrees=RIGHT, source=PAPER, expected="1"):
    found = None
    if long(ds):
        found = ratio(at(ds, opened(ds), step), at(ds, said(ds, rate, rows), step), "measured over said, means")
    return Claim(text, source, expected, found, agrees, unit="of what theory says")


def same(text, one, other, steps, source=OURS, expected="the same"):
    """Claim that two arms have opened the same gap, each at its own step."""
    found = None
    if long(one) and long(other):
        found = ratio(*(at(ds, opened(ds), step) for ds, step in zip((one, other), steps, strict=True)))
    return Claim(text, source, expected, found, SAME, unit="times")


def full(results):
    """Return the runs with full batches of 100 rows (the middle number)."""
    return results["sizes"].isel(train_points=1)


def claims(results):
    made, sizes, plain = [], results["sizes"], full(results)
    for n in sizes.train_points.values:
        one = sizes.sel(train_points=n)
        made.append(right(f"{n} rows, after {FIRST} updates: the gap is what theory says", one, RATE, n, FIRST))
    digits, N = results["digits"], 200
    made.append(right(f"digits, after {FIRST} updates: the gap is what theory says", digits, 0.05, N, FIRST))
    told = "after {} updates: the gap is less than three quarters of what theory says"
    arms = (
        (f"100 rows, {told.format(LAST)}", plain, RATE, 100, LAST),
        (f"digits, {told.format(LAST)}", digits, 0.05, N, LAST),
    )
    made += [right(*arm, OFF, OURS, "theory is of parameters that do not know the rows") for arm in arms]
    batches = results["batches"]
    for size in batches.batch_size.values:
        text = f"batches of {size} open the same gap as full ones, after {LATER} updates"
        made.append(same(text, batches.sel(batch_size=size), plain, (LATER, LATER), PAPER, "whatever the batch size"))
    slow, fast = (results["rates"].isel(learning_rate=i) for i in range(2))
    text = "16 updates at rate .04 open the same gap as 256 at .0025"
    last = int(slow.step[-1])
    made.append(same(text, fast, slow, (LATER // 4, 4 * LATER) if last >= 4 * LATER else (0, 0), PAPER, "rate x steps"))
    for place, name in enumerate(("Gaussian", "heavy-tailed")):
        text = f"{name} noise on the gradient leaves the gap as it is without, after {LATER} updates"
        made.append(same(text, results["noise"].isel(tail=place), plain, (LATER, LATER)))
    none, *strong = (results["strong"].isel(noise=i) for i in range(3))
    for name, one in zip(("Gaussian", "heavy-tailed"), strong, strict=True):
        text = f"ten times as strong, {name} noise leaves the gap as it is without, after {LATER} updates"
        made.append(same(text, one, none, (LATER, LATER)))
        made.append(moved(name, one, none))
    return made


def moved(name, one, none):
    """Claim that noise is strong: that it moves the test loss in the end."""
    found = None
    if long(one):
        ends = (ds.test_loss.transpose("seed", "step").values[:, -1] for ds in (one, none))
        found = ratio(*ends)
    text = f"ten times as strong, {name} noise raises the test loss in the end by a hundredth or more"
    return Claim(text, OURS, "it does", found, (1.01, np.inf), unit="times")


def figure(results):
    sizes, plain = results["sizes"], full(results)
    with style.context():
        drawn = style.new_figure(7.0, 4.4)
        axes = drawn.subplots(2, 3)
        for color, n in zip(style.CYCLE, sizes.train_points.values, strict=False):
            one = sizes.sel(train_points=n)
            curve(axes[0, 0], one, RATE, opened(one), color, f"N = {n}")
            axes[0, 0].plot(one.step[1:] * RATE, said(one, RATE, n).mean(axis=0)[1:], "--", color=color, lw=0.8)
        axes[0, 0].set(yscale="log", ylabel="test loss - train loss")
        for color, n in zip(style.CYCLE, sizes.train_points.values, strict=False):
            one = sizes.sel(train_points=n)
            over(axes[0, 1], one, RATE, n, color, f"N = {n}")
        over(axes[0, 2], results["digits"], 0.05, 200, style.CYCLE[3], "digits")
        over(axes[0, 2], plain, RATE, 100, style.CYCLE[1], "teacher, N = 100")
        against(axes[1, 0], plain, plain, style.INK, "full")
        for color, size in zip(style.CYCLE, results["batches"].batch_size.values, strict=False):
            one = results["batches"].sel(batch_size=size)
            against(axes[1, 0], one, plain, color, f"B = {size}")
        for color, place in zip(style.CYCLE, range(2), strict=False):
            one = results["rates"].isel(learning_rate=place)
            rate = float(one.learning_rate)
            curve(axes[1, 1], one, rate, opened(one), color, f"rate {rate:g}, B = 10")
        curve(axes[1, 1], plain, RATE, opened(plain), style.INK, f"rate {RATE:g}, full")
        axes[1, 1].set(yscale="log", ylabel="test loss - train loss")
        against(axes[1, 2], plain, plain, style.INK, "none")
        for color, place, name in zip(style.CYCLE, range(2), ("Gaussian", "heavy-tailed"), strict=False):
            one = results["noise"].isel(tail=place)
            against(axes[1, 2], one, plain, color, name)
            strong = results["strong"].isel(noise=place + 1)
            against(axes[1, 2], strong, results["strong"].isel(noise=0), color, f"{name}, x 10", "--")
        titles = ("teacher", "teacher", "two tasks", "mini-batches", "rates", "noise on the gradient")
        for letter, ax, title in zip("abcdef", axes.flat, titles, strict=True):
            ax.set(xlabel="rate x steps", xscale="log", title=title)
            ax.legend(fontsize=6)
            style.letter(ax, letter)
        for ax in (axes[0, 1], axes[0, 2]):
            ax.set(ylabel="measured / said", ylim=(0, 1.6))
            ax.axhspan(*RIGHT, color=style.INK, alpha=0.08, lw=0)
        for ax in (axes[1, 0], axes[1, 2]):
            ax.set(ylabel="gap / gap of full batches", ylim=(0.6, 1.7))
            ax.axhspan(*SAME, color=style.INK, alpha=0.08, lw=0)
    return drawn


def curve(ax, ds, rate, values, color, label):
    """Draw the mean over runs with its 95 % interval."""
    middle, error = values.mean(axis=0)[1:], 1.96 * values.std(axis=0)[1:] / np.sqrt(len(values))
    x = ds.step.values[1:] * rate
    ax.plot(x, middle, "o-", ms=2, lw=1, color=color, label=label)
    ax.fill_between(x, middle - error, middle + error, color=color, alpha=0.2, lw=0)


def over(ax, ds, rate, rows, color, label):
    """Draw the ratio of what was measured to what theory says."""
    of_ratio(ax, ds.step.values[1:] * rate, opened(ds)[:, 1:], said(ds, rate, rows)[:, 1:], color, label)


def against(ax, ds, other, color, label, line="-"):
    """Draw the gap over that of another arm at the same steps."""
    of_ratio(ax, ds.step.values[1:] * RATE, opened(ds)[:, 1:], opened(other)[:, 1:], color, label, line)


def of_ratio(ax, x, one, other, color, label, line="-"):
    found = [ratio(one[:, i], other[:, i]) for i in range(one.shape[1])]
    middle, error = np.asarray([one.value for one in found]), 1.96 * np.asarray([one.error for one in found])
    ax.plot(x, middle, f"o{line}", ms=2, lw=1, color=color, label=label)
    ax.fill_between(x, middle - error, middle + error, color=color, alpha=0.2, lw=0)
