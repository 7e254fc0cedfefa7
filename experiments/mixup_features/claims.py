"""Zou et al. 2023: mixup learns rare features, which plain training memorises rows without."""

import numpy as np

from grokdyn.analysis.claims import Claim, Contrast, mean, most
from grokdyn.plot import style

SOURCE = "Zou et al. 2023 (arXiv 2303.08433)"
LEARNED, GUESSED = 0.95, 0.7
TOO_EARLY, EARLY = 200, 800
SHORT = 1000


def throughout(results):
    """Return the runs with mixup at every update."""
    return results["mixup"].isel(until=-1)


def stopped(results, until):
    """Return the runs with mixup up to a step; None at a scale without."""
    ds = results["mixup"]
    return ds.sel(until=until) if until in ds.until.values else None


def last(ds, name):
    return ds[name].isel(step=-1).values


def rare(ds):
    """Return the final alignment with the rare feature, mean of the classes [seed]."""
    return ds.feature_alignment.sel(feature="rare").mean("row_class").isel(step=-1).values


def given(ds):
    """Return (share of inputs, share of labels, runs) of every pair of given shares."""
    points = [ds.isel(weights=i) for i in range(ds.sizes["weights"])]
    return [(float(one.share), float(one.label_share), one) for one in points]


def claims(results):
    plain, mixed = results["plain"], throughout(results)
    early, soon = stopped(results, EARLY), stopped(results, TOO_EARLY)
    long = plain.step[-1] >= SHORT and early is not None and soon is not None

    def all_do(text, expected, hits):
        return most(text, SOURCE, expected, hits() if long else np.zeros(0), measured=bool(long))

    def of(text, expected, what, agrees, bears=None, unit="", source=SOURCE):
        return Claim(text, source, expected, what() if long else None, agrees, bears=bears, unit=unit)

    on_rare = "accuracy on rows with the rare feature alone"
    return [
        all_do("plain training fits every train row", "all", lambda: last(plain, "train_accuracy") == 1),
        all_do(
            f"plain training learns the common feature, to an accuracy of {LEARNED:g}",
            "learned",
            lambda: last(plain, "only_common_accuracy") >= LEARNED,
        ),
        of(
            "plain training hardly learns the rare feature",
            f"not learned: at most {GUESSED:g} (ours)",
            lambda: mean(last(plain, "only_rare_accuracy")),
            (0, GUESSED),
            unit=on_rare,
        ),
        all_do(
            f"mixup learns it, to an accuracy of {LEARNED:g}",
            "learned",
            lambda: last(mixed, "only_rare_accuracy") >= LEARNED,
        ),
        of(
            "its filters lie more along the rare feature",
            "more; by 2 times or more (ours)",
            lambda: Contrast(rare(mixed), rare(plain)),
            (2, np.inf),
            (1, np.inf),
            "times plain training's alignment",
        ),
        of(
            "and less along the noise of train rows",
            "less; by a tenth or more (ours)",
            lambda: Contrast(last(mixed, "noise_alignment"), last(plain, "noise_alignment")),
            (0, 0.9),
            (0, 1),
            "times plain training's alignment",
        ),
        all_do(
            f"mixup stopped at step {EARLY} has learned it in the end, to an accuracy of {LEARNED:g}",
            "the gain is kept",
            lambda: last(early, "only_rare_accuracy") >= LEARNED,
        ),
        of(
            f"stopped at step {EARLY} it fits the train rows better",
            "lower clean loss; by half or more (ours)",
            lambda: Contrast(last(early, "train_loss"), last(mixed, "train_loss")),
            (0, 0.5),
            (0, 1),
            "times the train loss with mixup throughout",
        ),
        of(
            f"after the stop at step {EARLY} the alignment with the rare feature goes on growing",
            "it stays",
            lambda: Contrast(
                rare(early),
                early.feature_alignment.sel(feature="rare", step=EARLY).mean("row_class").values,
            ),
            (1, np.inf),
            unit="times that at the stop",
        ),
        *(
            all_do(
                f"given shares, {share:g} of inputs and {label_share:g} of labels, do as well: {LEARNED:g}",
                "different weights of inputs and labels work too",
                lambda one=one: last(one, "only_rare_accuracy") >= LEARNED,
            )
            for share, label_share, one in given(results["weights"])
        ),
        of(
            f"stopped at step {TOO_EARLY} nothing is gained",
            f"at most {GUESSED:g}",
            lambda: mean(last(soon, "only_rare_accuracy")),
            (0, GUESSED),
            unit=on_rare,
            source="ours",
        ),
        of(
            "rare rows that weigh nine times as much do not teach it",
            f"at most {GUESSED:g}",
            lambda: mean(last(results["upsampled"], "only_rare_accuracy")),
            (0, GUESSED),
            unit=on_rare,
            source="ours",
        ),
        most(
            f"rows that are new at every update teach it without mixup, to an accuracy of {LEARNED:g}",
            "ours",
            "learned, as no noise can be memorised",
            last(results["fresh"], "only_rare_accuracy") >= LEARNED if long else np.zeros(0),
            measured=bool(long),
        ),
    ]


def arms(results):
    """Return what is drawn over the steps: words -> runs."""
    found = {"plain": results["plain"], "rare rows x 9": results["upsampled"], "mixup": throughout(results)}
    early = stopped(results, EARLY)
    found |= {} if early is None else {f"mixup to {EARLY}": early}
    return found | {"fresh rows": results["fresh"]}


def figure(results):
    with style.context():
        drawn = style.new_figure(7.2, 2.5)
        over_steps, alignments, at_end = drawn.subplots(1, 3)
        for color, (told, ds) in zip(style.CYCLE, arms(results).items(), strict=False):
            # Runs that stop are those that do not until then.
            band(over_steps, ds.only_rare_accuracy, color, "--" if " to " in told else "-", told)
        over_steps.set(xlabel="step", ylabel="accuracy, rare feature alone", ylim=(0.42, 1.03))
        over_steps.legend(fontsize=6, loc="center right")
        for color, told in zip((style.CYCLE[0], style.CYCLE[2]), ("plain", "mixup"), strict=True):
            ds = arms(results)[told]
            for feature, look in (("common", "--"), ("rare", "-")):
                one = ds.feature_alignment.sel(feature=feature).mean("row_class")
                band(alignments, one, color, look, f"{told}, {feature}")
            band(alignments, ds.noise_alignment, color, ":", f"{told}, noise")
        alignments.set(xlabel="step", ylabel="alignment of the best filter", yscale="log")
        alignments.set_ylim(top=12)
        alignments.legend(fontsize=5.5, ncols=2, loc="upper center")
        stops(at_end, results)
        for letter, ax in zip("abc", (over_steps, alignments, at_end), strict=True):
            style.letter(ax, letter)
    return drawn


def band(ax, values, color, look="-", label=None):
    """Draw the median over seeds, shaded from the 10 % to the 90 % quantile."""
    ax.plot(values.step, values.median("seed"), look, color=color, label=label, linewidth=1)
    low, high = values.quantile((0.1, 0.9), "seed").transpose("quantile", "step").values
    ax.fill_between(values.step, low, high, color=color, alpha=0.15, linewidth=0)


def stops(ax, results):
    """Draw every run's final accuracy over the step at which mixup ended, 0 for plain training."""
    ds, rng = results["mixup"], np.random.default_rng(0)
    ends = [(0, results["plain"]), *((int(until), ds.sel(until=until)) for until in ds.until.values)]
    for place, (_, one) in enumerate(ends):
        values = last(one, "only_rare_accuracy")
        ax.plot(place + rng.uniform(-0.15, 0.15, len(values)), values, ".", ms=3, color=style.CYCLE[2], alpha=0.6)
        ax.plot([place - 0.25, place + 0.25], [np.median(values)] * 2, color="0.2", linewidth=1.2)
    ax.set_xticks(range(len(ends)), ["none", *(str(until) for until, _ in ends[1:-1]), "end"])
    ax.set(xlabel="mixup up to step", ylabel="final accuracy, rare feature alone", ylim=(0.42, 1.03))
