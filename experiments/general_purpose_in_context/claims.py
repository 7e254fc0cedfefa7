"""Kirsch et al. 2022: with few tasks a transformer knows them by heart, with many it learns from the sequence."""

import numpy as np

from grokdyn.analysis.claims import Claim, Contrast, Median, mean
from grokdyn.plot import style

SOURCE = "Kirsch et al. 2022 (arXiv 2212.04458)"
OURS = "ours"
# Numbers of tasks that claims are about; the largest of a sweep is "many".
FEW, MIDDLE, BELOW, ABOVE = 16, 128, 256, 1024
# An improvement of accuracy that counts as learning; an accuracy that is none; runs shorter than this tell nothing.
LEARNS, NOTHING, SHORT = 0.1, 0.05, 50


def widths(ds):
    """Return the widths of networks, rising."""
    return [int(n) for n in ds.d_model.values]


def numbers(ds):
    """Return the numbers of tasks, rising."""
    return [int(n) for n in ds.tasks.values]


def last(ds, name, width, tasks):
    """Return a variable of the runs of one width and number of tasks in the end [seeds, ...]; None where not run."""
    known, where = numbers(ds), widths(ds)
    if int(ds.step[-1]) < SHORT or width >= len(where) or tasks not in known:
        return None
    found = ds[name].isel(step=-1, network=width, tasks=known.index(tasks))
    return found.transpose("seed", ...).values


def averaged(*arms):
    """Return the mean of a function of arms, the first less the others; None where one was not run."""
    return None if any(arm is None for arm in arms) else mean(arms[0] - sum(arms[1:]))


def first_that_learns(ds, width):
    """Return between which numbers of tasks the improvement on unseen tasks first is LEARNS, of every run."""
    values = [last(ds, "unseen_improvement", width, n) for n in numbers(ds)]
    if any(one is None for one in values):
        return None
    found, n = np.array(values) >= LEARNS, np.array(numbers(ds), float)
    place, ever = found.argmax(0), found.any(0)
    low = np.where(ever, np.where(place > 0, n[np.maximum(place - 1, 0)], 0.5), n[-1])
    return low, np.where(ever, n[place], np.inf)


def by_width(ds, width, text):
    """Make the claims about one width."""

    def improvement(part, n):
        return last(ds, f"{part}_improvement", width, n)

    def at(part, n, place):
        found = last(ds, f"{part}_shown_accuracy", width, n)
        return None if found is None else found[:, place]

    chance, many, unit = 1 / len_classes(ds), numbers(ds)[-1], "of accuracy"
    above = at("unseen", FEW, -1)
    return [
        Claim(
            f"{text}, {FEW} tasks: 9 in 10 answers right on tasks that train before any example",
            SOURCE,
            "known by heart: seen right, no improvement within the sequence",
            averaged(at("test", FEW, 0)),
            (0.9, 1),
            (0.5, 1),
        ),
        Claim(
            f"{text}, {FEW} tasks: chance on unseen ones after all examples, to .05",
            SOURCE,
            "unseen at chance",
            averaged(above, chance) if above is not None else None,
            (-NOTHING, NOTHING),
            unit="above chance",
        ),
        Claim(
            f"{text}, {MIDDLE} tasks: better by .05 within a sequence of a task that trains",
            SOURCE,
            "task identification: seen improve",
            averaged(improvement("test", MIDDLE)),
            (NOTHING, 1),
            (0, 1),
            unit=unit,
        ),
        Claim(
            f"{text}, {MIDDLE} tasks: not better within one of an unseen task, to .05",
            SOURCE,
            "task identification: unseen do not",
            averaged(improvement("unseen", MIDDLE)),
            (-NOTHING, NOTHING),
            unit=unit,
        ),
        Claim(
            f"{text}, {many} tasks: better by .2 within a sequence of an unseen task",
            SOURCE,
            "learning to learn: .6 at most, on images of MNIST",
            averaged(improvement("unseen", many)),
            (0.2, 1),
            (0, 1),
            unit=unit,
        ),
        Claim(
            f"{text}, {many} tasks: as much on unseen tasks as on those that train, to .03",
            SOURCE,
            "equal",
            averaged(improvement("unseen", many), improvement("test", many))
            if improvement("test", many) is not None
            else None,
            (-0.03, 0.03),
            unit=unit,
        ),
        Claim(
            f"{text}: half of the improvement on unseen tasks comes between {BELOW} and {ABOVE} tasks",
            SOURCE,
            "a sharp transition: from 0 to .6 within a factor of 4",
            rise(improvement("unseen", ABOVE), improvement("unseen", BELOW), improvement("unseen", many)),
            (0, np.inf),
            unit="of accuracy more than half",
        ),
    ]


def rise(above, below, many):
    """Return what comes between two numbers of tasks, less half of what there is with many."""
    return None if above is None or below is None or many is None else mean(above - below - many / 2)


def len_classes(ds):
    """Return the number of classes."""
    import grokdyn as gd

    return gd.Sweep.from_toml(ds.attrs["spec"]).base.task.classes


def claims(results):
    ds = results["tasks"]
    many, made = numbers(ds)[-1], []
    for width, d in enumerate(widths(ds)[:2]):
        made += by_width(ds, width, f"width {d}")
    places = [first_that_learns(ds, width) for width in (0, 1)]
    there = all(place is not None for place in places)
    narrow, wide = [*widths(ds), 0, 0][:2]
    for place, d in zip(places, (narrow, wide), strict=True):
        made.append(
            Claim(
                f"width {d}: unseen tasks are first learned in context, by .1, from 256 to 2048 tasks on",
                OURS,
                "near 1000; the source's is 2^12 to 2^14, for images",
                None if place is None else Median(place),
                (256, 2048),
            )
        )
    made.append(
        Claim(
            f"the number of tasks from which unseen ones are learned: width {narrow} over {wide}, to a factor of 2",
            SOURCE,
            "the same at every width from 8 to 512",
            Contrast(*places, "ratio") if there else None,
            (0.5, 2),
            (0.25, 4),
        )
    )
    pairs = (
        ("unseen_improvement", many, "above it a wider network is better on unseen tasks, by .02", "+.14, 16 to 32"),
        ("test_shown_accuracy", BELOW, f"{BELOW} tasks: a wider one knows more by heart, by .02", "more"),
    )
    for name, n, text, expected in pairs:
        one, other = (last(ds, name, width, n) for width in (1, 0))
        found = None
        if one is not None and other is not None:
            one, other = (x if x.ndim == 1 else x[:, 0] for x in (one, other))
            found = Contrast(one, other, "difference")
        made.append(Claim(text, SOURCE, expected, found, (0.02, np.inf), (0, np.inf), unit="of accuracy"))
    return made


def figure(results):
    ds = results["tasks"]
    with style.context():
        drawn = style.new_figure(7.2, 4.6)
        axes = drawn.subplots(2, 3)
        for place, ax in enumerate(axes[0, :2]):
            draw_numbers(ax, ds, min(place, len(widths(ds)) - 1))
        draw_shares(axes[0, 2], ds)
        shown = (FEW, MIDDLE, numbers(ds)[-1])
        for ax, n in zip(axes[1], shown, strict=True):
            draw_examples(ax, ds, n if n in numbers(ds) else numbers(ds)[0])
        axes[1, 2].legend(fontsize=6, loc="lower right")
        for letter, ax in zip("abcdef", axes.flat, strict=True):
            style.letter(ax, letter)
    return drawn


def banded(ax, x, values, color, label, line="-", size=2.5):
    """Draw the mean over seeds with its 95 % interval (two standard errors); values [seeds, x]."""
    middle, error = values.mean(0), 2 * values.std(0, ddof=1) / len(values) ** 0.5
    ax.fill_between(x, middle - error, middle + error, color=color, alpha=0.25, lw=0)
    ax.plot(x, middle, ls=line, marker="o", ms=size, lw=1.1, color=color, label=label)


def ended(ds, name):
    """Return a variable in the end, [seed, network, tasks, ...]."""
    return ds[name].isel(step=-1).transpose("seed", "network", "tasks", ...).values


def draw_numbers(ax, ds, width):
    """Draw improvements on seen and unseen tasks, and seen accuracy before any example, by the number of tasks."""
    n = numbers(ds)
    kinds = (("test", "gained, tasks that train", 0), ("unseen", "gained, unseen tasks", 1))
    for name, label, color in kinds:
        banded(ax, n, ended(ds, f"{name}_improvement")[:, width], style.CYCLE[color], label, size=4 - 2 * color)
    heart = ended(ds, "test_shown_accuracy")[:, width, :, 0] - 1 / len_classes(ds)
    banded(ax, n, heart, "0.6", "known before any example", (0, (3, 1.5)))
    ax.set_xscale("log", base=2)
    ax.set(xlabel="tasks", ylabel="accuracy", title=f"width {widths(ds)[width]}", ylim=(-0.08, 0.98))
    ax.legend(fontsize=6, loc="upper right")


def draw_shares(ax, ds):
    """Draw the share of runs that learn unseen tasks in context, by the number of tasks, for every width."""
    found = (ended(ds, "unseen_improvement") >= LEARNS).mean(0)
    for width, d in enumerate(widths(ds)):
        ax.plot(numbers(ds), found[width], "o-", ms=2.5, lw=1.1, color=style.CYCLE[2 + width], label=f"width {d}")
    ax.set_xscale("log", base=2)
    ax.set(xlabel="tasks", ylabel="share of runs", title="unseen tasks learned", ylim=(-0.05, 1.05))
    ax.legend(fontsize=6, loc="lower right")


def draw_examples(ax, ds, n):
    """Draw accuracies by the number of examples shown, of the widest network that claims are about."""
    width, at = min(1, len(widths(ds)) - 1), numbers(ds).index(n)
    for name, label, color in (("test", "tasks that train", 0), ("unseen", "unseen tasks", 1)):
        values = ended(ds, f"{name}_shown_accuracy")[:, width, at]
        banded(ax, ds.examples.values, values, style.CYCLE[color], label, size=4 - 2 * color)
    near = ended(ds, "unseen_nearest_accuracy")[:, width, at].mean(0)
    ax.plot(ds.examples, near, color="0.5", ls="--", lw=1, label="nearest example")
    told = "1 task" if n == 1 else f"{n} tasks"
    ax.set(xlabel="examples shown", ylabel="accuracy", title=f"{told}, width {widths(ds)[width]}", ylim=(0, 1.05))
    ax.set_xticks(ds.examples.values[:: max(1, len(ds.examples) // 6)])
