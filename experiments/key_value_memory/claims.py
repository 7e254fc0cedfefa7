"""Xu and Chen 2025: facts stored by attention and an MLP, asked for in a form that they were not told in."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Order, Student, mean
from grokdyn.plot import style

PAPER = "Xu and Chen 2025 (arXiv 2508.00901), abstract"
BOUND = "Xu and Chen 2025 (arXiv 2508.00901), bound exp(-N_f K^2 log|R| / (2 |R|^2))"
OURS = "ours"
NEURONS = "W_in_0"
ACCURACY, STORED = "of accuracy", "facts"


def sweep(ds):
    """Return the sweep of a store."""
    return gd.Sweep.from_toml(ds.attrs["spec"])


def switch(ds):
    """Return the step at which questions begin."""
    return sweep(ds).base.transforms[0].every


def end(ds, name):
    """Return a variable at the last record [..., seed]."""
    return ds[name].isel(step=-1).transpose(..., "seed").values.astype(np.float64)


def at_switch(ds, name):
    """Return a variable at the last record before questions train [..., seed]."""
    return ds[name].sel(step=switch(ds)).transpose(..., "seed").values.astype(np.float64)


def mild(ds):
    """Return the share of wrong answers to questions about other subjects that are of the right relation [K, seed]."""
    found = ds.isel(step=-1).transpose(..., "seed", "row")
    answers = sweep(ds).base.task.answers
    said, right = found.prediction.values, found.row_label.values
    wrong = said != right
    kind = said // answers == right // answers
    with np.errstate(invalid="ignore"):
        return (wrong & kind).sum(-1) / wrong.sum(-1)


def stored(ds, subjects=None):
    """Return how many facts are known beyond guessing among the relation's answers [..., seed], in their number N.

    N (a - 1/A) / (1 - 1/A), a the share that is answered right.
    """
    task = sweep(ds).base.task
    facts = (task.subjects if subjects is None else np.asarray(subjects)[:, None]) * task.relations
    return facts * (end(ds, "told_accuracy") - 1 / task.answers) / (1 - 1 / task.answers)


def widths(ds):
    """Return the widths of MLPs, the first being none, and the facts stored at each [width, seed]."""
    return ds.d_mlp.values, stored(ds.transpose("d_mlp", ...))


def slope(x, values):
    """Return the exponent of mean values [places, seeds] in x, its error from seeds, which are kept together.

    To first order a run moves it by its own part of each mean.
    """
    x = np.log(x) - np.log(x).mean()
    weight, middle = x / (x @ x), values.mean(1)
    known = (middle > 0).all()
    value = float(weight @ np.log(middle)) if known else np.nan
    parts = weight @ (values / middle[:, None]) if known else np.full(values.shape[1], np.nan)
    n = values.shape[1]
    return Student(value, float(np.std(parts, ddof=1) / n**0.5), n - 1, n, "exponent")


def claims(results):
    told, alone, shared = (
        results[name].transpose("multiplicity", ...) for name in ("multiplicity", "attention", "shared")
    )
    held = end(told, "held_out_accuracy")
    return [*of_multiplicity(told, held), *of_shared(shared, results["asked"]), *of_storing(told, alone, held, results),
            *of_gradients(told, shared)]  # fmt: skip


def of_multiplicity(told, held):
    """Return the claims on how many forms a fact was told in."""
    task = sweep(told).base.task
    guess, most = 1 / task.answers, int(told.multiplicity[-1])
    asked, before = end(told, "asked_accuracy"), at_switch(told, "told_accuracy")
    return [
        Claim(
            f"told in {most} forms, facts about other subjects are known oftener than told in one, by .2 or more",
            PAPER,
            "if multiplicity is high",
            Contrast(held[-1], held[0], "difference"),
            (0.2, 1),
            (0, 1),
            unit=ACCURACY,
        ),
        Claim(
            f"from each number of forms to the next, {', '.join(map(str, told.multiplicity.values))}, it rises",
            PAPER,
            "rises",
            Order(tuple(held)),
            (0, 1),
            unit=ACCURACY,
        ),
        Claim(
            f"told in {most} forms, more than half of the facts about other subjects are known",
            PAPER,
            "it answers",
            mean(held[-1]),
            (0.5, 1),
            unit=ACCURACY,
        ),
        Claim(
            "told in one form they are not, though they are stored: .3 below the subjects that were asked for",
            PAPER,
            "hallucinates",
            Contrast(asked[0], held[0], "difference"),
            (0.3, 1),
            (0, 1),
            unit=ACCURACY,
        ),
        Claim(
            "yet oftener than by guessing among the answers of the relation",
            OURS,
            f"above {guess:g}",
            mean(held[0]),
            (guess, 1),
            unit=ACCURACY,
        ),
        Claim(
            "what is answered in their place is of the right kind, an answer of that relation, nine times in ten",
            PAPER,
            "hallucinates",
            mean(mild(told)[0]),
            (0.9, 1),
            unit="of wrong answers",
        ),
        Claim(
            "asking makes forget: told in one form, .2 or more of what was known as it was told is gone",
            OURS,
            "forgets",
            Contrast(before[0], end(told, "told_accuracy")[0], "difference"),
            (0.2, 1),
            (0, 1),
            unit=ACCURACY,
        ),
    ]


def of_shared(shared, asked):
    """Return the claims on forms that all relations share, and on how many subjects are asked for."""
    held, few = end(shared, "held_out_accuracy"), asked.transpose("asked", ...)
    return [
        Claim(
            f"forms that all relations share: told in {int(shared.multiplicity[-1])}, nine in ten facts are known",
            PAPER,
            "it answers",
            mean(held[-1]),
            (0.9, 1),
            unit=ACCURACY,
        ),
        Claim(
            "and told in one, fewer by .2 or more",
            PAPER,
            "fewer",
            Contrast(held[-1], held[0], "difference"),
            (0.2, 1),
            (0, 1),
            unit=ACCURACY,
        ),
        Claim(
            f"the more subjects are asked for, {', '.join(map(str, few.asked.values))}, the more is known of others",
            BOUND,
            "rises",
            Order(tuple(end(few, "held_out_accuracy"))),
            (0, 1),
            unit=ACCURACY,
        ),
    ]


def of_storing(told, alone, held, results):
    """Return the claims on attention alone, and on how much an MLP stores."""
    with_, without = at_switch(told, "told_accuracy"), at_switch(alone, "told_accuracy")
    other, (width, facts) = end(alone, "held_out_accuracy"), widths(results["capacity"])
    number = results["number"].transpose("subjects", ...)
    many = stored(number, number.subjects.values)
    return [
        Claim(
            "attention alone stores less: of facts told in one form .1 less or more are known as they were told",
            PAPER,
            "may fail to store",
            Contrast(with_[0], without[0], "difference"),
            (0.1, 1),
            (0, 1),
            unit=ACCURACY,
        ),
        Claim(
            f"and of facts told in {int(alone.multiplicity[-1])} forms about other subjects, .1 less or more",
            PAPER,
            "below",
            Contrast(held[-1], other[-1], "difference"),
            (0.1, 1),
            (0, 1),
            unit=ACCURACY,
        ),
        Claim(
            f"more is stored with every doubling of the MLP from none, {', '.join(map(str, width))} neurons",
            PAPER,
            "the MLP stores",
            Order(tuple(facts)),
            (0, np.inf),
            unit=STORED,
        ),
        Claim(
            "what the MLP adds to what attention stores grows as a power of its width, of .5 or more",
            OURS,
            "grows",
            slope(width[1:], facts[1:] - facts[0]),
            (0.5, np.inf),
            (0, np.inf),
        ),
        Claim(
            "that power is 1, to .2: a neuron stores so many facts",
            OURS,
            "1",
            slope(width[1:], facts[1:] - facts[0]),
            (0.8, 1.2),
        ),
        Claim(
            "it has a capacity: twice as many facts told, at most 1.5 times as many stored",
            OURS,
            "saturates",
            Contrast(many[-1], many[-2]),
            (0, 1.5),
            (0, 2),
            unit="times",
        ),
    ]


def of_gradients(told, shared):
    """Return the claims on the gradient of the MLP's first matrix: how much of it the nearest one of rank one holds."""
    found = []
    for ds, kind in ((told, "own forms"), (shared, "shared forms")):
        top = ds.sel(matrix=NEURONS).isel(multiplicity=-1)
        asked, same = (at_switch(top, f"{part}_gradient_top_share") for part in ("asked", "told"))
        first = top.told_gradient_top_share.isel(step=0).values.astype(np.float64)
        found += [
            Claim(
                f"{kind}: half of the first gradient of questions is of rank one, or more",
                PAPER,
                "close to rank one",
                mean(asked),
                (0.5, 1),
                unit="of its squared norm",
            ),
            Claim(
                f"{kind}: it is nearer to rank one than that of facts as they are told, at the same weights",
                PAPER,
                "close to rank one",
                Contrast(asked, same, "difference"),
                (0, 1),
                unit="of squared norm",
            ),
            Claim(
                f"{kind}: it is nearer to rank one than the first gradient of all",
                PAPER,
                "close to rank one",
                Contrast(asked, first, "difference"),
                (0, 1),
                unit="of squared norm",
            ),
        ]
    return found


def band(ax, x, values, color, label, look="o-"):
    """Draw means over seeds [places, seeds] with 95 % intervals, and every run."""
    both = [mean(one) for one in values]
    ends = np.array([one.interval(0.95) for one in both]).T
    middle = np.array([one.estimate() for one in both])
    ax.errorbar(
        x, middle, np.abs(ends - middle), fmt=look, ms=3.5, lw=1.1, elinewidth=0.8, capsize=2, color=color, label=label
    )
    ax.plot(np.repeat(x, values.shape[1]), values.ravel(), ".", ms=1.6, mew=0, alpha=0.35, color=color)


def figure(results):
    with style.context():
        drawn = style.new_figure(7.2, 4.8)
        axes = drawn.subplots(2, 3)
        for letter, ax in zip("abcdef", axes.flat, strict=True):
            style.letter(ax, letter)
        draw_steps(axes[0, 0], results["multiplicity"])
        draw_forms(axes[0, 1], results)
        draw_asked(axes[0, 2], results["asked"])
        draw_widths(axes[1, 0], results["capacity"])
        draw_number(axes[1, 1], results["number"])
        draw_shares(axes[1, 2], results["multiplicity"])
    return drawn


def draw_steps(ax, ds):
    """Draw accuracies over steps for one form, dashed, and all, means over seeds."""
    names = {"told": "as told", "asked": "asked", "held_out": "other subjects"}
    for (part, label), color in zip(names.items(), style.CYCLE, strict=False):
        for place, look in ((0, (0, (3, 1.5))), (-1, "-")):
            values = ds[f"{part}_accuracy"].isel(multiplicity=place).mean("seed")
            ax.plot(ds.step, values, color=color, ls=look, lw=1.1, label=label if place else None)
    ax.axvline(switch(ds), color=style.INK, lw=0.6, ls=":")
    first, last = (int(ds.multiplicity[place]) for place in (0, -1))
    ax.set(xlabel="step", ylabel="answered right", title=f"told in {last} forms; dashed: {first}", ylim=(-0.02, 1.02))
    ax.legend(loc="center right", bbox_to_anchor=(0.75, 0.5), fontsize=6)


def draw_forms(ax, results):
    """Draw the accuracy on other subjects by the number of forms."""
    names = {"multiplicity": "MLP, own forms", "attention": "attention alone", "shared": "MLP, shared forms"}
    for (name, label), color in zip(names.items(), style.CYCLE[2:], strict=False):
        ds = results[name].transpose("multiplicity", ...)
        band(ax, ds.multiplicity.values, end(ds, "held_out_accuracy"), color, label)
    ax.axhline(1 / sweep(ds).base.task.answers, color=style.INK, lw=0.6, ls=":")
    ax.set(xlabel="forms of a fact, K", ylabel="other subjects, right", ylim=(-0.02, 1.02), xscale="log")
    ticks(ax, results["multiplicity"].multiplicity.values)
    ax.legend(loc="upper left", fontsize=6)


def draw_asked(ax, ds):
    """Draw the accuracy on other subjects by how many were asked for."""
    ds = ds.transpose("asked", ...)
    band(ax, ds.asked.values, end(ds, "held_out_accuracy"), style.CYCLE[2], None)
    ax.set(xlabel="subjects asked for", ylabel="other subjects, right", ylim=(-0.02, 1.02), xscale="log")
    ax.set_title(f"told in {sweep(ds).base.task.multiplicity} forms")
    ticks(ax, ds.asked.values)


def draw_widths(ax, ds):
    """Draw the facts that an MLP adds to those of attention, and the power law of their means."""
    width, facts = widths(ds)
    added = facts[1:] - facts[0]
    band(ax, width[1:], added, style.CYCLE[0], None, "o")
    found = slope(width[1:], added)
    log = np.log(width[1:])
    line = np.exp(np.log(np.maximum(added.mean(1), 1e-9)).mean() + found.estimate() * (log - log.mean()))
    ax.plot(width[1:], line, color=style.INK, lw=0.8)
    ax.set(xlabel="neurons of the MLP", ylabel="facts stored beyond attention", xscale="log", yscale="log")
    told = f"power {found.estimate():.2f}\nattention alone: {facts[0].mean():.0f}"
    ax.text(0.05, 0.95, told, transform=ax.transAxes, va="top", fontsize=6.5)
    ticks(ax, width[1:])


def draw_number(ax, ds):
    """Draw the facts that are stored by how many are told."""
    ds = ds.transpose("subjects", ...)
    task, subjects = sweep(ds).base.task, ds.subjects.values
    told = subjects * task.relations
    band(ax, told, stored(ds, subjects), style.CYCLE[0], None)
    ax.plot(told, told, color=style.INK, lw=0.6, ls=":")
    ax.set(xlabel="facts told", ylabel="facts stored", title=f"{sweep(ds).base.model.d_mlp} neurons; dotted: all")


def draw_shares(ax, ds):
    """Draw the share of rank one in the gradients of both kinds of rows over steps."""
    top = ds.sel(matrix=NEURONS).isel(multiplicity=-1)
    for part, color, label in (("told", style.CYCLE[0], "facts as told"), ("asked", style.CYCLE[1], "questions")):
        values = top[f"{part}_gradient_top_share"]
        low, high = (values.quantile(q, "seed") for q in (0.25, 0.75))
        ax.plot(ds.step, values.mean("seed"), color=color, lw=1.1, label=label)
        ax.fill_between(ds.step, low, high, color=color, alpha=0.15, lw=0)
    ax.axvline(switch(ds), color=style.INK, lw=0.6, ls=":")
    ax.set(
        xlabel="step",
        ylabel="share of the nearest rank one",
        ylim=(0, 1.02),
        title="gradient of W_in",
    )
    ax.legend(loc="lower right", fontsize=6)


def ticks(ax, values):
    """Name the values on a logarithmic axis."""
    ax.set_xticks(values, [str(v) for v in values])
    ax.minorticks_off()
