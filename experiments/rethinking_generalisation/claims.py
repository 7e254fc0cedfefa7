"""Random labels and inputs (Zhang et al. 2017), coherent and winsorised gradients (Chatterjee & Zielinski 2022)."""

from dataclasses import replace

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Order, Probability, crossing, mean
from grokdyn.plot import style

ZHANG = "Zhang et al. 2017 (arXiv 1611.03530)"
MYSTERY = "Chatterjee & Zielinski 2022 (arXiv 2203.10036)"
FITTED, CHANCE = 0.99, (0.08, 0.12)
# Updates that count as early; from where on a network that memorises is half-way.
EARLY, LATE = 100, 500
PIXELS = ("true", "shuffled", "random", "gaussian")


def claims(results):
    labels, inputs, winsorised = (results[name] for name in ("labels", "inputs", "winsorised"))
    whole = int(labels.step[-1]) > LATE
    return [
        *(one if whole else undecided(one) for one in (*of_labels(labels), *of_inputs(inputs, labels))),
        *(one if whole else undecided(one) for one in (*of_coherence(labels), *of_winsorised(winsorised))),
    ]


def undecided(claim):
    """Return a claim of runs too short to say anything."""
    return replace(claim, estimand=None)


def times(ds):
    """Return between which records each run has fitted."""
    return crossing(ds.train_accuracy, FITTED)


def at_end(ds, name):
    """Return what each run recorded last."""
    return gd.analysis.final(ds[[name, "status", "stopped_at"]].assign_attrs(ds.attrs))[name]


def of_labels(ds):
    """Return the claims on fitting random labels."""
    true, half, random = (ds.sel(label_noise=noise) for noise in (0.0, 0.5, 1.0))
    fitted, arms = np.isfinite(times(random)[1]), tuple(map(times, (true, half, random)))
    return [
        Claim("random labels are fitted", ZHANG, "99.96 % of CIFAR-10", Probability(fitted), (0.9, 1.0)),
        Claim(
            "what has fitted random labels tests at chance",
            ZHANG,
            "9.5 %",
            mean(at_end(random, "test_accuracy")),
            CHANCE,
            unit="test accuracy",
        ),
        Claim("the more labels are random, the later", ZHANG, "figure 1b", Order(arms), (0, np.inf), unit="steps"),
        Claim(
            "random labels take longer by a factor below ten",
            ZHANG,
            "a small constant factor",
            Contrast(times(random), times(true)),
            (1, 10),
        ),
    ]


def of_inputs(ds, labels):
    """Return the claims on random inputs with true labels."""
    true, shuffled, other, noise = (ds.sel(pixels=name) for name in PIXELS)
    random = labels.sel(label_noise=1.0)
    return [
        Claim(
            "normal numbers in place of pixels are fitted sooner than random labels",
            ZHANG,
            "figure 1a",
            Contrast(times(noise), times(random)),
            (0, 1),
        ),
        Claim(
            "so are images with a permutation of pixels for each",
            ZHANG,
            "figure 1a",
            Contrast(times(other), times(random)),
            (0, 1),
        ),
        Claim(
            "these test at chance", ZHANG, "chance", mean(at_end(other, "test_accuracy")), CHANCE, unit="test accuracy"
        ),
        Claim(
            "one permutation of pixels for all changes nothing for a network without convolutions",
            "symmetry of the first layer",
            "0",
            mean(at_end(shuffled, "test_accuracy").values - at_end(true, "test_accuracy").values, "mean difference"),
            (-0.01, 0.01),
            unit="test accuracy",
        ),
    ]


def peak(array, low, high=np.inf):
    """Return the largest value that each run has between two steps."""
    return array.where((array.step >= low) & (array.step <= high)).max("step").values


def of_coherence(ds):
    """Return the claims on how far the gradients of single train rows agree."""
    true, random = (ds.sel(label_noise=noise) for noise in (0.0, 1.0))
    early = [
        Claim(
            f"in the first {EARLY} updates gradients agree more on true labels than on random ones, {where}",
            MYSTERY,
            "far above 1 against about 1",
            Contrast(peak(of(true), 1, EARLY), peak(of(random), 1, EARLY)),
            (2, np.inf),
            bears=(1, np.inf),
            unit="ratio of the largest m-coherence",
        )
        for where, of in {
            "over all tensors": lambda one: one.m_coherence,
            "in the first layer": lambda one: one.m_coherence_per_tensor.sel(tensor="W_0"),
            "in the readout": lambda one: one.m_coherence_per_tensor.sel(tensor="W_1"),
        }.items()
    ]
    return [
        *early,
        Claim(
            "on true labels little of it is left once they are fitted",
            MYSTERY,
            "it falls",
            mean(at_end(true, "m_coherence")),
            (0, 1),
            unit="m-coherence of 100 rows",
        ),
        Claim(
            "on random labels it comes to a moderate value while they are memorised",
            MYSTERY,
            "it rises",
            mean(peak(random.m_coherence, LATE)),
            (2, 20),
            unit="m-coherence of 100 rows",
        ),
    ]


def of_winsorised(ds):
    """Return the claims on winsorised descent."""
    plain, strong = (ds.sel(level=level).isel(step=-1) for level in (0.0, 8.0))
    difference = strong - plain
    return [
        Claim(
            "winsorised at 8 % it has memorised fewer random labels",
            MYSTERY,
            "fewer",
            mean(difference.corrupted_rows_accuracy, "mean difference of pairs"),
            (-1, -0.05),
            bears=(-1, 0),
        ),
        Claim(
            "and generalises better",
            MYSTERY,
            "better",
            mean(difference.test_accuracy, "mean difference of pairs"),
            (0.02, 1),
            bears=(0, 1),
        ),
    ]


def middle(ax, array, color, label, dashes="-"):
    """Draw the median over the runs that still train, and where four fifths of them lie."""
    array = array.dropna("step", how="all")
    low, mid, high = (array.quantile(q, "seed") for q in (0.1, 0.5, 0.9))
    ax.plot(array.step, mid, dashes, color=color, label=label)
    ax.fill_between(array.step, low, high, color=color, alpha=0.18, lw=0)


def figure(results):
    labels, inputs, winsorised = (results[name] for name in ("labels", "inputs", "winsorised"))
    noises = (0.0, 0.5, 1.0)
    with style.context():
        drawn = style.new_figure(7.0, 4.4)
        (fit, remade, spread), (agree, layers, cut) = drawn.subplots(2, 3)
        for color, noise in zip(style.CYCLE, noises, strict=False):
            one = labels.sel(label_noise=noise)
            middle(fit, one.train_accuracy, color, f"{noise:.0%} random")
            middle(agree, one.m_coherence, color, f"{noise:.0%} random")
        for place, name in enumerate(PIXELS):
            middle(remade, inputs.sel(pixels=name).train_accuracy, style.CYCLE[place], name, ("-", "--")[place % 2])
        arms = {f"{noise:.0%} random": labels.sel(label_noise=noise) for noise in noises}
        arms |= {name: inputs.sel(pixels=name) for name in PIXELS[1:]}
        for place, one in enumerate(arms.values()):
            known = np.isfinite(times(one)[1])
            values = at_end(one, "test_accuracy").values
            jitter = np.linspace(-0.25, 0.25, len(values))
            spread.plot(place + jitter[known], values[known], ".", ms=3, mew=0, color=style.CYCLE[0])
            spread.plot(place + jitter[~known], values[~known], "x", ms=2, mew=0.5, color=style.CYCLE[1])
        for dashes, tensor in (("-", "W_0"), ("--", "W_1")):
            for noise in (0.0, 1.0):
                found = labels.sel(label_noise=noise, tensor=tensor).m_coherence_per_tensor
                name = ("first layer" if tensor == "W_0" else "readout") if noise == 0 else None
                middle(layers, found, style.CYCLE[2 * int(noise)], name, dashes)
        for color, level in zip(style.CYCLE, winsorised.level.values, strict=False):
            one = winsorised.sel(level=level)
            middle(cut, one.test_accuracy, color, f"{level:g} %")
            middle(cut, one.corrupted_rows_accuracy, color, None, "--")
        for ax in (fit, remade, agree, layers, cut):
            ax.set(xscale="symlog", xlabel="step", xlim=(0, None))
            ax.legend(fontsize=5.5)
        for ax in (agree, layers):
            ax.set(yscale="log", ylabel="m-coherence of 100 rows", ylim=(0.4, 7))
            ax.set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
            ax.minorticks_off()
            ax.axhline(1, color=style.INK, lw=0.5, ls=":")
        fit.set(ylabel="train accuracy", title="labels")
        remade.set(ylabel="train accuracy", title="inputs")
        spread.set(ylabel="test accuracy when fitted", title="single runs", ylim=(0, 1))
        spread.set_xticks(range(len(arms)), list(arms), rotation=40, ha="right", fontsize=6)
        spread.axhline(0.1, color=style.INK, lw=0.5, ls=":")
        agree.set(title="gradients agree")
        layers.set(title="layer by layer")
        cut.set(ylabel="test; memorised (dashed)", title="winsorised, half random", ylim=(0, 1))
        for letter, ax in zip("abcdef", (fit, remade, spread, agree, layers, cut), strict=True):
            style.letter(ax, letter)
    return drawn
