"""Shah et al. 2020: networks read the simplest feature alone; ensembles and adversarial training do not change it."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, crossing, mean, quotient
from grokdyn.plot import style

PAPER = "Shah et al. 2020 (arXiv 2006.07710)"
OURS = "ours"
# Areas that count as chance, and the least that counts as all; runs shorter than this tell nothing.
CHANCE, ALL, SHORT = (0.4, 0.6), (0.9, np.inf), 50
# Test accuracies at which a run leaves chance, and is there; a line's best accuracy on noisy rows.
LEAVES, THERE, LINE = 0.6, 0.95, 0.95


def long(ds):
    return int(ds.step[-1]) > SHORT


def area(ds, randomised):
    """Return the area in the end with coordinates randomised, of every run."""
    return ds.randomised_auc.sel(randomised=randomised).isel(step=-1).values


def claimed(text, source, expected, ds, values, agrees, published=None, unit="area"):
    return Claim(text, source, expected, mean(values) if long(ds) else None, agrees, None, published, unit)


def alone(name, ds, published=(None, None)):
    """Claim that a network reads the simplest feature, and nothing else."""
    told = [f"{value:.3f}" for value in published] if published[0] else ["chance", "all"]
    return [
        claimed(
            f"{name}: with the simplest feature randomised the others tell nothing",
            PAPER,
            told[0],
            ds,
            area(ds, "set"),
            CHANCE,
            published[0],
        ),
        claimed(
            f"{name}: with all others randomised it tells as much as before",
            PAPER,
            told[1],
            ds,
            area(ds, "others"),
            ALL,
            published[1],
        ),
    ]


def kinds(results):
    """Yield the settings without noise: name, runs."""
    linear, slabs = results["linear"], results["slabs"]
    for k in (5, 7):
        yield f"LMS-{k}", linear.sel(others=f"{k}-slab")
    yield "MS-(5,7)", slabs.isel(setting=0)


def claims(results):
    named = dict(kinds(results))
    made = []
    for name, ds in named.items():
        made += alone(name, ds, {"LMS-5": (0.507, 1.0), "MS-(5,7)": (0.502, 1.0)}.get(name, (None, None)))
    return [
        *made,
        equals(results["slabs"].isel(setting=1)),
        *noisy(results["noisy"]),
        *plateau(named["LMS-5"], named["MS-(5,7)"]),
        *together(results["noisy"]),
        *attacked(results["adversarial"]),
    ]


def equals(ds):
    text = "MS-7, all features alike: with the first randomised the others tell all"
    return claimed(text, OURS, "all", ds, area(ds, "set"), ALL)


def noisy(ds):
    """Claim of networks on noisy rows that they read the line, though slabs would tell all; means over four."""
    one = {name: ds.randomised_auc.sel(randomised=name).isel(step=-1).mean("init").values for name in ("set", "others")}
    accuracy = ds.test_accuracy.isel(step=-1).mean("init").values
    return [
        claimed(
            "noisy LMS-7: with the simplest feature randomised the others tell nothing",
            PAPER,
            ".497",
            ds,
            one["set"],
            CHANCE,
            0.497,
        ),
        claimed(
            "noisy LMS-7: with all others randomised it tells as much as before",
            PAPER,
            ".949",
            ds,
            one["others"],
            ALL,
            0.949,
        ),
        claimed(
            "noisy LMS-7: the test accuracy is what a line leaves, to .02, where slabs would tell all",
            PAPER,
            ".949",
            ds,
            accuracy,
            (LINE - 0.02, LINE + 0.02),
            0.949,
            "accuracy",
        ),
    ]


def times(ds, level):
    return crossing(ds.test_accuracy.transpose("seed", "step"), level)


def plateau(easy, hard):
    """Claim how long a network is at chance before it learns, with and without a linear feature."""
    there = long(hard) and long(easy)
    share = {name: quotient(times(ds, LEAVES), times(ds, THERE)) for name, ds in (("easy", easy), ("hard", hard))}
    made = [
        Claim(
            f"MS-(5,7): at chance (below {LEAVES}) for more than a third of the steps to {THERE} test accuracy",
            PAPER,
            "a plateau, two thirds of the steps",
            Median(share["hard"]) if there else None,
            (1 / 3, 1),
            unit="of the steps",
        ),
        Claim(
            f"LMS-5: at chance (below {LEAVES}) for less than a fifth of the steps to {THERE} test accuracy",
            OURS,
            "no plateau",
            Median(share["easy"]) if there else None,
            (0, 1 / 5),
            unit="of the steps",
        ),
        Claim(
            f"MS-(5,7) takes 30 times as many steps to {THERE} test accuracy as LMS-5",
            PAPER,
            "15,000 against fewer than 5,000 steps",
            Contrast(times(hard, THERE), times(easy, THERE)) if there else None,
            (30, np.inf),
            unit="times",
        ),
    ]
    return made


def ensembles(ds):
    """Return for every table the ensemble of its networks, with the simplest feature randomised and without."""
    last = ds.isel(step=-1).transpose("seed", "init", ...)
    found = {}
    for name in ("none", "set"):
        logits = last.randomised_logit.sel(randomised=name).transpose("seed", "init", "row").values
        labels = last.randomised_label.isel(init=0).transpose("seed", "row").values
        found[name] = [gd.analysis.ensemble(*one) for one in zip(logits, labels, strict=True)]
    return found


def together(ds):
    found = ensembles(ds)
    gain = [one.accuracy - one.accuracies.mean() for one in found["none"]]
    return [
        claimed(
            "noisy LMS-7, ensembles of four: with the simplest feature randomised the others tell nothing",
            PAPER,
            "ensembles do not help",
            ds,
            [one.auc for one in found["set"]],
            CHANCE,
        ),
        claimed(
            "noisy LMS-7, ensembles of four: no more accurate than one network, to .01",
            PAPER,
            "ensembles do not help",
            ds,
            gain,
            (-0.01, 0.01),
            unit="difference in accuracy",
        ),
    ]


def attacked(ds):
    """Claim what adversarial training does to features, and that it does what it is for."""
    made = []
    without = robust(ds.isel(budget=0))
    for place in (1, 2):
        one = ds.isel(budget=place)
        size = f"{float(one.budget):g}"
        made += [
            claimed(
                f"LMS-5, adversarial training to {size}: with the simplest feature randomised the others tell nothing",
                PAPER,
                ".508 on MNIST and CIFAR-10",
                one,
                area(one, "set"),
                CHANCE,
                0.508,
            ),
            claimed(
                f"LMS-5, adversarial training to {size}: with all others randomised it tells as much as before",
                PAPER,
                "all",
                one,
                area(one, "others"),
                ALL,
            ),
            claimed(
                f"LMS-5, adversarial training to {size}: more rows stand an attack of .1",
                PAPER,
                "more",
                one,
                robust(one) - without,
                (0, np.inf),
                unit="difference in accuracy",
            ),
        ]
    return made


def robust(ds, size=0.1):
    """Return the accuracy of every run under attacks of a size, in the end."""
    place = int(np.argmin(np.abs(ds.under_budget.values - size)))
    return ds.under_test_adversarial_accuracy.isel(step=-1, under_budget=place).values


def figure(results):
    named = dict(kinds(results))
    with style.context():
        drawn = style.new_figure(7.0, 4.4)
        axes = drawn.subplots(2, 3)
        curves(axes[0, 0], named["LMS-5"], "LMS-5")
        curves(axes[0, 1], named["MS-(5,7)"], "MS-(5,7)")
        curves(axes[0, 2], results["slabs"].isel(setting=1), "MS-7, all alike")
        curves(axes[1, 0], results["noisy"], "noisy LMS-7")
        axes[1, 0].axhline(LINE, color=style.INK, lw=0.6, ls=":")
        of_ensembles(axes[1, 1], results["noisy"])
        of_attacks(axes[1, 2], results["adversarial"])
        for letter, ax in zip("abcdef", axes.flat, strict=True):
            style.letter(ax, letter)
        axes[0, 0].legend(fontsize=6, loc="center left")
    return drawn


LINES = {"test_accuracy": "test accuracy", "set": "area, simplest randomised", "others": "area, others randomised"}


def curves(ax, ds, title):
    """Draw medians over runs with the middle 80 %: accuracy, and areas with features randomised."""
    for color, (name, label) in zip(style.CYCLE, LINES.items(), strict=False):
        values = ds.test_accuracy if name == "test_accuracy" else ds.randomised_auc.sel(randomised=name)
        runs = [dim for dim in values.dims if dim != "step"]
        values = values.transpose(*runs, "step").values.reshape(-1, ds.sizes["step"])
        low, middle, high = np.nanquantile(values, [0.1, 0.5, 0.9], axis=0)
        ax.plot(ds.step, middle, color=color, lw=1, label=label, ls="--" if name == "others" else "-")
        ax.fill_between(ds.step, low, high, color=color, alpha=0.2, lw=0)
    ax.set(xscale="symlog", xlabel="step", ylim=(0.35, 1.03), title=title)
    ax.set_xlim(left=0)


def of_ensembles(ax, ds):
    """Draw areas and accuracies of ensembles against those of their members."""
    found = ensembles(ds)
    for color, (name, of, label) in zip(
        style.CYCLE[1:],
        (("set", "auc", "area, simplest randomised"), ("none", "accuracy", "accuracy")),
        strict=False,
    ):
        members = [np.mean(getattr(one, "aucs" if of == "auc" else "accuracies")) for one in found[name]]
        ax.plot(members, [getattr(one, of) for one in found[name]], "o", ms=2.5, mew=0, color=color, label=label)
    ax.plot([0.4, 1], [0.4, 1], color=style.INK, lw=0.6, ls="--")
    ax.set(xlabel="mean of four networks", ylabel="their ensemble", title="noisy LMS-7", xlim=(0.4, 1), ylim=(0.4, 1))
    ax.legend(fontsize=6, loc="upper left")


def of_attacks(ax, ds):
    """Draw what adversarial training does, run by run."""
    budgets = ds.budget.values
    rng = np.random.default_rng(0)
    for color, (name, label) in zip(
        style.CYCLE[1:], (("set", LINES["set"]), ("attack", "accuracy, attack of .1")), strict=False
    ):
        for place in range(len(budgets)):
            one = ds.isel(budget=place)
            values = robust(one) if name == "attack" else area(one, name)
            x = place + 0.08 * rng.standard_normal(len(values))
            ax.plot(x, values, "o", ms=2, mew=0, alpha=0.6, color=color, label=label if place == 0 else None)
    ax.axhspan(*CHANCE, color=style.INK, alpha=0.08, lw=0)
    ax.set_xticks(range(len(budgets)), [f"{size:g}" for size in budgets])
    ax.set(xlabel="budget in training", ylim=(0.35, 1.03), title="LMS-5, adversarial training")
    ax.legend(fontsize=6, loc="center")
