"""A precise characterisation of SGD stability (Dexter et al. 2024): the quadratic family, exact and simulated."""

import numpy as np

from grokdyn.analysis.claims import Claim, Student
from grokdyn.plot import style
from grokdyn.theory import sgd_stability as theory

PAPER = "Dexter et al. 2024 (arXiv 2401.12332)"
ROWS, DIVERGED, SHORT = 100, 1000.0, 50
COHERENCES = (1, 5, 20)


def claims(results):
    made = []
    for coherence in COHERENCES:
        steps, runs = (part(results[name], coherence) for name in ("factors", "runs"))
        exact, typical = of_batches(steps, boundary), of_batches(runs, leaving)
        told = f"{coherence} of 100 rows share an axis"
        made += [
            within_a_cell(
                f"{told}: the mean square grows from the exact rate on, at every batch size",
                "the boundary, exact for this family",
                mean_square_boundaries,
                steps,
                exact,
            ),
            within_a_cell(
                f"{told}: single runs leave the minimum from that rate on, too",
                "a majority of runs, in a follow-up",
                majority_boundaries,
                runs,
                of_batches(runs, boundary),
            ),
            within_a_cell(
                f"{told}: they leave it where the expected log of a step's factor passes 0",
                "not in the paper; exact for this family",
                majority_boundaries,
                runs,
                typical,
            ),
        ]
    return made


def within_a_cell(text, expected, boundaries, ds, exact):
    """Claim that boundaries lie within a cell of the grid of exact ones."""
    found = None if ds is None else farthest(boundaries, ds, exact)
    return Claim(text, PAPER, expected, found, (-1, 1), unit="largest distance in cells of the grid")


def part(ds, coherence):
    """Return the runs of a coherence; None where there are none, or too few steps to tell."""
    enough = coherence in ds.coherence.values and int(ds.step[-1]) > SHORT
    return ds.sel(coherence=coherence) if enough else None


def of_batches(ds, of):
    """Return the exact boundary of every batch size."""
    return None if ds is None else [of(int(batch), int(ds.coherence)) for batch in ds.batch_size]


def boundary(batch, coherence):
    """Return the rate from which on the mean square grows."""
    return theory.boundary(batch, coherence, ROWS)


def leaving(batch, coherence):
    """Return the rate from which on almost every run leaves, to a tenth of a cell."""
    rates = np.geomspace(1e-3, 4, 320)
    stays = [theory.typical_growth(rate, batch, coherence, ROWS) <= 0 for rate in rates]
    return rates[np.flatnonzero(stays)[-1]]


def factors(ds):
    """Return by what each step multiplied the shared axis and one other [entry, ..., step]."""
    weight = ds.weight.transpose("entry", "batch_size", "learning_rate", "seed", "step").values
    with np.errstate(divide="ignore", invalid="ignore"):
        return weight[..., 1:] / weight[..., :-1]


def mean_square_boundaries(ds):
    """Return for every batch size where the mean square grows, in cells of the grid."""
    growth = np.nanmean(np.square(factors(ds)), axis=(-2, -1)).max(axis=0)
    return crossings(np.log(growth))


def majority_boundaries(ds):
    """Return for every batch size where half of the runs are a thousand times as far as at first, in cells."""
    weight = ds.weight.transpose("entry", "batch_size", "learning_rate", "seed", "step").values
    square = np.square(weight)
    grown = np.any(square[..., -1] >= DIVERGED * square[..., 0], axis=0) | ~np.all(np.isfinite(square[..., -1]), axis=0)
    return crossings(grown.mean(axis=-1) - 0.5)


def crossings(values):
    """Return where values [batch sizes, rates] first pass 0, in cells of the grid, between rates on a line."""
    found = []
    for row in values:
        above = int(np.argmax(row > 0)) if np.any(row > 0) else len(row)
        inside = 0 < above < len(row)
        found.append(above - row[above] / (row[above] - row[above - 1]) if inside else np.nan)
    return np.asarray(found)


def farthest(boundaries, ds, exact):
    """Return the signed distance, in cells, at the batch size where it is largest, with its jackknife over seeds."""
    rates = ds.learning_rate.values
    cell = np.log(rates[1] / rates[0])
    places = np.log(np.asarray(exact) / rates[0]) / cell
    off = boundaries(ds) - places
    at = int(np.nanargmax(np.abs(off)))
    seeds = ds.sizes["seed"]
    without = [boundaries(ds.isel(batch_size=[at], seed=np.delete(np.arange(seeds), i)))[0] for i in range(seeds)]
    error = np.sqrt((seeds - 1) ** 2 / seeds * np.var(without, ddof=1)) if seeds > 2 else np.nan
    return Student(float(off[at]), float(error), seeds - 1, seeds, "distance of boundaries")


def figure(results):
    steps, runs = results["factors"], results["runs"]
    rates, at = steps.learning_rate.values, np.unique(np.geomspace(1, 49, 18).astype(int))
    known = np.arange(1, 50)
    with style.context():
        drawn = style.new_figure(7.0, 2.6)
        panels = drawn.subplots(1, 3, sharey=True)
        for ax, coherence, letter in zip(panels, COHERENCES, "abc", strict=True):
            ax.plot(known, [boundary(b, coherence) for b in known], color=style.INK, lw=1.0, label="exact, mean square")
            color = style.CYCLE[1]
            ax.plot(at, [leaving(b, coherence) for b in at], "--", color=color, lw=1.0, label="exact, single runs")
            for ds, of, look, name in (
                (steps, mean_square_boundaries, {"marker": "o", "color": style.INK}, "mean square of 10,000 steps"),
                (runs, majority_boundaries, {"marker": "x", "color": color}, "half of the runs have left"),
            ):
                one = part(ds, coherence)
                if one is not None:
                    found = rates[0] * (rates[1] / rates[0]) ** of(one)
                    ax.plot(one.batch_size, found, ls="", ms=4, mfc="none", label=name, **look)
            ax.set(title=f"{coherence} of 100 rows share an axis", xlabel="batch size", xscale="log", yscale="log")
            style.letter(ax, letter)
        panels[0].set_ylabel("learning rate")
        panels[0].legend(fontsize=6, loc="upper left")
    return drawn
