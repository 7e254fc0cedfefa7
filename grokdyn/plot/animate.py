"""Moving pictures: a diagram or circles from record to record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import animation

from grokdyn.analysis import checks

from . import style
from .circles import circles
from .diagram import phase_diagram

WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}
MOST_FRAMES = 80


def animate(
    ds: xr.Dataset,
    out: str | Path,
    what: str = "diagram",
    *,
    frames: int = MOST_FRAMES,
    fps: int = 8,
    dpi: int = 130,
    **options: Any,
) -> Path:
    """Write how a diagram (`phase_diagram`) or the circles of an embedding (`circles`) change over the steps.

    A frame shows a sweep as it was known at a record: a run that a stop rule ended keeps its last value, times and
    phases are those of what was recorded so far. Colours mean the same in all frames. `options` go to the figure, e.g.
    `value`, `x`, `y`. Of many records `frames` are shown, evenly chosen, the first and the last among them, `fps` a
    second, with `dpi` dots an inch. `out` is the file.

    Returns the path of the file, GIF or MP4 (which needs ffmpeg) by its suffix. Raises ValueError for another suffix,
    what else is to be drawn, fewer than one frame, and as the figure does.
    """
    path = Path(out)
    suffix = str(checks.choice(path.suffix.lower(), WRITERS, "out"))
    draw = {"diagram": diagram_frame, "circles": circles_frame}[checks.choice(what, ("diagram", "circles"), "what")]
    if checks.number(frames, "frames") < 1 or checks.number(fps, "fps") < 1:
        raise checks.ArgumentError(f"frames={frames!r}, fps={fps!r}: expected at least 1.")
    if not animation.writers.is_available(WRITERS[suffix]):
        raise checks.ArgumentError(f"out={str(out)!r}: needs ffmpeg, which is not here; allowed: a name with .gif")
    steps = checks.dataset(ds)["step"].values
    places = np.unique(np.linspace(0, len(steps) - 1, min(int(frames), len(steps))).round().astype(int))
    writer = animation.writers[WRITERS[suffix]](fps=fps)
    with style.context():
        figure = style.new_figure(*{"diagram": (3.9, 2.9), "circles": (7.2, 4.4)}[what])
        look = draw(figure, ds, len(steps) - 1, options, None)
        with writer.saving(figure, str(path), dpi):
            for place in places:
                figure.clear()
                draw(figure, ds, int(place), options, look)
                figure.suptitle(f"step {int(steps[place]):,}")
                writer.grab_frame()
    return path


Frame = Callable[[Any, xr.Dataset, int, dict[str, Any], Any], Any]


def diagram_frame(figure: Any, ds: xr.Dataset, place: int, options: dict[str, Any], look: Any) -> Any:
    """Draw what was known at a record; return the colours, which the last frame gives to all."""
    ax = figure.subplots()
    phase_diagram(ds.isel(step=slice(0, place + 1)), ax=ax, **options)
    cells = ax.collections[0]
    if look is not None:
        cells.set_norm(look)
    return cells.norm


def circles_frame(figure: Any, ds: xr.Dataset, place: int, options: dict[str, Any], look: Any) -> Any:
    circles(ds, step=int(ds["step"].values[place]), ax=figure.subplots(), **options)
