"""Lu et al. 2023: steps so large that the strong feature's residual oscillates teach the weak feature."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, MaximalError, Median, mean, most
from grokdyn.plot import style
from grokdyn.theory import oscillation

SOURCE = "Lu et al. 2023 (arXiv 2310.17074)"
MAP = "theory.oscillation, the map of the strong feature"
SMALL, BELOW, ABOVE, LARGE = 0.05, 0.24, 0.26, 0.35
GROWING = (0.28, 0.30, 0.35, 0.38)
# Updates over which the residual is that of the strong feature alone, and the size of a residual that counts.
SETTLED, BEFORE, DELTA = 300, 2000, 0.1
# The paper's test rows: 28 of 32 hold the strong feature.
STRONG_ROWS = 28 / 32
RIGHT = 0.95


def of_map(ds):
    """Return the runs with c, the number that the map has, in place of the learning rate."""
    base = gd.Sweep.from_toml(ds.attrs["spec"]).base
    c = ds.learning_rate.values * base.task.common_length**2 / base.model.filters
    return ds.assign_coords(learning_rate=np.round(c, 6)).rename(learning_rate="c")


def ratio(ds):
    """Return the weak feature's length over the strong one's."""
    task = gd.Sweep.from_toml(ds.attrs["spec"]).base.task
    return float(task.rare_length / task.common_length)


def weak(ds):
    """Return the alignment with the weak feature, mean of the classes [c, seed, step], at its own records."""
    found = gd.analysis.measured(ds, "feature_alignment").sel(feature="rare").mean("row_class")
    return found.transpose("c", "seed", "step")


def grown(ds):
    """Return by what the alignment with the weak feature has multiplied [c, seed]."""
    found = weak(ds)
    return found.isel(step=-1) / found.isel(step=0)


def early(ds):
    """Return the stretch in which the weak feature adds nothing to speak of to the outputs."""
    return ds.sel(step=slice(SETTLED, BEFORE))


def shortfall(ds):
    """Return the mean of 1 - y f over that stretch and both classes [c, seed]."""
    return -early(ds).residual.mean(("step", "target_sign")).transpose("c", "seed")


def speeds(ds, c):
    """Return the measured growth per update of the logarithm of the weak alignment over that of theory [seed].

    Theory's is at the shortfall of the run itself; a class has every other update.
    """
    found = np.log(weak(early(ds)).sel(c=c))
    first, last = found.isel(step=0), found.isel(step=-1)
    slope = (last - first) / float(last.step - first.step)
    return (slope / (0.5 * oscillation.weak_growth(c, ratio(ds), shortfall(ds).sel(c=c)))).values


def weak_accuracy(ds):
    """Return the final accuracy on rows with the weak feature alone [c, seed]."""
    return ds.only_rare_sign_accuracy.isel(step=-1).transpose("c", "seed")


def papers_accuracy(ds):
    """Return the final accuracy on test rows mixed as the paper's [c, seed]."""
    strong = ds.test_sign_accuracy.isel(step=-1).transpose("c", "seed")
    return STRONG_ROWS * strong + (1 - STRONG_ROWS) * weak_accuracy(ds)


def claims(results):
    ds = of_map(results["rates"])
    long = ds.step[-1] >= BEFORE
    low, high = oscillation.window()
    growth, accuracy = grown(ds), weak_accuracy(ds)
    flips = gd.analysis.sign_flips(early(ds), beyond=DELTA).mean("target_sign") if long else None
    inside = [c for c in ds.c.values if low < c < high]
    theory = [oscillation.mean_shortfall(c) for c in inside]

    def at(values, c):
        return values.sel(c=c).values if long else None

    def median(values, c):
        return Median(at(values, c)) if long else None

    return [
        *(
            Claim(
                f"c = {c:g}, below the window: the weak feature stays where it was",
                SOURCE,
                "stays near its start",
                median(growth, c),
                (0, 1.5),
                unit="times the first alignment",
            )
            for c in (SMALL, BELOW)
        ),
        *(
            Claim(
                f"c = {c:g}, in the window: the weak feature grows",
                SOURCE,
                "grows, by 5 times or more (ours)",
                median(growth, c),
                (5, np.inf),
                bears=(1.5, np.inf),
                unit="times the first alignment",
            )
            for c in GROWING
        ),
        *(
            Claim(
                f"c = {c:g}: the residual {told}",
                MAP,
                expected,
                mean(at(flips, c)) if long else None,
                region,
                unit=f"of the updates change its sign from {DELTA:g} away or more",
            )
            for c, told, expected, region in (
                (BELOW, "settles", "none", (-0.01, 0.01)),
                (ABOVE, "oscillates for good, by turns", "1/2, as a class has every other update", (0.48, 0.52)),
            )
        ),
        Claim(
            "in the window the mean of 1 - y f is that of the map, at every rate, to .02",
            MAP,
            "equal while the weak feature is small",
            MaximalError(shortfall(ds).sel(c=inside).transpose("seed", "c").values, theory) if long else None,
            (0, 0.02),
            unit="largest distance from the map's",
        ),
        *(
            Claim(
                f"c = {c:g}: the weak feature grows as fast as this mean says, to a tenth",
                MAP,
                "4 c rho^2 (1 - F) for an update of the class",
                Median(speeds(ds, c)) if long else None,
                (0.9, 1.1),
                unit="of theory's growth",
            )
            for c in (0.30, LARGE)
        ),
        most(
            f"c = {LARGE:g}: rows with the weak feature alone are told apart, {RIGHT:g} of them or more",
            SOURCE,
            "99.4 % of a test set with 1/8 of such rows",
            at(accuracy >= RIGHT, LARGE) if long else np.zeros(0),
            measured=bool(long),
        ),
        Claim(
            f"c = {SMALL:g}: they are guessed",
            SOURCE,
            "chance",
            mean(at(accuracy, SMALL)) if long else None,
            (0.25, 0.75),
            unit="accuracy on rows with the weak feature alone",
        ),
        *(
            Claim(
                f"c = {c:g}: accuracy on the paper's mixture of test rows",
                SOURCE,
                f"{told:.4g}, of 5 seeds",
                mean(at(papers_accuracy(ds), c)) if long else None,
                (told - 0.02, min(told + 0.02, 1)),
                published=told,
            )
            for c, told in ((SMALL, 0.9375), (LARGE, 0.9938))
        ),
    ]


def figure(results):
    ds = of_map(results["rates"])
    with style.context():
        drawn = style.new_figure(7.0, 4.4)
        (residual, short), (growth, right) = drawn.subplots(2, 2)
        oscillating(residual, ds)
        shortfalls(short, ds)
        alignments(growth, ds)
        ends(right, ds)
        for letter, ax in zip("abcd", (residual, short, growth, right), strict=True):
            style.letter(ax, letter)
    return drawn


def oscillating(ax, ds):
    """Draw the first residuals of one run at a rate below, and one in the window."""
    stretch = ds.isel(seed=0).sel(target_sign=1, step=slice(0, 200))
    for color, c in zip(style.CYCLE, (SMALL, BELOW, LARGE), strict=False):
        ax.plot(stretch.step, stretch.residual.sel(c=c), color=color, linewidth=0.7, label=f"c = {c:g}")
    ax.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    ax.set(xlabel="step", ylabel="residual y f - 1", ylim=(-1.05, 1.25))
    ax.legend(fontsize=6, loc="upper right", ncols=3)


def shortfalls(ax, ds):
    """Draw the mean shortfall of every rate beside the map's, the window shaded."""
    cs = np.linspace(0.03, 0.42, 157)
    ax.plot(cs, [oscillation.mean_shortfall(c, 20_000, leave=2000) for c in cs], color="0.3", lw=0.8, label="map")
    found = shortfall(ds)
    low, middle, high = (found.quantile(q, "seed") for q in (0.1, 0.5, 0.9))
    ax.errorbar(ds.c, middle, [middle - low, high - middle], fmt="o", ms=3, lw=0.8, label="runs, median, 10 % to 90 %")
    shade(ax)
    ax.set(xlabel="c = rate x |u|$^2$ / m", ylabel="mean of 1 - y f")
    ax.legend(fontsize=6, loc="upper left")


def alignments(ax, ds):
    """Draw the alignment with the weak feature over the steps, medians and 10 % to 90 % of the seeds."""
    found = weak(ds)
    chosen = [c for c in (SMALL, BELOW, ABOVE, 0.30, LARGE) if c in found.c.values]
    for color, c in zip(style.CYCLE, chosen, strict=False):
        values = found.sel(c=c)
        ax.plot(values.step, values.median("seed"), color=color, label=f"c = {c:g}")
        low, high = values.quantile((0.1, 0.9), "seed").transpose("quantile", "step").values
        ax.fill_between(values.step, low, high, color=color, alpha=0.18, linewidth=0)
    ax.set(xlabel="step", ylabel="weak alignment", yscale="log")
    ax.legend(fontsize=6, loc="upper left")


def ends(ax, ds):
    """Draw the final accuracy on rows with one feature alone, diverged runs left out and counted."""
    for color, part, told in zip(style.CYCLE, ("rare", "common"), ("weak alone", "strong alone"), strict=False):
        found = ds[f"only_{part}_sign_accuracy"].isel(step=-1)
        error = found.std("seed") / np.sqrt(np.maximum(found.notnull().sum("seed"), 1))
        ax.errorbar(ds.c, found.mean("seed"), 2 * error, fmt="o-", ms=3, lw=0.8, color=color, label=told)
    lost = (ds.status != 0).mean("seed")
    ax.plot(ds.c, lost, "x--", ms=4, lw=0.8, color="0.4", label="share diverged")
    shade(ax)
    ax.set(xlabel="c = rate x |u|$^2$ / m", ylabel="accuracy at the end", ylim=(-0.04, 1.04))
    ax.legend(fontsize=6, loc=(0.03, 0.1))


def shade(ax):
    ax.axvspan(*oscillation.window(), color="0.9", zorder=0, linewidth=0)
