"""Figures 1, 3 and 4 of Kumar et al. 2024: grokking as the passage from a kernel to learned features."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, Probability, crossing, interpolated_step, mean
from grokdyn.plot import Panel, style

SOURCE = "Kumar et al. 2024 (arXiv 2310.06110)"
RERUN = SOURCE + ", figure 1; digitised from a rerun of the released code, one seed"
STEPS = [1, 100, 1000, 3000, 5000, 7000, 10_000, 15_000, 50_000, 100_000]
TEST = [0.51, 0.61, 0.666, 0.64, 0.55, 0.38, 0.23, 0.147, 0.04, 0.018]
TRAIN = ([1, 100, 2000, 5000, 7000, 10_000, 50_000], [0.51, 0.42, 0.404, 0.28, 0.12, 0.046, 0.003])
# Where the losses of figure 1 are read: on the plateau, at the bump, at the end.
WHEN = (("train", 2000), ("test", 1000), ("test", 100_000))
# A bump: the test loss rises above where it began by this share.
RISE = 1.02
# A network has grokked where its losses are below this (figure 3e).
GROKKED = 0.1


def full(ds):
    """Return whether this is the paper's setting; its values are no guide to a smaller one."""
    return gd.Sweep.from_toml(ds.attrs["spec"]).base.task.dimension == 100


def near(values, step):
    """Return values at the record nearest a step."""
    return values.sel(step=step, method="nearest")


def peak(ds):
    """Return the largest test loss of every run over that of step 0."""
    return (ds.test_loss / ds.test_loss.isel(step=0)).max("step")


def claims(results):
    return [*of_losses(results["figure1"]), *of_scales(results), *of_terms(results["decomposition"])]


def of_losses(one):
    """Return the claims of figure 1: on means over draws, whose losses spread by a seventh."""
    whole, long = full(one), bool(one.step[-1] >= 100_000)
    flat = one.kernel_alignment_one_sided / one.kernel_alignment_one_sided.isel(step=0)
    plateau, bump, last = (near(one[f"{part}_loss"], t) for part, t in WHEN)
    regression = one.kernel_regression_test_loss.isel(step=0)

    def of(text, expected, values, agrees, measured=whole, unit=""):
        return Claim(text, RERUN, expected, mean(values) if measured else None, agrees, unit=unit)

    unit = "of its first value"
    return [
        of("train loss: a plateau near step 2000", "0.404", plateau, (0.35, 0.45)),
        of("test loss: a bump near step 1000", "0.666", bump, (0.6, 0.75)),
        of("test loss falls by step 100,000", "0.018", last, (0, 0.05), long),
        of("regression with the first kernel cannot do it", "0.421", regression, (0.38, 0.46)),
        of(
            "alignment of the kernel stays until the plateau ends",
            "0.01225 until about step 2000",
            near(flat, 1000),
            (0.95, 1.05),
            unit=unit,
        ),
        of(
            "alignment of the kernel is higher at the end",
            "0.0155 from 0.01225",
            flat.isel(step=-1),
            (1.1, np.inf),
            long,
            unit,
        ),
    ]


def of_scales(results):
    """Return the claims of figure 3."""
    alpha, epsilon, grid = (results[name] for name in ("alpha", "epsilon", "grid"))

    def of(text, figure, expected, ds, values, agrees):
        unit = "of its first test loss"
        what = Median(values) if full(ds) else None
        return Claim(text, f"{SOURCE}, figure {figure}", expected, what, agrees, unit=unit)

    rich, lazy = (peak(alpha.sel(output_scale=value)) for value in (2**-5, 1.0))
    strong = peak(epsilon.sel(epsilon=slice(0.5, None))).max("epsilon")
    return [
        of("a rich network (alpha = 2^-5) has no bump", "3a", "monotone test loss", alpha, rich, (0, RISE)),
        of("a lazier one (alpha = 1) has one", "3a", "1.08", alpha, lazy, (RISE, np.inf)),
        of(
            "a strong quadratic part (epsilon of 1/2 and more) has no bump",
            "3b",
            "bump at 1/4 only",
            epsilon,
            strong,
            (0, RISE),
        ),
        Claim(
            "the laziest, least aligned network groks later than the richest, most aligned one",
            SOURCE + ", figure 3e",
            "delay grows with alpha and with 1/epsilon",
            later(grid) if full(grid) else None,
            (1, np.inf),
            unit="steps",
        ),
    ]


def of_terms(terms):
    """Return the claims of figure 4."""
    late = near(terms, 1100)
    share = (late.committee_variance / late.population_error).where(late.population_error > GROKKED)
    sampled = (terms.test_loss / terms.population_error).isel(step=0)
    source = SOURCE + ", figure 4; rerun of the released code, one seed"
    whole = bool(terms.step[-1] >= 10_000)
    low = terms.population_error.isel(step=-1) <= 0.05
    return [
        Claim(
            "two units without the direction: their error is features, and not their scale",
            source,
            "misalignment 1.13, linear 1.0, variance 0.02 at step 1,100",
            Median(share) if whole else None,
            (0, 0.1),
            unit="of the error is variance",
        ),
        Claim(
            "two units can learn the direction",
            source,
            "error below 0.05 by step 10,000",
            Probability(low) if whole else None,
            (0.05, 1),
            unit="of seeds do",
        ),
        Claim(
            "the exact error is that of a thousand test points",
            SOURCE + ", equation 6",
            "equal up to sampling",
            mean(sampled) if whole else None,
            (0.95, 1.05),
        ),
    ]


def delay(grid):
    """Return by how many steps the test loss comes below GROKKED later than the train loss.

    inf where it does not in a run that fits, nan in one that does not fit either.
    """
    train, test = (interpolated_step(-grid[f"{part}_loss"], -GROKKED) for part in ("train", "test"))
    return (test - train.where(np.isfinite(train))).clip(min=0)


def later(grid):
    """Return how much longer the laziest, least aligned cell takes than the richest, most aligned one, by seed."""
    cells = ({"output_scale": -1, "epsilon": 0}, {"output_scale": 0, "epsilon": -1})
    return Contrast(*(delay_ends(grid.isel(cell)) for cell in cells), "difference")


def delay_ends(cell):
    """Return between which ends the delay of runs lies; nan for one that does not fit."""
    train, test = (crossing(-cell[f"{part}_loss"], -GROKKED) for part in ("train", "test"))
    fits = np.isfinite(train[1])
    ends = (test[0] - train[1], test[1] - train[0])
    return tuple(np.where(fits, np.maximum(end, 0), np.nan) for end in ends)


LOSSES = {
    "train_loss": "train",
    "test_loss": "test",
    "kernel_dynamics_train_loss": "train, first kernel",
    "kernel_dynamics_test_loss": "test, first kernel",
    "kernel_regression_test_loss": "test, regression",
}
ALIGNMENT = {"kernel_alignment_one_sided": "alignment"}
TERMS = {
    "population_error": "all",
    "committee_variance": "variance",
    "committee_misalignment": "misalignment",
    "committee_linear": "linear",
}


def named(ds, names):
    """Return variables under short names for legends."""
    return ds.assign({name: ds[name].assign_attrs(long_name=text) for name, text in names.items()})


def figure(results):
    one, alpha, epsilon, terms, grid = (
        results[name] for name in ("figure1", "alpha", "epsilon", "decomposition", "grid")
    )
    paper = {"train_loss": TRAIN, "test_loss": (STEPS, TEST)} if full(one) else {}
    look = {"xscale": "log", "yscale": "linear"}
    drawn = gd.plot.beside(
        [
            Panel("loss", named(one, LOSSES), tuple(LOSSES), paper=paper, **look),
            Panel("tangent kernel", named(one, ALIGNMENT), tuple(ALIGNMENT), **look),
            Panel("output scale", alpha, ("test_loss",), hue="output_scale", **look),
            Panel("quadratic part", epsilon, ("test_loss",), hue="epsilon", **look),
            Panel("error of two units", named(terms, TERMS), tuple(TERMS), **look),
        ]
    )
    with style.context():
        for place in (0, 4):
            drawn.axes[place].set_ylabel("mean squared error")
        draw_delays(drawn.axes[5], grid)
    return drawn


def draw_delays(ax, grid):
    """Draw the time to grok over both scales, median over seeds, a cell for every pair of values whatever they are."""
    ax.set_axis_on()
    told = {"long_name": "time to grok", "units": "steps", "budget": int(grid.step[-1])}
    times = grid.assign(time_to_grok=delay(grid).assign_attrs(told))
    gd.plot.phase_diagram(times, "output_scale", "epsilon", "time_to_grok", reduce="median", ax=ax)
    if ax.get_legend() is not None:  # between the title and the panel there is no room
        ax.get_legend().remove()
        ax.set_xlabel("output scale (hatched: not within the budget)")
    style.letter(ax, "f")
    ax.set_title("time to grok")
