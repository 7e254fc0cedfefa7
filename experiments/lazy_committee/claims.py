"""Figures 1, 3 and 4 of Kumar et al. 2024 by 32 seeds, in fewer dimensions at the same ratios: do the values move?"""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, Probability, crossing, mean
from grokdyn.plot import style

SOURCE = "Kumar et al. 2024 (arXiv 2310.06110)"
RERUN = SOURCE + ", figure 1; digitised from a rerun of the released code, one seed"
TWO = SOURCE + ", figure 4; rerun of the released code, one seed"
# A bump: the test loss rises above where it began by this share. A network has grokked below the loss.
RISE, GROKKED = 1.02, 0.1
PUBLISHED = {
    "test": (
        [1, 100, 1000, 3000, 5000, 7000, 1e4, 1.5e4, 5e4, 1e5],
        [0.51, 0.61, 0.666, 0.64, 0.55, 0.38, 0.23, 0.147, 0.04, 0.018],
    ),
    "train": ([1, 100, 2000, 5000, 7000, 1e4, 5e4], [0.51, 0.42, 0.404, 0.28, 0.12, 0.046, 0.003]),
}


def base(ds):
    return gd.Sweep.from_toml(ds.attrs["spec"]).base


def fits(ds):
    """Return whether ratios are the paper's: what a smoke run has is no guide."""
    return base(ds).task.dimension >= 40


def paper_steps(ds):
    """Return the steps of the paper's figure 1, of 100 dimensions and a rate of N, that records stand for."""
    one = base(ds)
    return ds.step.values * (one.optimizer.learning_rate / one.model.width) * (100 / one.task.dimension)


def near(ds, values, step):
    """Return values at the record nearest to a step of the paper."""
    return values.isel(step=int(np.argmin(np.abs(paper_steps(ds) - step)))).values


def peak(ds):
    """Return the largest test loss of every run over that of step 0."""
    return (ds.test_loss / ds.test_loss.isel(step=0)).max("step").values


def claims(results):
    return [*of_losses(results["figure1"]), *of_scales(results), *of_terms(results["decomposition"])]


def of_losses(one):
    """Return the claims of figure 1, in the windows around the paper's values that ``lazy_to_rich`` has."""
    flat = one.kernel_alignment_one_sided / one.kernel_alignment_one_sided.isel(step=0)
    regression = one.kernel_regression_test_loss.isel(step=0).values

    def of(text, expected, values, agrees, unit="", published=None):
        measured = mean(values) if fits(one) else None
        return Claim(text, RERUN, expected, measured, agrees, unit=unit, published=published)

    first = "of its first value"
    return [
        of("train loss: a plateau near step 2000", "0.404", near(one, one.train_loss, 2000), (0.35, 0.45), "", 0.404),
        of(
            "test loss: near step 1000 it is the paper's",
            "0.666",
            near(one, one.test_loss, 1000),
            (0.6, 0.75),
            "",
            0.666,
        ),
        of("test loss falls by step 100,000", "0.018", near(one, one.test_loss, 1e5), (0, 0.05), "", 0.018),
        of(
            "regression with the first kernel is left with the error that the paper has",
            "0.421",
            regression,
            (0.38, 0.46),
            "",
            0.421,
        ),
        of(
            "alignment of the kernel stays until the plateau ends",
            "from .01225",
            near(one, flat, 1000),
            (0.95, 1.05),
            first,
        ),
        of(
            "alignment of the kernel is higher at the end",
            "0.0155 from 0.01225",
            near(one, flat, 1e5),
            (1.1, np.inf),
            first,
        ),
        Claim(
            "test loss: a bump of 2 % or more before it falls",
            RERUN,
            "8 % in one seed",
            Median(peak(one)) if fits(one) else None,
            (RISE, np.inf),
            unit="of its first value",
        ),
    ]


def of_scales(results):
    """Return the claims of figure 3."""
    alpha, epsilon, grid = (results[name] for name in ("alpha", "epsilon", "grid"))

    def of(text, figure, expected, ds, values, agrees):
        what = Median(values) if fits(ds) else None
        return Claim(text, f"{SOURCE}, figure {figure}", expected, what, agrees, unit="of its first test loss")

    peaks = {float(value): peak(alpha.sel(output_scale=value)) for value in alpha.output_scale.values}
    strong = np.max([peak(epsilon.sel(epsilon=value)) for value in epsilon.epsilon.values if value >= 0.5], axis=0)
    return [
        of("a rich network (alpha = 2^-5) has no bump", "3a", "monotone test loss", alpha, peaks[2**-5], (0, RISE)),
        of("a lazier one (alpha = 1) has one", "3a", "1.08", alpha, peaks[1.0], (RISE, np.inf)),
        of("epsilon of 1/2 and more has no bump", "3b", "bump at 1/4 only", epsilon, strong, (0, RISE)),
        Claim(
            "the lazier, less aligned network groks later than the richer, more aligned one",
            SOURCE + ", figure 3e",
            "delay grows with alpha and with 1/epsilon",
            Contrast(delay(grid.isel(corner=0)), delay(grid.isel(corner=1)), "difference") if fits(grid) else None,
            (1, np.inf),
            unit="steps",
        ),
    ]


def delay(cell):
    """Return between which ends the delay of runs lies; nan for one that does not fit."""
    train, test = (crossing(-cell[f"{part}_loss"], -GROKKED) for part in ("train", "test"))
    ends = (test[0] - train[1], test[1] - train[0])
    return tuple(np.where(np.isfinite(train[1]), np.maximum(end, 0), np.nan) for end in ends)


def of_terms(terms):
    """Return the claims of figure 4, whose size is the paper's."""
    late = terms.isel(step=int(np.argmin(np.abs(terms.step.values - 1100))))
    share = (late.committee_variance / late.population_error).where(late.population_error > GROKKED).values
    whole = fits(terms)
    return [
        Claim(
            "two units without the direction: their error is features, and not their scale",
            TWO,
            "misalignment 1.13, linear 1.0, variance 0.02 at step 1,100",
            Median(share) if whole else None,
            (0, 0.1),
            unit="of the error is variance",
        ),
        Claim(
            "two units can learn the direction",
            TWO,
            "error below 0.05 by step 10,000",
            Probability(terms.population_error.isel(step=-1).values <= 0.05) if whole else None,
            (0.05, 1),
            unit="of seeds do",
        ),
        Claim(
            "the exact error is that of a thousand test points",
            SOURCE + ", equation 6",
            "equal up to sampling",
            mean((terms.test_loss / terms.population_error).isel(step=0).values) if whole else None,
            (0.95, 1.05),
        ),
    ]


def band(ax, x, values, color, label=None):
    """Draw the mean over seeds of values [seed, step] and a band of tenths, from the first step on."""
    ax.fill_between(x[1:], *np.quantile(values[:, 1:], (0.1, 0.9), axis=0), color=color, alpha=0.15, lw=0)
    ax.plot(x[1:], values.mean(0)[1:], color=color, label=label)


def by_seed(values):
    return values.transpose("seed", "step").values


def draw_losses(ax, one):
    """Draw the losses of figure 1 over the paper's steps, with the paper's values."""
    x = paper_steps(one)
    for color, part in zip(style.CYCLE, ("train", "test"), strict=False):
        band(ax, x, by_seed(one[f"{part}_loss"]), color, part)
        ax.plot(x[1:], one[f"kernel_dynamics_{part}_loss"].mean("seed")[1:], color=color, lw=0.8, ls=(0, (2.5, 1.5)))
        ax.plot(*PUBLISHED[part], "o", ms=3, mfc="white", color=color)
    ax.set(xlabel="step of the paper", ylabel="mean squared error", title="dashed: kernel; points: paper")


def draw_alignment(ax, one):
    """Draw the alignment of the tangent kernel with the targets over its first value."""
    flat = one.kernel_alignment_one_sided / one.kernel_alignment_one_sided.isel(step=0)
    band(ax, paper_steps(one), by_seed(flat), style.CYCLE[2], "tangent kernel")
    ax.set(xlabel="step of the paper", ylabel="alignment / first", title="alignment")


def draw_scales(ax, ds, dim, name):
    """Draw test losses over their first values by a scale."""
    share = ds.test_loss / ds.test_loss.isel(step=0)
    for color, value in zip(style.CYCLE, ds[dim].values, strict=False):
        band(ax, ds.step.values, by_seed(share.sel({dim: value})), color, f"{value:g}")
    ax.set(xlabel="step", ylabel="test loss / first", title=name)


def draw_terms(ax, terms):
    """Draw the error of two units and its three terms."""
    for color, (name, text) in zip(style.CYCLE, TERMS.items(), strict=False):
        band(ax, terms.step.values, by_seed(terms[name]), color, text)
    ax.set(xlabel="step", ylabel="mean squared error", title="two units")


def draw_delays(ax, grid):
    """Draw the delays of both corners, runs that did not grok as triangles at the last record."""
    rng, names = np.random.default_rng(0), []
    for place, color in zip(range(grid.sizes["corner"]), style.CYCLE, strict=False):
        cell = grid.isel(corner=place)
        low, high = delay(cell)
        x, never = place + rng.uniform(-0.2, 0.2, len(low)), np.isinf(high)
        ax.plot(x[~never], 1 + 0.5 * (low + high)[~never], "o", ms=2.5, color=color)
        ax.plot(x[never], 1 + low[never], "^", ms=3, mfc="none", color=color)
        names.append(f"alpha {float(cell.output_scale):g}\nepsilon {float(cell.epsilon):g}")
    ax.set_xticks(range(len(names)), names)
    ax.set(yscale="log", ylabel="steps + 1", title="delay", xlim=(-0.5, len(names) - 0.5))


TERMS = {
    "population_error": "all",
    "committee_variance": "variance",
    "committee_misalignment": "misalignment",
    "committee_linear": "linear",
}


def figure(results):
    with style.context():
        drawn = style.new_figure(7.2, 4.4)
        axes = drawn.subplots(2, 3).ravel()
        draw_losses(axes[0], results["figure1"])
        draw_alignment(axes[1], results["figure1"])
        draw_scales(axes[2], results["alpha"], "output_scale", "by alpha")
        draw_scales(axes[3], results["epsilon"], "epsilon", "by epsilon")
        draw_terms(axes[4], results["decomposition"])
        draw_delays(axes[5], results["grid"])
        for letter, ax in zip("abcdef", axes, strict=True):
            if letter != "f":
                ax.set_xscale("log")
                ax.legend(fontsize=6)
            style.letter(ax, letter)
    return drawn
