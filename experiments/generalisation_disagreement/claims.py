"""Jiang et al. 2022: do two runs disagree on held-out rows as often as they err, and when do they not?"""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.agreement import student_quantile
from grokdyn.analysis.claims import Claim, Student
from grokdyn.plot import style

SOURCE = "Jiang et al. 2022 (arXiv 2106.13799), 100 residual networks on CIFAR-10"
# The largest difference that counts as none, and the calibration error of the paper's runs that share train rows.
REGION, CALIBRATION = 0.05, 0.1
FITTED, GENERALISED = 0.99, 0.9
# What runs share, and the difference and the calibration error in the paper.
DIGITS = {
    "digits": ("the same for all runs", "-.030", "class-aggregated error .098"),
    "own_images": ("other ones for each run", ".012", "class-aggregated error .044"),
}


def votes(ds):
    """Return predicted classes [seed, row] and labels on the rows that none of the runs of a cell trains on."""
    held_out = ds.isel(row=np.flatnonzero((ds.row_trained == 0).all("seed")))
    predictions = held_out.prediction.transpose("seed", "row").values.astype(int)
    return predictions, held_out.row_label.isel(seed=0).values.astype(int)


def compared(ds):
    """Compare the runs of a cell at a step on the rows that none of them trains on."""
    return gd.analysis.agreement(*votes(ds))


def cells(ds, axis):
    """Yield the values of an axis and the runs of each."""
    yield from ((value, ds.isel({axis: place})) for place, value in enumerate(ds[axis].values))


def moments(cell):
    """Return the places of three records: all runs fit, half of the test rows are right, the last; None where none is.

    Half is the record after the first whose mean error is nearest to 1/2, if the runs generalise in the end.
    """
    train, test = cell.train_accuracy.min("seed").values, cell.test_accuracy.mean("seed").values
    fit = np.flatnonzero(train >= FITTED)
    first = int(fit[0]) if len(fit) else None
    half = None
    if first is not None and test[-1] >= GENERALISED:
        half = first + int(np.argmin(np.abs(test[first:] - 0.5)))
    return {"when all runs fit": first, "halfway": half, "at the end": cell.sizes["step"] - 1}


def same(text, expected, found, disputed=""):
    """Claim that disagreement - error is 0 to within the region."""
    what = None if found is None else of_pairs(found)
    region = (-REGION, REGION)
    return Claim(text, SOURCE, expected, what, region, unit="disagreement - error", disputed=disputed)


def of_pairs(cell):
    """Return the difference of disagreement and error of a cell with its jackknife over runs."""
    found = compared(cell)
    value, low, high = found.difference
    runs = len(found.errors)
    error = (high - low) / 2 / student_quantile(runs - 1, 0.95)
    return Student(value, error, runs - 1, runs, "difference of means over pairs")


def calibrated(text, cells, expected="class-aggregated error .098"):
    """Claim that the votes of the runs are calibrated in the cell where they are least so."""
    known = [cell for cell in cells if cell is not None]
    what = of_votes(max(known, key=calibration_error)) if known else None
    return Claim(text, SOURCE, expected, what, (0.0, CALIBRATION), unit="in the worst cell")


def calibration_error(cell):
    return gd.analysis.calibration(*votes(cell)).error


def of_votes(cell):
    """Return the calibration error of a cell with its jackknife over runs; few runs make it too large."""
    predictions, labels = votes(cell)
    classes, runs = int(max(predictions.max(), labels.max())) + 1, len(predictions)
    without = [gd.analysis.calibration(np.delete(predictions, run, 0), labels, classes).error for run in range(runs)]
    error = np.sqrt((runs - 1) ** 2 / runs * np.var(without, ddof=1))
    return Student(calibration_error(cell), float(error), runs - 1, runs, "calibration error of the votes")


def claims(results):
    modular, made, by_moment = results["modular"], [], {}
    for name, (whose, expected, error) in DIGITS.items():
        found = dict(cells(results[name].isel(step=-1), "train_points"))
        text = f"digits, {{}} train images, {whose}: disagreement - error of pairs is 0"
        made += [same(text.format(points), expected, one) for points, one in found.items()]
        made.append(calibrated(f"digits, {whose}: the votes of the runs are calibrated", found.values(), error))
    for fraction, cell in cells(modular, "train_fraction"):
        for moment, place in moments(cell).items():
            found = None if place is None else cell.isel(step=place)
            by_moment.setdefault(moment, {})[fraction] = found
    for moment, found in by_moment.items():
        text = f"modular addition {moment}, {{}} of the table trains: disagreement - error of pairs is 0"
        made += [same(text.format(f"{fraction:.0%}"), "not in the paper", one) for fraction, one in found.items()]
        made.append(calibrated(f"modular addition {moment}: the votes of the runs are calibrated", found.values()))
    return made


def figure(results):
    modular = results["modular"]
    with style.context():
        drawn = style.new_figure(7.0, 2.4)
        pairs, path, times = drawn.subplots(1, 3)
        for name, marker in {"digits": ".", "own_images": "x"}.items():
            of_points = cells(results[name].isel(step=-1), "train_points")
            for color, (points, cell) in zip(style.CYCLE, of_points, strict=False):
                found, label = compared(cell), f"{points} images" if name == "digits" else None
                pairs.plot(found.pair_errors, found.pairs, marker, ms=2, mew=0.4, color=color, label=label)
        pairs.plot([], [], "kx", ms=2, mew=0.4, label="own images")
        for color, (fraction, cell) in zip(style.CYCLE, cells(modular, "train_fraction"), strict=False):
            found = [compared(cell.isel(step=place)) for place in range(cell.sizes["step"])]
            error, apart = ([getattr(one, what).value for one in found] for what in ("error", "disagreement"))
            path.plot(error, apart, "o-", ms=2, lw=0.8, color=color, label=f"{fraction:.0%} trains")
            middle, low, high = np.asarray(
                [(one.difference.value, one.difference.low, one.difference.high) for one in found]
            ).T
            times.plot(cell.step, middle, color=color)
            times.fill_between(cell.step, low, high, color=color, alpha=0.25, lw=0)
        for ax, top in ((pairs, 1.5 * pairs.dataLim.max.max()), (path, 1.05)):
            ax.legend(fontsize=6)
            ax.plot([0, top], [0, top], color=style.INK, lw=0.6, ls="--")
            ax.set(xlim=(0, top), ylim=(0, top), xlabel="mean test error of a pair", ylabel="disagreement")
        times.axhspan(-REGION, REGION, color=style.INK, alpha=0.1, lw=0)
        times.set(xscale="symlog", xlabel="step", ylabel="disagreement - error")
        for letter, ax, title in zip(
            "abc", (pairs, path, times), ("digits", "modular addition", "modular addition"), strict=True
        ):
            ax.set_title(title)
            style.letter(ax, letter)
    return drawn
