"""Paul et al. 2021: rows with small scores early in training are not needed later; wrong labels have large ones."""

import numpy as np
import xarray as xr

from grokdyn.analysis.claims import Claim, mean
from grokdyn.plot import style

DIET = "Paul et al. 2021 (arXiv 2107.07075)"
NEW = "Kirsch 2023 (arXiv 2303.14753)"
SORSCHER = "Sorscher et al. 2022 (arXiv 2206.14486)"
CLEAN, NOISY = 0.0, 0.2
UNIT = "of test accuracy"
# The axis of the snapshots at which scores were taken.
LOOKED = "round.step"


def tested(ds):
    """Return test accuracies at the end, the mean over the seeds of each data set."""
    return ds.test_accuracy.isel(step=-1).mean("seed")


def claims(results):
    diet, whole, skip, grand = (tested(results[name]) for name in ("diet", "whole", "skip", "grand"))
    chosen, random = diet.sel(by="el2n"), diet.sel(by="random")
    clean, wrong = {"label_noise": CLEAN}, {"label_noise": NOISY}
    at_init, later = (grand.isel({LOOKED: place}) for place in (0, -1))
    return [
        differ(
            "with four fifths of the rows, those of large EL2N teach more than any",
            DIET,
            "more",
            chosen.sel(keep=0.8, **clean) - random.sel(keep=0.8, **clean),
            (0, 1),
        ),
        differ(
            "they teach as much as all, to .005",
            DIET,
            "half of CIFAR-10 is not needed",
            chosen.sel(keep=0.8, **clean) - whole.sel(**clean),
            (-0.005, 1),
        ),
        differ(
            "with three fifths too, those of large EL2N teach more than any",
            DIET,
            "half of CIFAR-10 is not needed",
            chosen.sel(keep=0.6, **clean) - random.sel(keep=0.6, **clean),
            (0, 1),
        ),
        differ(
            "with a fifth they teach less, by a tenth or more",
            SORSCHER,
            "few rows should be easy ones",
            chosen.sel(keep=0.2, **clean) - random.sel(keep=0.2, **clean),
            (-1, -0.1),
        ),
        differ(
            "with a fifth of the labels wrong, four fifths of large EL2N teach less than any, by .02 or more",
            DIET,
            "wrong labels have the largest scores",
            chosen.sel(keep=0.8, **wrong) - random.sel(keep=0.8, **wrong),
            (-1, -0.02),
        ),
        differ(
            "without the first fifth by EL2N, the three fifths that follow teach more than any three fifths",
            DIET,
            "leaving out the largest scores helps",
            skip.sel(skip=0.2, **wrong) - random.sel(keep=0.6, **wrong),
            (0, 1),
        ),
        differ(
            "and more than all rows",
            DIET,
            "leaving out the largest scores helps",
            skip.sel(skip=0.2, **wrong) - whole.sel(**wrong),
            (0, 1),
        ),
        differ(
            "GraNd at the first parameters chooses no better than chance, to .002",
            NEW,
            "does not reproduce",
            at_init.sel(**clean) - random.sel(keep=0.8, **clean),
            (-1, 0.002),
        ),
        differ(
            "GraNd after 100 updates chooses as well as EL2N, to .005",
            DIET,
            "alike",
            later.sel(**clean) - chosen.sel(keep=0.8, **clean),
            (-0.005, 0.005),
        ),
    ]


def differ(text, source, value, difference, agrees):
    return Claim(text, source, value, mean(difference.values, "mean difference of pairs"), agrees, unit=UNIT)


def band(ax, x, values, color, label, look="-o"):
    """Draw means over data sets with a bar of two standard errors."""
    mean_of, error = values.mean("data"), values.std("data", ddof=1) / values.sizes["data"] ** 0.5
    ax.errorbar(x, mean_of, 2 * error, fmt=look, ms=3.5, mfc="white", lw=1, elinewidth=0.8, color=color, label=label)


def level(ax, values, label):
    """Draw the mean over data sets across."""
    ax.axhline(float(values.mean()), color=style.INK, lw=0.7, ls=(0, (4, 2)), zorder=1, label=label)


def figure(results):
    diet, whole, skip, grand = (tested(results[name]) for name in ("diet", "whole", "skip", "grand"))
    shares = diet.keep.values
    with style.context():
        drawn = style.new_figure(7.0, 4.7)
        (clean, wrong), (windows, single) = drawn.subplots(2, 2)
        for ax, noise, title in (
            (clean, CLEAN, "labels right (bars: two standard errors)"),
            (wrong, NOISY, "a fifth of the labels wrong"),
        ):
            for color, by, told in zip(style.CYCLE, ("el2n", "random"), ("largest EL2N", "any rows"), strict=False):
                band(ax, shares, 1 - diet.sel(label_noise=noise, by=by).transpose("data", "keep"), color, told)
            level(ax, 1 - whole.sel(label_noise=noise), "all rows")
            ax.set(xlabel="share of the rows that is kept", ylabel="test error", title=title, yscale="log")
            ax.set_xticks(shares)
            ax.set_yticks([t for t in (0.05, 0.1, 0.2, 0.5, 1) if t < 1 or noise], minor=False)
            ax.yaxis.set_major_formatter("{x:g}")
            ax.minorticks_off()
            ax.legend(fontsize=6, loc="upper right")
        first = diet.sel(by="el2n", keep=0.6).expand_dims(skip=[0.0]).drop_vars(("by", "keep"))
        for color, noise, told in zip(style.CYCLE[2:], (CLEAN, NOISY), ("labels right", "a fifth wrong"), strict=False):
            passed = np.append(0.0, skip.skip.values)
            values = [first.sel(label_noise=noise), skip.sel(label_noise=noise)]
            both = xr.concat(values, "skip", coords="minimal", compat="override").transpose("data", "skip")
            band(windows, passed, both, color, told)
            any_row = diet.sel(by="random", keep=0.6, label_noise=noise)
            windows.axhline(float(any_row.mean()), color=color, lw=0.7, ls=":", zorder=1)
        windows.set(xlabel="share with the largest EL2N that is passed over", ylabel="test accuracy")
        windows.set(title="three fifths kept (dotted: any three fifths)")
        windows.legend(fontsize=6, loc="lower right")
        random = diet.sel(by="random", keep=0.8)
        arms = {
            "all rows": whole - random,
            "EL2N": diet.sel(by="el2n", keep=0.8) - random,
            "GraNd": grand.isel({LOOKED: -1}) - random,
            "GraNd, first": grand.isel({LOOKED: 0}) - random,
        }
        for place, one in enumerate(arms.values()):
            values = one.sel(label_noise=CLEAN).values
            single.plot(place + np.linspace(-0.25, 0.25, len(values)), values, ".", ms=4, mew=0, color=style.CYCLE[0])
            single.plot([place - 0.35, place + 0.35], [values.mean()] * 2, color=style.INK, lw=1)
        single.axhline(0, color=style.INK, lw=0.5, ls=":")
        single.set_xticks(range(len(arms)), list(arms))
        single.set(ylabel="test accuracy, less random", title="four fifths kept, labels right: data sets, means")
        for letter, ax in zip("abcd", (clean, wrong, windows, single), strict=True):
            style.letter(ax, letter)
    return drawn
