"""Nanda et al. 2023: the fewer the data, the later a one-layer transformer generalises; its circuit forms before."""

import matplotlib.figure
import numpy as np
from matplotlib.ticker import NullFormatter

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, Order, crossing, near, quotient
from grokdyn.plot import Panel, style

SOURCE = "Nanda et al. 2023; decoded from the published curves, one seed"
MEANT = "Nanda et al. 2023, progress measures over training"
# At p = 113: train_fraction -> first step with a test loss below 1.
PAPER = {
    0.25: 21419,
    0.28: 14465,
    0.3: 7583,
    0.4: 2615,
    0.5: 744,
    0.6: 270,
    0.7: 129,
    0.8: 177,
    0.9: 156,
    0.95: 123,
}
# Fractions whose times are compared with the published ones.
CLAIMED = (0.3, 0.4)
# Above these fractions the published order, of p = 113, is within the noise of a seed, and so is that of two at p = 37.
ORDERED, ORDERED_SMALL = 0.6, 0.7
MEASURES = ("train_loss", "test_loss", "restricted_loss", "excluded_loss")


def below(losses, threshold):
    """Return between which records losses come below a threshold, by run."""
    return crossing(-losses, -threshold)


def modulus(ds):
    """Return p."""
    return gd.Sweep.from_toml(ds.attrs["spec"]).base.task.p


def ordered(ds):
    """Return the fractions whose order is claimed, the least data first."""
    limit = ORDERED if modulus(ds) == 113 else ORDERED_SMALL
    return [f for f in ds.train_fraction.values.tolist() if f <= limit]


def claims(results):
    ds = results["fractions"]
    return sweep(ds) + published(ds) + measures(results["progress"])


def sweep(ds):
    """Return the claims on the sweep over fractions, each an arm of paired seeds."""
    arms = ordered(ds)
    least, most, all_of_it = arms[0], arms[-1], float(ds.train_fraction[-1])
    fits, generalises = (
        {f: below(losses.sel(train_fraction=f), level) for f in ds.train_fraction.values}
        for losses, level in ((ds.train_loss, 0.1), (ds.test_loss, 1.0))
    )
    highest = {f: ds.test_loss.sel(train_fraction=f).max("step").values for f in arms}
    # Runs of a seed are one draw: it fits early where its slowest fraction does.
    slowest = below(ds.train_loss.max("train_fraction"), 0.1)
    return [
        Claim(
            "train loss is below 0.1 early, at every fraction",
            SOURCE,
            "by step 134 to 217",
            Median(slowest) if ds.step[-1] >= 250 else None,
            (0, 250),
            unit="steps, the slowest fraction of a seed",
        ),
        Claim(
            f"the step at which it is hardly depends on the data: {least} of the table against {all_of_it}",
            SOURCE,
            "from step 134 to 217 over all fractions, a factor of 1.6",
            Contrast(fits[least], fits[all_of_it]),
            near(1, 1.6),
            unit="times the steps",
        ),
        Claim(
            "test loss falls below 1 later with less data",
            SOURCE,
            "21,419 steps at .25, 123 at .95",
            Order(tuple(generalises[f] for f in arms[::-1])),
            (0, np.inf),
            unit="steps",
        ),
        Claim(
            f"it takes at least twice as long with {least} of the table as with {most}",
            SOURCE,
            "5.8 times from .7 to .5, 28 from .6 to .3",
            Contrast(generalises[least], generalises[most]),
            agrees=(2, np.inf),
            bears=(1, np.inf),
            unit="times the steps",
        ),
        Claim(
            f"at fraction {least} test loss is below 1 at 5 times the steps to a train loss below 0.1, or later",
            SOURCE,
            "35 times or more at .3 (p = 113)",
            Median(quotient(generalises[least], fits[least])),
            (5, np.inf),
            unit="times the steps to fit",
        ),
        Claim(
            "the largest test loss is larger with less data",
            SOURCE,
            "10 at .4, 27 at .3, 32 at .25",
            Order(tuple(highest[f] for f in arms[::-1])),
            (0, np.inf),
        ),
    ]


def published(ds):
    """Return the claims that a fraction's steps are those of the paper's seed, which had p = 113."""
    found = []
    for fraction in CLAIMED if modulus(ds) == 113 else ():
        if fraction in ds.train_fraction.values:
            told = f"{PAPER[fraction]:,} in its seed"
            text = f"at fraction {fraction} test loss falls below 1 near the step of the paper's seed"
            what = Median(below(ds.test_loss.sel(train_fraction=fraction), 1.0))
            span = near(PAPER[fraction])
            found.append(Claim(text, SOURCE, told, what, span, published=PAPER[fraction], unit="steps"))
    return found


def last(values):
    """Return every run's value at its last record."""
    known = values.notnull()
    return values.where(known & (known.cumsum("step") == known.sum("step"))).max("step")


def by_circuit(ds):
    """Return runs with the measures of the key frequencies that a network has in the end.

    ``excluded_loss``: without one of them, as in the released code, in the mean over them; ``key_share``: of all
    frequencies.
    """
    final = last(ds.key_frequency) == 1
    return ds.assign(
        excluded_loss=ds.excluded_loss_per_frequency.where(final).mean("frequency"),
        key_share=last(ds.key_frequencies) / (modulus(ds) // 2),
    )


def at(values, steps):
    """Return every run's value at a step of its own; nan for none."""
    return values.sel(step=steps.fillna(0)).drop_vars("step").where(np.isfinite(steps))


def half_fallen(losses):
    """Return the last step at which a loss is still half of its largest value; whether it is the last record."""
    large = losses >= losses.max("step") / 2
    steps = losses.step.where(large).max("step")
    return steps, steps == losses.step.where(losses.notnull()).max("step")


def bounds(values, open_, upper=np.inf):
    """Return the ends of values, of which those of unfinished runs are known to be beyond what was seen."""
    values = values.values
    return values, np.where(open_.values, upper, values)


def measures(ds):
    """Return the claims on the phases; a run whose test loss has not fallen goes on beyond its last record."""
    ds = by_circuit(ds)
    phases = gd.analysis.progress_phases(ds)
    open_ = phases.cleanup.isnull()
    end = phases.cleanup.fillna(ds.step.where(ds.test_loss.notnull()).max("step"))
    begin = phases.circuit_formation.fillna(ds.excluded_loss.fillna(np.inf).idxmin("step"))
    # The phase begins between two records: at the first of them the train loss may still be on its way down.
    between = (ds.step > begin) & (ds.step <= end)
    (slow, unfinished), (fast, _) = half_fallen(ds.test_loss), half_fallen(ds.restricted_loss)
    squares = ds.weight_norm**2
    fall = at(squares, phases.generalisation) / at(squares, phases.cleanup)
    return [
        Claim(
            "excluded loss rises during circuit formation",
            MEANT,
            "rises",
            Median(bounds(at(ds.excluded_loss, end) / at(ds.excluded_loss, begin), open_)),
            (2, np.inf),
            unit="times",
        ),
        Claim(
            "train loss is low and flat meanwhile",
            MEANT,
            "flat",
            Median(ds.train_loss.where(between).max("step")),
            (0, 0.1),
        ),
        Claim(
            "restricted loss falls before test loss",
            MEANT,
            "falls first",
            Median(bounds(slow - fast, unfinished)),
            (0, np.inf),
            unit="steps",
        ),
        Claim(
            "it does in the first half of the steps that test loss takes to half of its largest",
            MEANT,
            "early, in circuit formation",
            Median(bounds((slow - fast) / slow, unfinished, 1.0)),
            (0.5, 1),
            unit="of these steps earlier",
        ),
        Claim(
            "the sum of squared weights falls by a tenth or more during cleanup",
            MEANT,
            "falls",
            Median((fall.fillna(0).values, fall.fillna(np.inf).values)),
            agrees=(0, 0.9),
            bears=(0, 1),
            unit="of that at its begin",
        ),
        Claim(
            "a network ends with less than half of the frequencies",
            MEANT,
            "5 of 56 (p = 113)",
            Median((np.where(open_, 0, ds.key_share), ds.key_share.values)),
            (0, 0.5),
            published=5 / 56,
            unit="of the frequencies",
        ),
    ]


def figure(results):
    ds, known = results["fractions"], by_circuit(results["progress"])
    part = ds.sel(train_fraction=ordered(ds))
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(6.4, 5), layout="constrained")
        axes = drawn.subplot_mosaic([["train", "test"], ["steps", "progress"]])
        for letter, ax in zip("abcd", axes.values(), strict=True):
            style.letter(ax, letter)
        for name in ("train", "test"):
            panel = Panel(f"fractions: {name}", part, (f"{name}_loss",), hue="train_fraction", xscale="log")
            gd.plot.beside([panel], ax=axes[name])
        axes["test"].get_legend().remove()  # the same as of the other
        draw_steps(axes["steps"], part)
        fraction = gd.Sweep.from_toml(known.attrs["spec"]).base.task.train_fraction
        gd.plot.beside([Panel(f"measures at {fraction:g}", known, MEASURES, yscale="log")], ax=axes["progress"])
        axes["progress"].set_ylim(bottom=1e-11)
        axes["progress"].legend(handles=axes["progress"].get_legend().legend_handles, loc="lower left", ncols=2)
    return drawn


def draw_steps(ax, ds):
    """Draw when every run fits and generalises, by fraction; open triangles: later; open circles: the paper's seed."""
    rng = np.random.default_rng(0)
    fractions = ds.train_fraction.values.tolist()
    kinds = (("train loss below 0.1", ds.train_loss, 0.1), ("test loss below 1", ds.test_loss, 1.0))
    ax.set_yscale("log")
    for (label, losses, level), color in zip(kinds, style.CYCLE, strict=False):
        for place, fraction in enumerate(fractions):
            low, high = below(losses.sel(train_fraction=fraction), level)
            seen, x = np.isfinite(high), place + rng.uniform(-0.2, 0.2, len(low))
            ax.plot(x[seen], high[seen], ".", ms=4, mew=0, color=color, label=label if not place else None)
            ax.plot(x[~seen], low[~seen], "^", ms=3, mfc="none", mew=0.6, color=color)
    if modulus(ds) == 113:
        ax.plot(range(len(fractions)), [PAPER[f] for f in fractions], "o", ms=5, mfc="none", color=style.INK)
    ax.set_xticks(range(len(fractions)), [f"{f:g}" for f in fractions])
    ax.set(xlabel="train fraction", ylabel="step", title="every run", ylim=(None, 3.5 * ax.get_ylim()[1]))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="upper right", markerscale=1.5)
