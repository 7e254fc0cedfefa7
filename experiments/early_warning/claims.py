"""Which probe tells, before any test accuracy does, that a run will generalise?"""

import numpy as np

from grokdyn.analysis import alarm, auroc
from grokdyn.analysis.claims import Claim, Median, Probability, mean, most
from grokdyn.analysis.claims.estimands import Student
from grokdyn.plot import style

# Who says that a quantity goes before the test accuracy, or tells how near it is.
SOURCES = {
    "weight_norm": "Liu et al. 2023 (arXiv 2210.01117)",
    "ipr": "Doshi et al. 2024 (arXiv 2310.13061)",
    "commutator_defect": "the commutator defect (arXiv 2602.16967)",
}
SHORT = 50
# Generalised; half way there; not moved yet; when a probe is asked; a share of false alarms.
DONE, EVENT, STILL, ASKED, FALSE = 0.9, 0.5, 0.1, 200, 0.1
# An area that tells, a lead that is one, what false alarms there may be in other runs.
TELLS, LEAD, MOST_FALSE = 0.6, 200, 0.25
PROBES = {
    "train_loss": "train loss",
    "weight_norm": "weight norm",
    "gradient_norm": "gradient norm",
    "train_margin": "train margin",
    "distance_from_init": "distance from initialisation",
    "ipr": "inverse participation ratio",
    "fourier_entropy": "Fourier entropy",
    "effective_rank": "effective rank of the first layer",
    "sharpness": "top eigenvalue",
    "commutator_defect": "commutator defect",
    "m_coherence": "coherence of rows' gradients",
    "fragmentation": "fragmentation between train rows",
}
# What looks at test rows, for comparison.
TEST = {"test_loss": "test loss", "test_accuracy": "test accuracy"}


def claims(results):
    ds = results["warning"]
    long = int(ds.step[-1]) > SHORT
    made = [
        Claim(
            "a run generalises in time by chance",
            "the setting",
            "a quarter to three quarters",
            Probability(happens(ds)) if long else None,
            (0.25, 0.75),
            unit="of seeds",
        ),
        most(
            f"test accuracy is below {STILL} at step {ASKED}",
            "the setting",
            "it is",
            still(ds)[:, place(ds)],
            measured=long,
        ),
    ]
    for name, told in PROBES.items():
        area = area_of(ds, name, place(ds)) if long else None
        text = f"{told}: it tells at step {ASKED} which runs will generalise"
        made.append(Claim(text, SOURCES.get(name, "ours"), "it tells", area, (TELLS, 1), unit="AUROC"))
    for name, told in PROBES.items():
        lead = Median(lead_of(ds, name)[happens(ds)]) if long else None
        text = f"{told}: an alarm leads half of the test accuracy by {LEAD} steps"
        made.append(Claim(text, SOURCES.get(name, "ours"), "it leads", lead, (LEAD, np.inf), unit="steps"))
    first = [lead_of(ds, name)[happens(ds)] for name in ("ipr", "test_loss")] if long else None
    return [
        *made,
        Claim(
            "the best of the twelve tells more than the test loss does",
            "ours",
            "it does",
            better(ds) if long else None,
            (0, 1),
            unit="difference of AUROC",
        ),
        Claim(
            "the alarm of the inverse participation ratio is before that of the test loss",
            "ours",
            "it is",
            mean(first[0] - first[1], "mean over seeds") if first else None,
            (0, np.inf),
            unit="steps",
        ),
        Claim(
            "the alarm of the inverse participation ratio is seldom false",
            "ours",
            "at most a quarter",
            Probability(false_of(ds, "ipr")) if long else None,
            (0, MOST_FALSE),
            unit="of runs that do not",
        ),
    ]


def place(ds):
    return min(int(np.searchsorted(ds.step.values, ASKED)), ds.sizes["step"] - 1)


def accuracy(ds):
    """Return test accuracy [seed, step]; of a run that was stopped its last one goes on."""
    values = ds.test_accuracy.transpose("seed", "step").values
    return np.where(np.isnan(values), 1.0, values)


def happens(ds):
    return (accuracy(ds) >= DONE).any(axis=1)


def still(ds):
    """Return whether test accuracy has not moved up to a record [seed, step]."""
    return np.maximum.accumulate(accuracy(ds), axis=1) < STILL


def halves(ds):
    """Yield on which seeds signs, the best probe and thresholds are found, the even and the odd; others are asked."""
    yield ds.seed.values % 2 == 0
    yield ds.seed.values % 2 == 1


def series(ds, name):
    """Return the quantity of every run [seed, step]."""
    values = ds[name]
    if name == "fragmentation":
        values = values.isel(fragment_layer=0)
    if name == "effective_rank":
        values = values.isel(matrix=0)
    return values.transpose("seed", "step").values


def side(ds, name, at, setting):
    """Return the sign with which a quantity tells, and its area on the seeds that signs are found on."""
    keep = setting & still(ds)[:, at]
    value = auroc(series(ds, name)[keep, at], happens(ds)[keep]).value
    return (1, value) if value >= 0.5 else (-1, 1 - value)


def area_of(ds, name, at):
    """Return the mean area of a quantity at a record over both halves, of runs whose test accuracy has not moved."""
    found = []
    for setting in halves(ds):
        keep = ~setting & still(ds)[:, at]
        found.append(auroc(side(ds, name, at, setting)[0] * series(ds, name)[keep, at], happens(ds)[keep]))
    runs = sum(one.happens + one.others for one in found)
    error = np.hypot(found[0].error, found[1].error) / 2
    return Student(float(np.mean([one.value for one in found])), float(error), runs - 4, runs, "AUROC")


def better(ds):
    """Return by how much the probe that is best on one half beats the test loss, in 16 groups of the other's seeds."""
    at, found, best = place(ds), [], []
    for setting in halves(ds):
        best.append(max(PROBES, key=lambda name, on=setting: side(ds, name, at, on)[1]))
        keep = np.flatnonzero(~setting & still(ds)[:, at])
        signed = [side(ds, name, at, setting)[0] * series(ds, name)[:, at] for name in (best[-1], "test_loss")]
        for group in range(16):
            rows = keep[group::16]
            one, other = (auroc(values[rows], happens(ds)[rows]).value for values in signed)
            found.append(one - other)
    return mean(found, "mean over groups of seeds, " + ", ".join(dict.fromkeys(PROBES[name] for name in best)))


def events(ds):
    """Return the step at which each run has half of the test accuracy, inf where it does not generalise in time."""
    there = accuracy(ds) >= EVENT
    first = np.where(there.any(axis=1), ds.step.values[there.argmax(axis=1)], np.inf)
    return np.where(happens(ds), first, np.inf)


def alarms(ds, name):
    """Yield the alarm of a quantity set on one half, and the seeds of the other; from the first record that fits on."""
    fitted = np.maximum.accumulate(ds.train_accuracy.transpose("seed", "step").fillna(1.0).values >= 0.99, axis=1)
    values = np.where(fitted, series(ds, name), np.nan)
    for setting in halves(ds):
        yield alarm(ds.step.values, values, events(ds), setting, FALSE), ~setting


def lead_of(ds, name):
    """Return the lead of the alarm in every run that generalises in time, nan in others [seed]."""
    found = np.full(ds.sizes["seed"], np.nan)
    for one, asked in alarms(ds, name):
        found[asked & happens(ds)] = one.leads
    return found


def false_of(ds, name):
    """Return whether the alarm was raised, of every run that does not generalise in time."""
    return np.concatenate([one.false_alarms for one, _ in alarms(ds, name)])


def figure(results):
    ds = results["warning"]
    with style.context():
        drawn = style.new_figure(7.0, 6.6)
        panels = drawn.subplots(2, 2)
        (top, curves), (areas, lead) = panels
        values, will = accuracy(ds), happens(ds)
        for group, color, told in ((will, style.CYCLE[0], "in time"), (~will, style.INK, "not in time")):
            for row in values[group][:40]:
                top.plot(ds.step.values, row, color=color, lw=0.4, alpha=0.5)
            top.plot([], [], color=color, lw=1, label=told)
        top.axvline(ASKED, color=style.INK, lw=0.6, ls=":")
        top.set(xlabel="step", ylabel="test accuracy", ylim=(0, 1))
        top.legend(fontsize=6, loc="upper left", bbox_to_anchor=(0.1, 1))
        both = all(group.any() for setting in halves(ds) for group in (will & setting, ~will & setting))
        order = sorted(PROBES, key=lambda name: -np.nan_to_num(area_of(ds, name, place(ds)).value))
        early = [at for at in range(1, len(ds.step)) if still(ds)[will, at].mean() >= 0.25] if both else []
        for color, name in zip(style.CYCLE, [*order[:4], *TEST], strict=False):
            line = [area_of(ds, name, at).value for at in early]
            dashed = "--" if name in TEST else "-"
            curves.plot(ds.step.values[early], line, dashed, color=color, lw=1, label=PROBES.get(name) or TEST[name])
        curves.axhline(0.5, color=style.INK, lw=0.6)
        curves.axvline(ASKED, color=style.INK, lw=0.6, ls=":")
        curves.set(xlabel="step", ylabel="AUROC, not moved yet")
        curves.set_ylim(bottom=0.4)
        curves.legend(fontsize=6, loc="lower center", ncols=2)
        for row, name in enumerate([*order, *TEST]):
            color, found = style.CYCLE[name in TEST], area_of(ds, name, place(ds))
            areas.errorbar(found.value, row, xerr=1.96 * found.error, fmt="o", ms=3.5, lw=0.8, color=color)
            if both:
                low, middle, high = np.quantile(lead_of(ds, name)[will], (0.25, 0.5, 0.75))
                lead.plot([low, high], [row, row], color=color, lw=0.8)
                lead.plot(middle, row, "o", ms=3.5, color=color)
        names = [PROBES.get(name) or TEST[name] for name in [*order, *TEST]]
        areas.axvline(0.5, color=style.INK, lw=0.6)
        areas.set_yticks(range(len(names)), names, fontsize=6)
        areas.set(xlabel=f"AUROC at step {ASKED}", ylim=(len(names) - 0.5, -0.5))
        lead.set_yticks(range(len(names)), [""] * len(names))
        lead.set(xlabel="lead of the alarm, steps (median, quartiles)", ylim=(len(names) - 0.5, -0.5))
        for letter, ax in zip("abcd", panels.flat, strict=True):
            style.letter(ax, letter)
    return drawn
