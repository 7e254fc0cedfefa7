"""Velikanov et al. 2024: exponents of learning curves by descent, flow, ridge regression and interpolation."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, MaximalError, Student, mean
from grokdyn.plot import style
from grokdyn.theory.circle import aliased, errors, exponents, power_law
from grokdyn.theory.filters import flow, ridge

SOURCE = "Velikanov et al. 2024 (arXiv 2403.11696), power laws with noise"
EXACT = "theory.circle, exact at any number of points"
TARGETS = {"rough": 1.0, "smooth": 5.0}
NAMES = {"descent": "descent", "flow": "descent at a tenth of the rate", "ridge": "ridge regression"}
# Records of an arm that the claims' file keeps, at most.
KEPT = 8


def sweep(ds):
    return gd.Sweep.from_toml(ds.attrs["spec"])


def flat(array):
    """Return values with all axes but seeds and steps in one, ``setting``."""
    dims = [dim for dim in array.dims if dim not in ("seed", "step")]
    return array.stack(setting=dims, create_index=False) if dims else array.expand_dims("setting")


def settings(ds):
    """Return points, exponent of the target and noise of every setting, in the order of ``flat``."""
    zero, base = 0.0 * ds.test_loss.isel(seed=0, step=0), sweep(ds).base.task
    names = ("points", "target_exponent", "noise_std")
    columns = [zero + (ds[name] if name in ds.coords else getattr(base, name)) for name in names]
    return np.stack([flat(one.transpose(*zero.dims)).values for one in columns], axis=1)


def curve(ds, target):
    """Return points [N], and at each the test losses of every run at the step that theory says is best [N, seeds]."""
    values, told = (flat(x.test_loss) for x in (ds, gd.theory.of(sweep(ds), ds.step)))
    found = {}
    for i, (points, power, _) in enumerate(settings(ds)):
        if power == target:
            best = int(told.isel(setting=i).argmin("step"))
            found[points] = values.isel(setting=i, step=best).transpose("seed").values.astype(np.float64)
    points = np.array(sorted(found))
    return points, np.stack([found[n] for n in points])


def slope(points, values, *others):
    """Return how fast mean losses [N, seeds] fall with the points, less that of others; its error from seeds.

    To first order a run moves the slope by its own part of each mean: seeds are kept together.
    """
    x = np.log(points) - np.log(points).mean()
    weight = -x / (x @ x)
    value, parts = 0.0, 0.0
    for sign, one in ((1, values), *((-1, other) for other in others)):
        middle = one.mean(1)
        value += sign * float(weight @ np.log(middle))
        parts = parts + sign * weight @ (one / middle[:, None])
    n = values.shape[1]
    return Student(value, float(np.std(parts, ddof=1) / n**0.5), n - 1, n, "exponent" + " difference" * bool(others))


def kept(ds):
    """Return some of the steps after the first."""
    steps = ds.step.values[1:]
    return steps[np.unique(np.linspace(0, len(steps) - 1, min(KEPT, len(steps))).astype(int))]


def farthest(ds, part):
    """Return the largest distance of mean losses over theory's from 1, to three digits."""
    some = ds.sel(step=kept(ds))
    told = flat(gd.theory.of(sweep(ds), some.step)[f"{part}_loss"]).transpose("setting", "step").values
    values = flat(some[f"{part}_loss"]).transpose("seed", "setting", "step").values
    return MaximalError((values / told).reshape(len(values), -1).round(3), np.ones(told.size))


def claims(results):
    found = [
        Claim(
            f"{name}: mean {part} losses are theory's at every setting, to a tenth of them",
            EXACT,
            "equal",
            farthest(ds, part),
            (0, 0.1),
            unit="of theory's",
        )
        for name, ds in results.items()
        for part in (("test", "train") if name == "descent" else ("test",))
    ]
    curves = {(name, told): curve(results[name], power) for told, power in TARGETS.items() for name in NAMES}
    for (name, told), (points, values) in curves.items():
        known = exponents(sweep(results[name]).base.task.exponent, TARGETS[told])
        expected = known.ridge if name == "ridge" else known.descent
        found.append(
            Claim(
                f"{told} target: the best error of {NAMES[name]} falls as N^-{expected:.3f}, to .08",
                SOURCE,
                f"{expected:.3f}",
                slope(points, values),
                (expected - 0.08, expected + 0.08),
                published=expected,
            )
        )
    return [*found, *of_pairs(curves), *of_interpolation(results["interpolation"], curves)]


def of_pairs(curves):
    """Return the claims on two algorithms side by side, by pairs of seeds."""
    (points, descent), (_, ridged) = curves["descent", "smooth"], curves["ridge", "smooth"]
    known = exponents(1.5, TARGETS["smooth"])
    rough, other = curves["descent", "rough"][1], curves["ridge", "rough"][1]
    return [
        Claim(
            "smooth target: ridge regression saturates, its exponent is less than that of descent by .04 or more",
            SOURCE,
            f"less by {known.descent - known.ridge:.3f}",
            slope(points, descent, ridged),
            (0.04, np.inf),
            unit="of exponent",
        ),
        Claim(
            "rough target: it does not, both exponents are the same to .04",
            SOURCE,
            "equal",
            slope(points, rough, other),
            (-0.04, 0.04),
            unit="of exponent",
        ),
        Claim(
            f"smooth target, {points[-1]:g} points: the best error of ridge regression is 1.5 times that of descent",
            EXACT,
            "2.6 times",
            ratio(ridged[-1], descent[-1]),
            (1.5, np.inf),
            unit="times",
        ),
    ]


def ratio(one, other):
    """Return the ratio of mean losses of the same seeds."""
    value = one.mean() / other.mean()
    parts = one / one.mean() - other / other.mean()
    n = len(one)
    return Student(float(value), float(value * np.std(parts, ddof=1) / n**0.5), n - 1, n, "ratio of means")


def of_interpolation(ds, curves):
    """Return the claims on training to the end."""
    values = flat(ds.test_loss).isel(step=-1).transpose("setting", "seed").values.astype(np.float64)
    first = flat(ds.train_loss).isel(step=-1).transpose("setting", "seed").values
    points = settings(ds)[:, 0]
    noise = sweep(ds).base.task.noise_std ** 2
    return [
        Claim(
            "interpolation does not get better with more points: exponent 0 to .05",
            SOURCE,
            "0",
            slope(points, values),
            (-0.05, 0.05),
        ),
        Claim(
            "it is interpolation: the mean train loss is below 1e-6 of the noise",
            EXACT,
            "0",
            mean(first.max(0) / noise, "mean of the largest over numbers of points"),
            (0, 1e-6),
            unit="of the noise's variance",
        ),
        Claim(
            f"and it is tempered: with {points[-1]:g} points the error is .2 to 1 of the noise's variance",
            EXACT,
            "0.57",
            mean(values[-1] / noise),
            (0.2, 1),
            unit="of the noise's variance",
        ),
    ]


def best(points, eigenvalues, target, noise, how, times):
    """Return theory's least error of an algorithm over its strengths, with four times the points as frequencies."""
    among = aliased(points, power_law(4 * points, eigenvalues), power_law(4 * points, target + 1))
    l = among.seen
    h = ridge(l, 0.0).fitted if how == "interpolation" else np.stack([how(l, at) for at in times])
    return errors(h, among, noise).test.min()


ARMS = {"descent": lambda l, t: flow(l, t).fitted, "ridge": lambda l, t: ridge(l, 1 / t).fitted}


def draw_curves(ax, results, told, shown):
    """Draw measured best errors by the number of points, and theory's of flow and ridge regression."""
    target, base = TARGETS[told], sweep(results["ridge"]).base.task
    noise = {power: s for _, power, s in settings(results["ridge"])}[target]
    many, times = np.unique(np.geomspace(16, 4096, 25).astype(int)), np.geomspace(0.5, 5000, 120)
    for (name, how), color in zip(ARMS.items(), style.CYCLE, strict=False):
        points, values = curve(results[name], target)
        error = 2 * values.std(1, ddof=1) / values.shape[1] ** 0.5
        style_of = {"fmt": "o" if name == "descent" else "s", "ms": 3.5, "mfc": "white", "lw": 1}
        shown.errorbar(points, values.mean(1), error, color=color, label=NAMES[name], **style_of)
        lines = [best(n, base.exponent, target, noise, how, times) for n in many]
        shown.plot(many, lines, color=color, lw=0.9, ls=(0, (2.5, 1.5)))
        ax.plot(
            many[1:], -np.diff(np.log(lines)) / np.diff(np.log(many)), color=color, lw=1, label=f"{NAMES[name]}, {told}"
        )
        known = exponents(base.exponent, target)
        ax.axhline(known.ridge if name == "ridge" else known.descent, color=color, lw=0.6, ls=":")
        found = slope(points, values)
        ax.errorbar(np.exp(np.log(points).mean()), found.value, 2 * found.error, color=color, **style_of)
    shown.set(xscale="log", yscale="log", xlabel="train points", ylabel="best test error", title=f"{told} target")
    shown.legend(fontsize=6, loc="lower left")


def figure(results):
    with style.context():
        drawn = style.new_figure(7.2, 4.8)
        (rough, smooth), (over, local) = drawn.subplots(2, 2)
        draw_curves(local, results, "rough", rough)
        draw_curves(local, results, "smooth", smooth)
        ds = results["interpolation"]
        points, end = settings(ds)[:, 0], flat(ds.test_loss).isel(step=-1).transpose("setting", "seed").values
        error = 2 * end.std(1, ddof=1) / end.shape[1] ** 0.5
        smooth.errorbar(
            points, end.mean(1), error, fmt="^", ms=3.5, mfc="white", lw=1, color=style.CYCLE[2], label="interpolation"
        )
        many = np.unique(np.geomspace(16, 4096, 25).astype(int))
        task = sweep(ds).base.task
        lines = [best(n, task.exponent, task.target_exponent, task.noise_std, "interpolation", ()) for n in many]
        smooth.plot(many, lines, color=style.CYCLE[2], lw=0.9, ls=(0, (2.5, 1.5)))
        smooth.legend(fontsize=6, loc="lower left")
        ds = results["descent"]
        values, told = (flat(x.test_loss) for x in (ds, gd.theory.of(sweep(ds), ds.step)))
        chosen = [i for i, (_, power, _) in enumerate(settings(ds)) if power == TARGETS["rough"]]
        for color, i in zip(style.CYCLE, chosen, strict=False):
            one = values.isel(setting=i, step=slice(1, None))
            low, high = one.quantile((0.1, 0.9), "seed")
            over.fill_between(one.step, low, high, color=color, alpha=0.13, lw=0)
            over.plot(one.step, one.mean("seed"), color=color, label=f"{settings(ds)[i, 0]:g} points")
            over.plot(one.step, told.isel(setting=i, step=slice(1, None)), color=style.INK, lw=0.8, ls=(0, (2.5, 1.5)))
        over.set(xscale="log", yscale="log", xlabel="step", ylabel="test error", title="descent, rough target")
        over.legend(fontsize=6)
        local.set(
            xscale="log",
            xlabel="train points",
            ylabel="exponent",
            ylim=(0.4, 1.1),
            title="lines: theory; dotted: its limit",
        )
        for letter, ax in zip("abcd", (rough, smooth, over, local), strict=True):
            style.letter(ax, letter)
    return drawn
