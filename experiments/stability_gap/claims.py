"""De Lange et al. 2022: right after a switch the task before is lost for a while, although replay brings it back."""

import numpy as np
import xarray as xr

import grokdyn as gd
from grokdyn.analysis.claims import Claim, Contrast, Median, Order, mean
from grokdyn.plot import style

SOURCE = "De Lange et al. 2022 (arXiv 2205.13452)"
PARTS = ("first_unseen", "second_unseen")
UNIT = "of test accuracy"
# Updates between the evaluations of who does not look at every one.
SELDOM = 50


def switch(ds):
    """Return the step at which the second task begins."""
    return gd.Sweep.from_toml(ds.attrs["spec"]).base.transforms[0].every


def gaps(ds):
    """Return what the switch does to the first task, one number a run."""
    return gd.analysis.stability(ds, PARTS, switch(ds)).isel(switch=0, part=0)


def claims(results):
    found = {name: gaps(ds) for name, ds in results.items()}
    half = found["replay"].sel(replay=0.5)
    angles = found["angle"].gap_depth.transpose("angle", "seed").values
    replays = found["replay"].gap_depth.transpose("replay", "seed").values
    still = found["angle"].sel(angle=0.0)
    return [
        at_least("accuracy on the first task is lost after the switch and comes back", "it drops and recovers", half),
        Claim(
            "in the end replay of a half has kept all of it, to .02",
            SOURCE,
            "it recovers",
            mean((half.after - half.before).values, "mean difference of pairs"),
            (-0.02, 1),
            unit=UNIT,
        ),
        Claim(
            "least it is in the first tenth of the second task",
            SOURCE,
            "40 to 80 of 500 updates after the switch",
            Median(half.lowest_after.values / switch(results["replay"])),
            (0, 0.1),
            unit="of the task's updates",
        ),
        Claim(
            "that is a switch's doing: without one nothing like it is seen, .05 less at least",
            SOURCE,
            "no switch, no gap",
            Contrast(half.gap_depth.values, still.gap_depth.values, "difference"),
            (0.05, 1),
            unit=UNIT,
        ),
        Claim(
            "the less alike the tasks, the deeper the gap: 20, 40 and 80 degrees",
            SOURCE,
            "deeper",
            Order((*angles[1:], half.gap_depth.values)),
            (0, 1),
            unit=f"{UNIT} from one angle to the next",
        ),
        Claim(
            "the more is replayed, the shallower the gap",
            "ours",
            "shallower",
            Order(tuple(replays[::-1])),
            (0, 1),
            unit=f"{UNIT} from one share to the next",
        ),
        Claim(
            f"replay of {found['replay'].replay.values[-1]:g} still leaves a gap deeper than without a switch",
            "ours",
            "a gap at any share",
            Contrast(replays[-1], still.gap_depth.values, "difference"),
            (0, 1),
            unit=UNIT,
        ),
        *(
            at_least(f"so it is where tasks are told apart by {what}", "in all of them", found["kind"].sel(by=by))
            for by, what in (("permutation", "the order of pixels"), ("classes", "their digits"))
        ),
        *of_seldom(results["replay"], half),
        *of_memory(found["memory"], half),
    ]


def at_least(text, value, runs):
    return Claim(f"{text}, .05 or more", SOURCE, value, mean(runs.gap_depth.values), (0.05, 1), unit=UNIT)


def of_seldom(ds, half):
    """Return the claim on who evaluates now and then only."""
    few = ds.sel(replay=0.5, step=(ds.step - switch(ds)) % min(SELDOM, switch(ds) // 2) == 0)
    return [
        Claim(
            f"who looks at every {SELDOM}th update misses half of it or more",
            SOURCE,
            "the drop is overlooked",
            Contrast(gaps(few).gap_depth.values, half.gap_depth.values),
            (0, 0.5),
            unit="of the gap's depth",
        )
    ]


def of_memory(found, half):
    """Return the claims on replay from few rows."""
    few, some = (found.isel(memory=place) for place in (0, -1))
    return [
        Claim(
            f"replay from {few.memory.values} rows does not keep the first task, .05 or more less than from all",
            "ours",
            "forgets",
            Contrast(half.after.values, few.after.values, "difference"),
            (0.05, 1),
            unit=UNIT,
        ),
        Claim(
            f"the drop is no matter of memory: from {some.memory.values} rows it is as deep as from all, to .03",
            "ours",
            "as deep",
            Contrast((some.before - some.lowest).values, (half.before - half.lowest).values, "difference"),
            (-0.03, 0.03),
            unit=UNIT,
        ),
    ]


def near(ds, before=0.1, after=0.5):
    """Return the records around the switch, in shares of a task's updates."""
    at = switch(ds)
    return ds.sel(step=slice(round(at * (1 - before)), round(at * (1 + after))))


def spread(ax, x, values, color, label, look="-o"):
    """Draw medians over seeds [places, seeds], and where four fifths of the runs lie."""
    low, mid, high = np.quantile(values, (0.1, 0.5, 0.9), axis=1)
    ax.errorbar(x, mid, (mid - low, high - mid), fmt=look, ms=3.5, mfc="white", lw=1, elinewidth=0.7, color=color)
    ax.plot([], [], look, ms=3.5, mfc="white", lw=1, color=color, label=label)


def figure(results):
    replay, angle = results["replay"], results["angle"]
    whole = xr.concat([angle, replay.sel(replay=0.5, drop=True).expand_dims(angle=[80.0])], "angle", join="override")
    whole = whole.assign_attrs(axes="angle seed")
    found = {name: gaps(ds) for name, ds in results.items()}
    with style.context():
        drawn = style.new_figure(7.0, 4.7)
        (shares, angles), (trade, others) = drawn.subplots(2, 2)
        for ax, ds, hue, title in (
            (shares, replay.isel(replay=slice(0, None, 2)), "replay", "80 degrees, shares of replay"),
            (angles, whole, "angle", "half of it replay, degrees"),
        ):
            part = near(ds)
            gd.plot.curves(
                part, "first_unseen_accuracy", hue=hue, xscale="linear", ax=ax, events={"switch": switch(ds)}
            )
            ax.set(ylabel="test accuracy, first task", ylim=(0.45, 1), yticks=(0.5, 0.6, 0.7, 0.8, 0.9, 1), title=title)
        x = replay.replay.values
        second = replay.second_unseen_accuracy.isel(step=-1).transpose("replay", "seed").values
        for place, (name, told) in enumerate({"after": "first task, end", "lowest": "first task, least"}.items()):
            values = found["replay"][name].transpose("replay", "seed").values
            spread(trade, x, values, style.CYCLE[place], told)
        spread(trade, x, second, style.CYCLE[2], "second task, end", "--s")
        trade.set(
            xlabel="share of replay",
            ylabel="test accuracy",
            ylim=(0.45, 1),
            title="medians, bars 10\u201390 % of seeds",
        )
        trade.legend(fontsize=6, loc="lower right")
        arms = {f"{int(a)}\u00b0": found["angle"].sel(angle=a) for a in angle.angle.values}
        arms |= {"80\u00b0": found["replay"].sel(replay=0.5)}
        arms |= {told: found["kind"].sel(by=by) for by, told in (("permutation", "pixels"), ("classes", "digits"))}
        arms |= {f"{m} rows": found["memory"].sel(memory=m) for m in results["memory"].memory.values}
        for place, one in enumerate(arms.values()):
            values = one.gap_depth.values
            others.plot(place + np.linspace(-0.25, 0.25, len(values)), values, ".", ms=3, mew=0, color=style.CYCLE[0])
            others.plot([place - 0.35, place + 0.35], [np.median(values)] * 2, color=style.INK, lw=1)
        others.set(ylabel="depth of the gap", ylim=(-0.02, None), title="half of it replay: single runs, medians")
        others.set_xticks(range(len(arms)), list(arms), rotation=40, ha="right", fontsize=6)
        for letter, ax in zip("abcd", (shares, angles, trade, others), strict=True):
            style.letter(ax, letter)
    return drawn
