"""SAM, ASAM, GAM, SAF, Entropy-SGD and Lion beside AdamW at an equal budget of gradients; sharpness against error."""

import numpy as np
from matplotlib.ticker import NullFormatter
from scipy.stats import kendalltau

from grokdyn.analysis.claims import Claim, Contrast, crossing, mean, most
from grokdyn.plot import style

# Name, gradients of an update, and who says that it finds flatter minima that generalise better.
ARMS = {
    "AdamW": (1, ""),
    "Lion": (1, "Chen et al. 2023 (arXiv 2302.06675)"),
    "SAM": (2, "Foret et al. 2021 (arXiv 2010.01412)"),
    "ASAM": (2, "Kwon et al. 2021 (arXiv 2102.11600)"),
    "GAM": (4, "Zhang et al. 2023 (arXiv 2303.03108)"),
    "SAF": (1, "Du et al. 2022 (arXiv 2205.14083)"),
    "Entropy-SGD": (5, "Chaudhari et al. 2017 (arXiv 1611.01838)"),
}
# A gain in accuracy and a share of the sharpness that count, and the train loss at which sharpnesses are compared.
GAIN, FLATTER, LOSS = 0.002, 0.9, 0.03
# A difference in accuracy that would matter to anybody; the claim that there is none was added after the runs.
MATTERS = 0.005
GROKKED, SHORT = 0.9, 50
# What is to foretell the test error over a grid of rates and decays; a rank correlation within the bound is none.
MODERN, BOUND = "Andriushchenko et al. 2023 (arXiv 2302.07011)", 0.3
MEASURES = {
    "l2_worst_sharpness": "adaptive worst sharpness, L2",
    "linf_worst_sharpness": "adaptive worst sharpness, largest entry",
    "average_sharpness": "adaptive average sharpness",
    "sharpness": "top eigenvalue",
}


def claims(results):
    digits, modular = results["digits"], results["modular"]
    of_digits, of_modular = arms(digits), arms(modular)
    made = []
    for name, (_, source) in list(ARMS.items())[1:]:
        one, other = of_digits[name], of_digits["AdamW"]
        told = f"digits, {name} against AdamW"
        made += [
            beside(f"{told}: a higher test accuracy for as many gradients", source, one, other, accuracy, GAIN),
            alike(f"{told}: a test accuracy within {MATTERS} for as many gradients", source, one, other),
            flatter(f"{told}: a smaller top eigenvalue for as many gradients", source, one, other, last_sharpness),
            flatter(f"{told}: a smaller top eigenvalue where the train loss is {LOSS}", source, one, other, at_loss),
        ]
    for name, ds in of_modular.items():
        said = ARMS[name][1] or "the quickstart"
        hits = np.isfinite(times(ds, name)[1])
        text = f"modular addition, {name}: it groks within the budget"
        made.append(most(text, said, "not in the paper", hits, measured=long(ds)))
    for name, (_, source) in list(ARMS.items())[1:]:
        one, other = of_modular[name], of_modular["AdamW"]
        told = f"modular addition, {name} against AdamW"
        sooner = Contrast(times(one, name), times(other, "AdamW")) if long(one) else None
        made += [
            Claim(f"{told}: it groks after fewer gradients", source, "not in the paper", sooner, (0, 0.9), (0, 1)),
            flatter(f"{told}: a smaller top eigenvalue for as many gradients", source, one, other, last_sharpness),
        ]
    return made + foretelling(results["grid"])


def foretelling(ds):
    """Claim that no sharpness orders the cells of a seed as their test errors do, but that one has the rate."""
    last, made = ds.isel(step=-1), []
    error = 1 - last.test_accuracy
    for word, told in MEASURES.items():
        for what, other in (("test error", error), ("test loss", last.test_loss)):
            found = mean(taus(last[word], other), "mean of Kendall's tau") if long(ds) else None
            text = f"digits, rates and decays: {told} does not foretell the {what}"
            made.append(Claim(text, MODERN, "no correlation", found, (-BOUND, BOUND), unit="tau"))
    rate = ds.learning_rate.broadcast_like(error)
    found = mean(taus(last.l2_worst_sharpness, rate), "mean of Kendall's tau") if long(ds) else None
    text = "digits, rates and decays: adaptive worst sharpness falls with the rate"
    return [*made, Claim(text, MODERN, "it tracks the rate", found, (-1, -BOUND), unit="tau")]


def taus(one, other):
    """Return Kendall's tau over the cells, for every seed."""
    pairs = zip(*(x.transpose("seed", ...).values.reshape(x.sizes["seed"], -1) for x in (one, other)), strict=True)
    return [kendalltau(a, b).statistic for a, b in pairs]


def arms(ds):
    """Return the runs of every optimizer, records up to its own last step."""
    found = {}
    for place, name in enumerate(ARMS):
        one = ds.isel(arm=place)
        found[name] = one.isel(step=np.flatnonzero(np.isfinite(one.train_loss.values).any(axis=axis_of_seeds(one))))
    return found


def axis_of_seeds(ds):
    return ds.train_loss.dims.index("seed")


def long(ds):
    return int(ds.step[-1]) > SHORT


def times(ds, name):
    """Return between which numbers of gradients each run groks."""
    low, high = crossing(ds.test_accuracy, GROKKED)
    return low * ARMS[name][0], high * ARMS[name][0]


def beside(text, source, one, other, number, least):
    found = Contrast(number(one), number(other), "difference") if long(one) else None
    return Claim(text, source, "higher", found, (least, np.inf), (0, np.inf), unit="difference")


def alike(text, source, one, other):
    found = Contrast(accuracy(one), accuracy(other), "difference") if long(one) else None
    return Claim(text, source, "higher", found, (-MATTERS, MATTERS), unit="difference")


def flatter(text, source, one, other, number):
    found = Contrast(number(one), number(other)) if long(one) else None
    return Claim(text, source, "flatter", found, (0, FLATTER), (0, 1), unit="of AdamW's")


def accuracy(ds):
    return ds.test_accuracy.isel(step=-1).values


def measured(ds):
    """Return the records that have a sharpness, losses and sharpnesses [seed, record]."""
    known = ds.isel(step=np.flatnonzero(np.isfinite(ds.sharpness.values).any(axis=axis_of_seeds(ds))))
    return (known[word].transpose("seed", "step").values for word in ("train_loss", "sharpness"))


def last_sharpness(ds):
    return list(measured(ds))[1][:, -1]


def at_loss(ds):
    """Return the sharpness of every run where its train loss first falls to a value, on lines between logarithms."""
    found = []
    for losses, sharp in zip(*measured(ds), strict=True):
        below = np.flatnonzero(losses <= LOSS)
        if not len(below) or below[0] == 0:
            found.append(np.nan)
            continue
        pair = slice(below[0] - 1, below[0] + 1)
        x, y = np.log(losses[pair]), np.log(sharp[pair])
        found.append(float(np.exp(np.interp(-np.log(LOSS), -x, y))))
    return np.asarray(found)


def figure(results):
    with style.context():
        drawn = style.new_figure(7.0, 6.6)
        panels = drawn.subplots(3, 3)
        for row, task in zip(panels, ("digits", "modular"), strict=False):
            for color, (name, one) in zip([style.INK, *style.CYCLE], arms(results[task]).items(), strict=False):
                right = np.median(one.test_accuracy.transpose("seed", "step").values, axis=0)
                row[0].plot(one.step.values * ARMS[name][0], right, color=color, lw=1.0, label=name)
                losses, sharp = measured(one)
                row[1].plot(np.median(losses, axis=0), np.median(sharp, axis=0), color=color, lw=1.0)
                row[2].plot(last_sharpness(one), accuracy(one), ".", ms=3, color=color)
            title = {"digits": "digits", "modular": "modular addition"}[task]
            row[0].set(xlabel="gradients", ylabel="test accuracy", title=title)
            row[0].set_xscale("symlog", linthresh=100)
            row[1].set(xlabel="train loss", ylabel="top eigenvalue", title=title, xscale="log", yscale="log")
            row[1].invert_xaxis()
            row[2].set(xlabel="top eigenvalue at the end", ylabel="test accuracy at the end", title=title, xscale="log")
        panels[0][0].set_ylim(0.75, 0.95)
        panels[1][2].set_xscale("linear")
        panels[1][0].legend(fontsize=6, loc="upper left")
        last = results["grid"].isel(step=-1)
        for ax, word in zip(panels[2], ("l2_worst_sharpness", "linf_worst_sharpness", "sharpness"), strict=True):
            for color, rate in zip(style.CYCLE, last.learning_rate.values, strict=False):
                one = last.sel(learning_rate=rate)
                ax.plot(
                    one[word].values.ravel(),
                    1 - one.test_accuracy.values.ravel(),
                    ".",
                    ms=2,
                    color=color,
                    label=f"{rate:g}",
                )
            ax.set(
                xlabel=MEASURES[word].replace("largest entry", "L\u221e"),
                ylabel="test error",
                xscale="log",
                title="rates, decays",
            )
        panels[2][0].set_ylim(top=0.14)
        panels[2][0].legend(fontsize=6, title="rate", title_fontsize=6, ncols=2, loc="upper left")
        for letter, ax in zip("abcdefghi", panels.flat, strict=True):
            if ax.get_xscale() == "log":
                ax.xaxis.set_minor_formatter(NullFormatter())
            style.letter(ax, letter)
    return drawn
