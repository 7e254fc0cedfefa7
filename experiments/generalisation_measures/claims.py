"""Which measure of a trained network orders a grid of trainings as their generalisation gap does?"""

import xarray as xr

from grokdyn.analysis import final, kendall
from grokdyn.analysis.claims import Claim, mean, most
from grokdyn.plot import style

JIANG = "Jiang et al. 2020 (arXiv 1912.02178)"
GASTPAR = "Gastpar et al. 2024 (arXiv 2309.13658)"
FRAGMENTS = "Is network fragmentation a useful complexity measure? (arXiv 2411.04695)"
AXES = ("depth", "width", "batch_size", "learning_rate", "weight_decay")
SHORT = 50
# A tau that counts, and the train loss at which a run ends.
ORDERS, LOSS = 0.1, 0.05
FLAT = {
    "pac_bayes": "noise that train accuracy bears",
    "pac_bayes_relative": "the same relative to the weights",
    "relative worst": "worst sharpness relative to the weights",
}
NORMS = {
    "frobenius_product": "product of Frobenius norms",
    "spectral_product": "product of spectral norms",
    "spectral_complexity_over_margin": "spectral complexity over the margin",
}
OTHERS = {
    "path": ("path norm", JIANG),
    "fragmentation": ("fragmentation between train rows", FRAGMENTS),
    "fragmentation of the last layer": ("fragmentation from the last hidden layer", FRAGMENTS),
}
# What figures call what is not told by its own name.
BESIDE = {
    "relative_worst_sharpness": "relative worst",
    "plain_worst_sharpness": "plain worst",
    "sharpness": "top eigenvalue",
    "hessian_trace": "trace",
}
FAMILIES = {
    "sharpness and noise": ("pac_bayes", "pac_bayes_relative", *BESIDE.values()),
    "norms": (
        "parameters",
        "frobenius",
        "frobenius_product",
        "spectral",
        "spectral_product",
        "spectral_complexity",
        "path",
    ),
    "distance": ("distance", "spectral_distance", "pac_bayes_distance", "pac_bayes_norm"),
    "margin": (
        "inverse_margin",
        *(f"{word}_over_margin" for word in ("frobenius_product", "spectral_product", "spectral_complexity", "path")),
    ),
    "fragmentation": ("fragmentation", "fragmentation of the last layer"),
}


def claims(results):
    ds = results["grid"]
    long = int(ds.step[-1]) > SHORT
    found = orders(ds) if long else None
    text = f"digits: all runs of a seed come to a train loss of {LOSS}"
    made = [most(text, "the setting", "all", fitted(ds), measured=long)]

    def of(what, measure, text, source, expected, agrees, bears):
        number = mean(getattr(found, what).sel(measure=measure).values, "mean over seeds") if long else None
        return Claim(text, source, expected, number, agrees, bears, unit="tau")

    for measure, told in FLAT.items():
        for what, which in (("tau", ""), ("granulated", ", axis by axis")):
            text = f"digits: {told} orders the runs as their gap does{which}"
            made.append(of(what, measure, text, JIANG, "it does", (ORDERS, 1), (0, 1)))
    for measure, told in NORMS.items():
        text = f"digits: the {told} does not order the runs as their gap does"
        made.append(of("tau", measure, text, JIANG, "it does not", (-1, ORDERS), (-1, ORDERS)))
    for measure, (told, source) in OTHERS.items():
        text = f"digits: {told} orders the runs as their gap does"
        made.append(of("tau", measure, text, source, "it does", (ORDERS, 1), (0, 1)))
    text = "digits: no measure orders the runs along every axis, by the best of each seed"
    worst = mean(found.by_axis.min("axis").max("measure").values, "mean over seeds") if long else None
    return [
        *made,
        Claim(
            text, f"ours, after {GASTPAR}", "none does", worst, (-1, ORDERS), (-1, ORDERS), unit="least tau of an axis"
        ),
    ]


def fitted(ds):
    """Return whether all runs of a seed come to the loss [seed]."""
    there = final(ds).train_loss <= LOSS
    return there.all([axis for axis in there.dims if axis != "seed"]).values


def grid(values):
    """Return values with the four networks as two depths and two widths."""
    pairs = [values.isel(hidden=slice(2 * depth, 2 * depth + 2)).drop_vars("hidden") for depth in range(2)]
    return xr.concat(pairs, "depth").rename(hidden="width")


def gap(ds):
    """Return train accuracy - test accuracy at the end."""
    last = final(ds)
    return grid(last.train_accuracy - last.test_accuracy)


def measures(ds):
    """Return all measures [measure, ...]."""
    last = final(ds)
    layers = last.fragmentation.notnull().cumsum("fragment_layer").argmax("fragment_layer")
    named = {name: last.complexity.sel(measure=name, drop=True) for name in ds.measure.values.tolist()}
    named |= {name: last[word] for word, name in BESIDE.items()}
    named["fragmentation"] = last.fragmentation.isel(fragment_layer=0, drop=True)
    named["fragmentation of the last layer"] = last.fragmentation.isel(fragment_layer=layers).drop_vars(
        "fragment_layer"
    )
    return grid(xr.concat(list(named.values()), xr.Variable("measure", list(named)), coords="minimal"))


def orders(ds):
    """Return tau of every measure and seed over the grid."""
    return kendall(measures(ds), gap(ds), AXES)


def figure(results):
    ds = results["grid"]
    found, by_gap = orders(ds), gap(ds)
    with style.context():
        drawn = style.new_figure(7.0, 6.4)
        left, right = drawn.subplots(1, 2, width_ratios=(1.25, 1))
        place, names = 0, []
        for color, (family, members) in zip(style.CYCLE, FAMILIES.items(), strict=False):
            for name in members:
                for which, marker, filled in ((found.tau, "o", True), (found.granulated, "D", False)):
                    values = which.sel(measure=name).values
                    error = 1.96 * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0
                    shift = -0.15 if filled else 0.15
                    left.errorbar(
                        values.mean(),
                        place + shift,
                        xerr=error,
                        fmt=marker,
                        ms=3.5,
                        color=color,
                        lw=0.8,
                        mfc=color if filled else "white",
                    )
                names.append(name.replace("_", " ").replace("pac bayes", "PAC-Bayes"))
                place += 1
            left.plot([], [], "o", ms=3.5, color=color, label=family)
        left.axvline(0, color=style.INK, lw=0.6)
        left.set_yticks(range(place), names, fontsize=6)
        left.set(xlabel="Kendall's tau with the gap", ylim=(place - 0.5, -0.5))
        left.plot([], [], "D", ms=3.5, color=style.INK, mfc="white", label="axis by axis")
        drawn.legend(fontsize=6, loc="outside upper left", ncols=6)
        axes = found.by_axis.mean("seed").sel(measure=[m for members in FAMILIES.values() for m in members])
        image = right.imshow(axes.transpose("measure", "axis").values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        right.set_xticks(
            range(len(AXES)), [axis.replace("_", " ") for axis in AXES], rotation=35, ha="right", fontsize=6
        )
        right.set_yticks([])
        right.set_title(f"axis by axis; gaps {float(by_gap.min()):.3f} to {float(by_gap.max()):.3f}", fontsize=7)
        drawn.colorbar(image, ax=right, label="mean tau along the axis")
        for letter, ax in zip("ab", (left, right), strict=True):
            style.letter(ax, letter)
    return drawn
