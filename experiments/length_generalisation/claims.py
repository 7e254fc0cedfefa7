"""Kazemnejad et al. 2023 and Zhou et al. 2023: which algorithms and which positions extend to longer sequences."""

import numpy as np

from grokdyn.analysis.claims import Claim, Contrast, Median, most
from grokdyn.plot import style

POSITIONS = "Kazemnejad et al. 2023 (arXiv 2305.19466)"
RASP = "Zhou et al. 2023 (arXiv 2310.16028)"
OURS = "ours"
TASKS = ("mode", "sort", "count", "parity")
NAMES = {
    "none": "none",
    "t5": "T5 bias",
    "alibi": "ALiBi",
    "rotary": "rotary",
    "shifted": "learned, shifted",
    "sinusoidal": "sinusoidal",
}
# A length is extended to where so many rows are right; a difference in accuracy that counts; runs shorter than this
# tell nothing.
RIGHT, GAIN, SHORT = 0.9, 0.1, 50


def of(ds, name):
    """Return the runs of one encoding of positions; None where there are none, or too short ones."""
    wanted = ("learned", True) if name == "shifted" else (name, False)
    found = [(str(p), int(s) > 0) == wanted for p, s in zip(ds.positions.values, ds["shift"].values, strict=True)]
    return ds.isel(encoding=found.index(True)) if any(found) and int(ds.step[-1]) > SHORT else None


def lengths(ds):
    """Return the lengths that only test, rising."""
    words = (word.split("_") for word in ds.data_vars)
    return sorted(int(w[1]) for w in words if w[0] == "length" and w[2:] == ["accuracy"])


def right(ds, n):
    """Return the accuracy of every run at a length in the end, on the longest of them with n = -1 [seeds]."""
    return ds[f"length_{lengths(ds)[-1] if n == -1 else n}_accuracy"].isel(step=-1).values


def beyond(ds):
    """Return the mean accuracy of every run over all lengths that it was not trained on [seeds]."""
    return np.mean([right(ds, n) for n in lengths(ds)], axis=0)


def reach(ds, trained):
    """Return the longest length up to which all have RIGHT of their rows right; 0 where those trained have not."""
    known = ds.test_accuracy.isel(step=-1).values >= RIGHT
    still, found = known, np.where(known, trained, 0)
    for n in lengths(ds):
        still = still & (right(ds, n) >= RIGHT)
        found = np.where(still, n, found)
    return found


def learned(ds):
    """Return the accuracy of every run on lengths that train, in the end."""
    return ds.test_accuracy.isel(step=-1).values


def doubled(results, task, low, high, expected, text):
    """Claim the accuracy at the longest length with learned positions, shifted at random."""
    ds = of(results[task], "shifted")
    estimand = None if ds is None else Median(right(ds, -1))
    return Claim(f"{task}, learned positions shifted at random: {text}", RASP, expected, estimand, (low, high))


def above(results, one, other, source, expected, region, bears=None):
    """Claim the difference of two encodings in accuracy beyond the trained lengths, mean over mode and sort."""
    both = [[of(results[task], name) for task in ("mode", "sort")] for name in (one, other)]
    found = None
    if all(ds is not None for arm in both for ds in arm):
        found = Contrast(*(np.mean([beyond(ds) for ds in arm], axis=0) for arm in both), "difference")
    text = f"mode and sort, longer than trained: {NAMES[one]} against {NAMES[other]}"
    return Claim(text, source, expected, found, region, bears, unit="difference in accuracy")


def falls(results, name):
    """Claim that two symbols more than trained leave nothing."""
    ds = of(results["sort"], name)
    found = None if ds is None else Median(right(ds, lengths(ds)[1]))
    text = f"sort, {NAMES[name]} positions: two symbols more than trained leave an accuracy of at most {GAIN}"
    return Claim(text, POSITIONS, "0 within one or two tokens, 3 seeds", found, (0, GAIN))


def claims(results):
    made = [
        doubled(results, "mode", RIGHT, 1, "extends", "9 in 10 rows right at twice the trained length"),
        doubled(results, "sort", RIGHT, 1, "extends", "9 in 10 rows right at twice the trained length"),
        doubled(results, "count", RIGHT, 1, "extends", "9 in 10 rows right at twice the trained length"),
        doubled(results, "parity", 0.35, 0.65, "does not extend", "chance, to .15, at twice the trained length"),
        above(results, "none", "sinusoidal", POSITIONS, "higher", (GAIN, np.inf), (0, np.inf)),
        above(results, "none", "rotary", POSITIONS, "higher", (GAIN, np.inf), (0, np.inf)),
        above(results, "none", "alibi", POSITIONS, "higher", (GAIN, np.inf), (0, np.inf)),
        above(results, "none", "t5", POSITIONS, "equal or higher", (-GAIN / 2, np.inf)),
        above(results, "shifted", "sinusoidal", OURS, "higher", (GAIN, np.inf), (0, np.inf)),
        falls(results, "sinusoidal"),
        falls(results, "rotary"),
    ]
    for task in TASKS:
        found = [of(results[task], name) for name in NAMES]
        there = [learned(arm) >= RIGHT for arm in found if arm is not None]
        hits = np.all(there, axis=0) if there else []
        text = f"{task}: every encoding learns the trained lengths, 9 in 10 rows right"
        made.append(most(text, POSITIONS, ".99 with all encodings, 3 seeds", hits, measured=bool(there)))
    return made


def figure(results):
    from matplotlib.figure import Figure

    with style.context():
        drawn = Figure(figsize=(7.2, 4.8), layout="constrained")
        axes = drawn.subplots(2, 3)
        for letter, ax in zip("abcdef", axes.flat, strict=True):
            style.letter(ax, letter)
        for task, ax in zip(TASKS, axes.flat, strict=False):
            draw_lengths(ax, task, results[task])
        lines = {line.get_label(): line for ax in axes.flat for line in ax.get_lines()}
        named = [name for name in NAMES.values() if name in lines]
        drawn.legend([lines[name] for name in named], named, loc="outside lower center", ncols=len(NAMES), fontsize=6.5)
        draw_diagram(axes[1, 1], results)
        draw_steps(axes[1, 2], results["sort"])
    return drawn


def colors():
    return dict(zip(NAMES, style.CYCLE, strict=False))


def arms(ds):
    """Yield the name and the runs of every encoding that a sweep has, whatever its length."""
    for place, (positions, shift) in enumerate(zip(ds.positions.values, ds["shift"].values, strict=True)):
        yield "shifted" if int(shift) else str(positions), ds.isel(encoding=place)


def draw_lengths(ax, task, ds):
    """Draw medians over seeds of the accuracy at every longer length, with the middle 80 % of runs."""
    x = lengths(ds)
    for name, one in arms(ds):
        low, middle, high = np.quantile([right(one, n) for n in x], [0.1, 0.5, 0.9], axis=1)
        color = colors().get(name, style.INK)
        ax.fill_between(x, low, high, color=color, alpha=0.12, lw=0)
        ax.plot(x, middle, "o-", ms=2.2, lw=1, color=color, label=NAMES.get(name, name))
    ax.set(xlabel="length", ylabel="rows right", title=task, ylim=(-0.03, 1.03))
    ax.set_xticks(x[:: max(1, len(x) // 6)])


def trained(ds):
    """Return the longest length that trains."""
    import grokdyn as gd

    return int(gd.Sweep.from_toml(ds.attrs["spec"]).base.task.lengths[1])


def draw_diagram(ax, results):
    """Draw the median reach over the trained length, task by encoding."""
    names = list(NAMES)
    values = np.full((len(TASKS), len(names)), np.nan)
    for i, task in enumerate(TASKS):
        for name, one in arms(results[task]):
            if name in names:
                longest = trained(results[task])
                values[i, names.index(name)] = np.median(reach(one, longest)) / longest
    ax.imshow(values, cmap="viridis", vmin=0, vmax=2, aspect="auto")
    for i, j in np.argwhere(np.isfinite(values)):
        color = "white" if values[i, j] < 1.4 else "black"
        ax.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=6, color=color)
    for i, j in np.argwhere(np.isnan(values)):
        ax.text(j, i, "–", ha="center", va="center", fontsize=6, color=style.INK)
    ax.set_xticks(range(len(names)), [NAMES[name] for name in names], rotation=40, ha="right", fontsize=6)
    ax.set_yticks(range(len(TASKS)), TASKS)
    ax.set_title("longest / trained length", fontsize=8)
    ax.grid(False)


def draw_steps(ax, ds):
    """Draw the accuracy on trained lengths, dashed, and at the longest over steps, medians over seeds."""
    longest = lengths(ds)[-1]
    for name, one in arms(ds):
        color = colors().get(name, style.INK)
        for word, line in (("test_accuracy", (0, (3, 1.5))), (f"length_{longest}_accuracy", "-")):
            ax.plot(one.step, one[word].median("seed"), ls=line, lw=1, color=color)
    ax.set(xlabel="step", ylabel="rows right", ylim=(-0.03, 1.03))
    ax.set_title(f"sort of {longest}; trained, dashed", fontsize=8)
