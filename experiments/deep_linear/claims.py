"""Saxe et al. 2014: singular modes are learned one after the other, each in its own time, along a sigmoid."""

import matplotlib.figure
import numpy as np

import grokdyn as gd
from grokdyn.analysis.claims import Claim, MaximalError, mean
from grokdyn.plot import style
from grokdyn.theory.deep_linear import mean_modes, starts, time_to

SAXE, LAW = "Saxe et al. 2014 (arXiv 1312.6120)", "theory.deep_linear, law of the starts"
LOW, HALF, HIGH = 0.1, 0.5, 0.9


def layers(ds, count):
    """Return the runs with so many layers of weights."""
    depths = [len([part for part in str(value).split("-") if part.strip("[]() ")]) + 1 for value in ds.hidden.values]
    return ds.isel(hidden=depths.index(count))


def smallest(ds):
    return ds.isel(init_scale=0)


def rate(ds):
    """Return the flow's time in a step."""
    return 2 * gd.Sweep.from_toml(ds.attrs["spec"]).base.optimizer.learning_rate


def values(ds):
    """Return the singular values [mode]."""
    return ds.mode_target.isel(step=0).transpose(..., "mode").values.reshape(-1, ds.sizes["mode"])[0]


def times(ds, share):
    """Return when every mode comes to a share of its singular value, between records [seed, mode]; nan: never."""
    shares = (ds.mode_strength / ds.mode_target).transpose("seed", "mode", "step").values
    t = rate(ds) * ds.step.values

    def of(row):
        there = np.flatnonzero(row >= share)
        if not len(there) or there[0] == 0:
            return np.nan
        i = there[0]
        return t[i - 1] + (share - row[i - 1]) / (row[i] - row[i - 1]) * (t[i] - t[i - 1])

    return np.apply_along_axis(of, -1, shares)


def expected(ds, mode):
    """Return the mean time to half over the law of the starts."""
    base = gd.Sweep.from_toml(ds.attrs["spec"]).base
    s = values(ds)[mode]
    first, weight = starts(float(ds.init_scale), base.model.hidden[0] - mode)
    return float(weight @ [time_to(HALF, s, one) for one in first])


def told(ds):
    """Return theory's train loss of these runs, of one number of layers and one scale."""
    base = gd.Sweep.from_toml(ds.attrs["spec"]).base
    return gd.theory.of(base.replace(**{"model.init_scale": float(ds.init_scale)}), ds.step).train_loss


def claims(results):
    ds = results["modes"]
    deep, shallow = smallest(layers(ds, 2)), smallest(layers(ds, 1))
    half, s = times(deep, HALF), values(deep)
    line = told(deep)
    first = float(line[0])
    x = np.log(s) - np.log(s).mean()
    single = times(shallow, HALF)
    found = [
        Claim(
            "mean train losses are theory's at every record, to .05 of the first",
            LAW,
            "equal for small weights",
            MaximalError(deep.train_loss.transpose("seed", "step").values / first, line.values / first),
            (0, 0.05),
            unit="of the first loss",
        ),
        Claim(
            "learning times go as 1 / singular value, but for a logarithm",
            SAXE,
            "-1",
            mean(np.log(half) @ x / (x @ x), "exponent of the time to half in the singular value"),
            (-1.15, -0.85),
        ),
    ]
    for mode, value in enumerate(s):
        found.append(
            Claim(
                f"singular value {value:g}: the mean time to half is that of the law of the starts, to 5 %",
                LAW,
                "1",
                mean(half[:, mode] / expected(deep, mode), "time over theory's"),
                (0.95, 1.05),
            )
        )
    for mode in (0, len(s) - 1):
        spent = 2 * s[mode] * (times(deep, HIGH) - times(deep, LOW))[:, mode]
        found.append(
            Claim(
                f"singular value {s[mode]:g}: from a tenth to nine tenths it is a sigmoid, 2 s dt = log 81, to 5 %",
                SAXE,
                "1",
                mean(spent / np.log(81), "2 s dt over log 81"),
                (0.95, 1.05),
            )
        )
    found.append(
        Claim(
            "with one layer all modes are learned at the same time",
            SAXE,
            "1",
            mean(single[:, -1] / single[:, 0], "time to half of the last mode over that of the first"),
            (0.95, 1.05),
        )
    )
    return found


def figure(results):
    ds = results["modes"]
    with style.context():
        drawn = matplotlib.figure.Figure(figsize=(7.2, 2.5), layout="constrained")
        modes, losses, shallow = drawn.subplots(1, 3)
        for letter, ax in zip("abc", (modes, losses, shallow), strict=True):
            style.letter(ax, letter)
        deep = smallest(layers(ds, 2))
        draw_modes(modes, deep, f"two layers, sigma {float(deep.init_scale):g}")
        width = gd.Sweep.from_toml(ds.attrs["spec"]).base.model.hidden[0]
        t = rate(ds) * ds.step.values
        lines, _ = mean_modes(t, values(deep), float(deep.init_scale), width, rate(ds))
        modes.plot(t, lines, color=style.INK, lw=0.8, ls=(0, (2.5, 1.5)))
        for color, scale in zip(style.CYCLE, ds.init_scale.values, strict=False):
            one = layers(ds, 2).sel(init_scale=scale)
            losses.plot(t, one.train_loss.mean("seed"), color=color, label=f"{scale:g}")
            losses.plot(t, told(one), color=style.INK, lw=0.8, ls=(0, (2.5, 1.5)))
        losses.set(xlabel="time", ylabel="mean train loss", title="dashed: theory")
        losses.set(yscale="log", ylim=(1e-5, 3))
        losses.legend(title="sigma", loc="upper right")
        draw_modes(shallow, smallest(layers(ds, 1)), "one layer")
        shallow.set_xlim(0, 6)
    return drawn


def draw_modes(ax, ds, title):
    """Draw every seed's strength of every mode, and the mean."""
    t = rate(ds) * ds.step.values
    for color, mode in zip(style.CYCLE, ds.mode.values, strict=False):
        one = ds.mode_strength.sel(mode=mode).transpose("step", "seed")
        ax.plot(t, one.values[:, :20], color=color, lw=0.3, alpha=0.35)
        ax.plot(t, one.mean("seed"), color=color, label=f"{values(ds)[int(mode)]:g}")
    ax.set(xlabel="time", ylabel="strength of a mode", title=title)
    ax.legend(title="s", loc=(0.72, 0.58))
