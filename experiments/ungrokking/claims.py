"""Varma et al. 2023: a network that has grokked forgets the rule when it goes on with fewer rows."""

import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, crossing, most
from grokdyn.plot import style

SOURCE = "Varma et al. 2023 (arXiv 2309.02390), circuit efficiency"
SLOW, FAST = 0, -1
KNOWN, FORGOTTEN = 0.99, 0.1


def switch(ds):
    """Return the step of the change."""
    return gd.Sweep.from_toml(ds.attrs["spec"]).base.transforms[0].since


def last(ds, name="test_accuracy"):
    return ds[name].isel(step=-1).transpose("weight_decay", "seed", ...)


def before(ds):
    """Return the test accuracy at the last record with all rows."""
    return ds.test_accuracy.sel(step=switch(ds)).transpose("weight_decay", "seed", ...)


def forgets(ds):
    """Return between which numbers of updates on fewer rows each run's test accuracy falls to a half."""
    after = ds.isel(points=0, step=ds.step.values >= switch(ds))
    low, high = crossing(-after.test_accuracy.transpose("weight_decay", "seed", "step"), -0.5)
    shape = (ds.sizes["weight_decay"], -1)
    low, high = (np.reshape(x, shape) - switch(ds) for x in (low, high))
    return low, high


def claims(results):
    shrink, scratch = results["shrink"], results["scratch"]
    decays, sizes = shrink.weight_decay.values, shrink.points.values
    end, known = last(shrink), before(shrink) >= KNOWN
    low, high = forgets(shrink)
    apart = f"with {sizes[1]} rows"
    return [
        *(
            all_do(f"with {sizes[0]} rows the rule is forgotten, weight decay {decay:g}", one)
            for decay, one in zip(decays, (known & (end <= FORGOTTEN)).isel(points=0).values, strict=True)
        ),
        *(
            all_do(f"with {sizes[2]} rows it is kept, weight decay {decay:g}", one)
            for decay, one in zip(decays, (known & (end >= 0.9)).isel(points=2).values, strict=True)
        ),
        all_do(
            f"the {sizes[0]} rows themselves stay known, weight decay {decays[FAST]:g}",
            (last(shrink, "present_accuracy") >= KNOWN).isel(points=0, weight_decay=FAST).values,
        ),
        Claim(
            "less weight decay forgets more slowly",
            SOURCE,
            "slower with smaller weight decay",
            Contrast((low[SLOW], high[SLOW]), (low[FAST], high[FAST])),
            (1, np.inf),
            unit="times the updates to half of the test accuracy",
        ),
        Claim(
            f"where it ends does not depend on weight decay: {apart}, to .1",
            SOURCE,
            "the same for all weight decays",
            Contrast(*(end.isel(points=1, weight_decay=i).values for i in (SLOW, FAST)), "difference"),
            (-0.1, 0.1),
            unit="of test accuracy",
        ),
        *(
            Claim(
                f"coming from more data counts: {size} rows keep more than they teach, weight decay {decays[i]:g}",
                SOURCE,
                "ungrokking keeps what training from scratch does not reach",
                Contrast(
                    end.isel(points=place, weight_decay=i).values,
                    last(scratch).isel(train_points=place - 1, weight_decay=i).values,
                    "difference",
                ),
                (0, 1),
                unit="of test accuracy",
            )
            for place, i, size in ((2, SLOW, sizes[2]), (1, FAST, sizes[1]))
        ),
    ]


def all_do(text, hits):
    return most(text, SOURCE, "all networks", hits)


def figure(results):
    shrink, scratch = results["shrink"], results["scratch"]
    with style.context():
        drawn = style.new_figure(6.6, 2.4)
        left, right = drawn.subplots(1, 2)
        fast = shrink.isel(weight_decay=FAST)
        gd.plot.curves(
            fast, "test_accuracy", hue="points", xscale="linear", ax=left, events={"fewer rows": switch(shrink)}
        )
        left.set(ylabel="test accuracy", title=f"weight decay {float(fast.weight_decay):g}")
        for color, i in zip(style.CYCLE, (SLOW, FAST), strict=False):
            for ds, axis, look, told in (
                (shrink, "points", "-o", "from more"),
                (scratch, "train_points", "--s", "new"),
            ):
                values = last(ds).isel(weight_decay=i).median("seed")
                label = f"{told}, decay {float(ds.weight_decay[i]):g}"
                right.plot(ds[axis], values, look, ms=4, mfc="white", zorder=3, color=color, label=label)
        right.set(xlabel="rows that train", ylabel="test accuracy at the end", ylim=(-0.04, 1.04))
        right.legend(fontsize=6)
        for letter, ax in zip("ab", (left, right), strict=True):
            style.letter(ax, letter)
    return drawn
