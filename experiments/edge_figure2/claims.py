"""Figure 2 of Prieto et al. 2025: the precision of the softmax decides how far a network generalises."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, interpolated_step
from grokdyn.plot import Panel

SOURCE = "Prieto et al. 2025, figure 2; digitised from the published notebook, one seed"
# fraction -> precision -> (plateau of test accuracy, step at which half of the train rows have collapsed)
PAPER = {
    0.6: {"float16": (0.154, 2000), "float32": (0.285, 3000), "float64": (0.535, 7000)},
    0.7: {"float16": (0.487, 2000), "float32": (0.67, 3000), "float64": (0.865, 7000)},
}


def plateau(ds):
    """Return the mean test accuracy over the last quarter of the run."""
    return ds.test_accuracy.isel(step=slice(-max(1, ds.sizes["step"] // 4), None)).mean("step")


def ordered(values):
    """Return per run the smallest of the two steps up, from float16 to float32 and to float64."""
    low, middle, high = (values.sel(precision=p, drop=True) for p in ("float16", "float32", "float64"))
    return np.minimum(middle - low, high - middle)


def claims(results):
    ds, forty = results["sixty_seventy"], results["forty"]
    long_enough = ds.step[-1] >= 10_000
    collapse = interpolated_step(ds.softmax_collapse, 0.5)
    found = []
    for fraction, told in PAPER.items():
        part, times = ds.sel(train_fraction=fraction), collapse.sel(train_fraction=fraction)
        if not long_enough:
            times = times.where(np.isfinite(times))
        tops = ", ".join(f"{value:.0%}" for value, _ in told.values())
        found += [
            Claim(
                f"at fraction {fraction} the plateau of test accuracy rises with the precision of the softmax",
                SOURCE,
                f"{tops} in float16, float32, float64",
                ordered(plateau(part)),
                0.01,
            ),
            Claim(
                f"at fraction {fraction} half of the train rows collapse first in float16, then float32, then float64",
                SOURCE,
                "steps 2,000, 3,000, 7,000",
                ordered(times),
                1,
                unit="steps between",
            ),
        ]
        found += [
            Claim(
                f"at fraction {fraction} in {precision} test accuracy settles",
                SOURCE,
                f"{value:.1%}",
                plateau(part.sel(precision=precision)),
                value - 0.15,
                value + 0.15,
            )
            for precision, (value, _) in told.items()
        ]
    top = forty.test_accuracy.max("step").max("precision")
    return [
        *found,
        Claim("at fraction 0.4 no precision generalises", SOURCE, "test accuracy 0 in all three", top, high=0.03),
    ]


def figure(results):
    ds = results["sixty_seventy"]
    parts = {0.4: results["forty"], **{f: ds.sel(train_fraction=f) for f in PAPER}}

    def last(f):
        return {p: ([float(ds.step[-1])], [value]) for p, (value, _) in PAPER.get(f, {}).items()}

    def halves(f):
        return {p: ([step], [0.5]) for p, (_, step) in PAPER.get(f, {}).items() if step <= ds.step[-1]}

    accuracy = [
        Panel(f"fraction {f}", part, ("test_accuracy",), hue="precision", paper=last(f)) for f, part in parts.items()
    ]
    collapse = [
        Panel("softmax collapse", part, ("softmax_collapse",), hue="precision", paper=halves(f))
        for f, part in parts.items()
    ]
    return gd.plot.beside([*accuracy, *collapse])
