"""What the commands do. Heavy imports happen inside, so that help is quick."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from grokdyn.spec.paths import path_of
from grokdyn.spec.places import INTERVENTIONS
from grokdyn.usage import UsageError, default_folder, free_folder, hint, read, say, shown

QUICKSTART = Path(__file__).with_name("quickstart.toml")
# Between two looks of ``info --watch``.
WATCH_SECONDS = 5.0


def package_version() -> str:
    try:
        return version("grokdyn")
    except PackageNotFoundError:
        return "unknown"


def quickstart(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Train the quickstart grid, print its table, draw its figure."""
    if options.print_spec:
        print(QUICKSTART.read_text(encoding="utf-8"), end="")
        return 0
    status = train(QUICKSTART, options.out, {}, quiet=False, figures=True)
    hint("grokdyn quickstart --print-spec > my.toml; grokdyn boundary my.toml --question phase finds the lines between")
    return status


def run(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Train what a file describes, or one process's share of it."""
    from grokdyn.machines import cluster_of, run_share

    cluster, spec = cluster_of(options), path_of(options.spec, "spec")
    if options.shard is not None:
        return run_share(options, overrides)
    figures = not options.no_figures
    return train(spec, options.out, overrides, options.quiet, figures, options.scale, cluster)


def train(
    spec: Path,
    out: str | None,
    overrides: Mapping[str, str],
    quiet: bool,
    figures: bool,
    scale: str = "full",
    cluster: Any = None,
) -> int:
    """Train what a file describes, tabulate it, draw it."""
    from grokdyn.engine.chain import run_round
    from grokdyn.engine.run import run as train_sweep
    from grokdyn.spec.plane import Search
    from grokdyn.spec.round import Round

    described, shown = read(spec, scale, overrides), False if quiet else None
    if isinstance(described, Search):
        from grokdyn.boundary_command import find

        return find(described, spec, out, quiet, figures, cluster)
    if isinstance(described, Round):  # goes on where it ended
        folder = default_folder(spec) if out is None else path_of(out, "out")
        found = run_round(described, folder, shown, cluster)
    else:
        folder = free_folder(default_folder(spec)) if out is None else path_of(out, "out")
        found = train_sweep(described, out=folder, progress=shown, cluster=cluster)
    from grokdyn.outcome import tell  # what it draws with is not waited for before training

    return tell(found, folder, quiet, figures)


def resume(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Go on with an interrupted sweep, then tabulate and draw it."""
    from grokdyn.engine.run import resume as resume_sweep
    from grokdyn.machines import cluster_of
    from grokdyn.outcome import tell

    shown, cluster = False if options.quiet else None, cluster_of(options)
    found = resume_sweep(options.store, progress=shown, anyway=options.anyway, cluster=cluster)
    return tell(found, path_of(options.store), options.quiet, not options.no_figures)


def reproduce(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Run an experiment folder, draw its figure, print its claims."""
    from grokdyn.reproduce import keep
    from grokdyn.reproduce import reproduce as run_folder
    from grokdyn.terminal import show_claims

    folder = path_of(options.folder, "folder")
    default = Path("runs") / f"{folder.absolute().name}-{options.scale}"
    out = default if options.out is None else path_of(options.out, "out")
    show_claims(run_folder(folder, options.scale, out, False if options.quiet else None, options.reuse))
    if options.keep:
        say(keep(folder, options.scale, out))
    say(out / "figure.png")
    say(out / "report.html")
    if not options.quiet:
        scale = {"smoke": "cpu", "cpu": "full"}.get(options.scale)
        more = f", or grokdyn reproduce {shown(folder)} --scale {scale} for more of it" if scale else ""
        hint(f"open {shown(out / 'report.html')}{more}")
    return 0


def plot(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Draw the figures of a store."""
    from grokdyn.engine.store.reading import open_store
    from grokdyn.figures import draw, draw_diagram

    found, folder = open_store(options.store, options.anyway), path_of(options.store) / "figures"
    given = {"threshold": options.threshold, "delay": options.delay}
    style = {name: value for name, value in given.items() if value is not None}
    if options.value is not None:
        drawn = [draw_diagram(found, folder, options.value, options.x, options.y, options.format, **style)]
    else:
        drawn = draw(found, folder, options.x, options.y, options.format, **style)
    if not drawn and not found.sizes.get("step"):
        told = f"grokdyn resume {shown(path_of(options.store))} goes on"
        raise UsageError(f"plot: got {options.store!r}, without any record; allowed: a store with some: {told}")
    if not drawn:
        known = f"--value and one of {', '.join(str(name) for name in found.data_vars)}"
        raise UsageError(f"plot: got {options.store!r}, without accuracies and losses; allowed: {known}")
    for path in drawn:
        say(path)
    return 0


def report(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Write one HTML page of a store, or of a folder with several."""
    from grokdyn.reports import report as write_page

    out = None if options.out is None else path_of(options.out, "out")
    say(write_page(path_of(options.store), out, threshold=options.threshold, anyway=options.anyway))
    return 0


def export(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Write results or parameters for other programs."""
    from grokdyn.exports import export as write

    out = None if options.out is None else path_of(options.out, "out")
    chosen = {"run": options.run, "step": options.step, "threshold": options.threshold, "anyway": options.anyway}
    for path in write(path_of(options.store), options.to, out, **chosen):
        say(path)
    return 0


def info(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Tell what a store holds, once or until it is finished, or of the compiled programs that are kept."""
    import time

    if options.cache is not None and options.store is not None:
        raise UsageError(f"info: got {options.store!r} and --cache; allowed: one of them, the cache is of no store")
    if options.cache is not None:
        return info_of_cache(options.cache == "clear")
    if options.store is None:
        raise UsageError("info: got nothing; allowed: the folder of a store, or --cache")

    from grokdyn.engine.store.reading import open_store, read_manifest
    from grokdyn.terminal import describe, show

    while True:
        found, manifest = open_store(options.store, options.anyway), read_manifest(options.store, options.anyway)
        describe(found, manifest)
        if not options.watch or manifest.get("finished"):
            break
        time.sleep(WATCH_SECONDS)
    show(found)
    return 0


def info_of_cache(clear: bool) -> int:
    """Tell where compiled programs are kept, how many and of what size; remove them where asked to."""
    from grokdyn.terminal import show_facts
    from grokdyn.train import kept

    if clear:
        kept.clear()
    show_facts(kept.told())
    return 0


def plan(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Tell what a sweep will cost."""
    from grokdyn.engine.chain import sweeps
    from grokdyn.engine.loop.estimate import estimate
    from grokdyn.terminal import show_estimates

    for sweep in sweeps(read(path_of(options.spec, "spec"), options.scale, overrides)):
        show_estimates(estimate(sweep))
    return 0


def probe(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Measure more probes on the snapshots of a store."""
    from grokdyn.engine.probing import probe as probe_store

    found = probe_store(path_of(options.store), options.add, options.anyway)
    # Said below the folder as it was typed: the Dataset names the file in full.
    place = path_of(options.store) / "probes" / Path(found.encoding["source"]).name
    say(place)
    hint(f"xarray.open_zarr({str(place)!r}) has {', '.join(map(str, found.data_vars))} at the snapshots")
    return 0


def fork(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Run on from a snapshot with other numbers."""
    from grokdyn.engine.fork import fork as fork_store
    from grokdyn.outcome import tell
    from grokdyn.spec import toml

    change = {path.replace("-", "_"): toml.value(text) for path, text in options.change}
    folder = free_folder(Path("runs/fork")) if options.out is None else path_of(options.out, "out")
    run = options.run[0] if options.run and len(options.run) == 1 else options.run
    more = {"apply": interventions(options), "rewind": options.rewind, "anyway": options.anyway}
    found = fork_store(options.store, run, options.step, change, out=folder, **more)
    return tell(found, folder, quiet=False, figures=True)


def ledger(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Write the page of all claims that a folder of experiments keeps."""
    from grokdyn.engine.store.files import write_text, writing
    from grokdyn.ledger import NAME
    from grokdyn.ledger import ledger as page

    folder = path_of(options.folder, "folder")
    text = page(folder)
    with writing(folder):
        write_text(folder / NAME, text)
    say(folder / NAME)
    return 0


# The options that are fields of what may be done to states.
FIELDS = {
    "keep": "share of the weights left, or of the train rows, that stay, or whose norm rescale takes",
    "by": "scores that prune goes by: magnitude, random, snip, grasp, synflow; keep_rows: el2n, grand, random",
    "which": "scores of the rows that stay: highest or lowest",
    "skip": "share of the train rows that keep_rows passes over first",
    "over": "axes of the store over which scores of rows are averaged, such as seed",
    "scope": "global or layer",
    "tensors": "names, such as W_0,W_1",
    "factor": "of rescale",
    "norm": "of rescale --keep: l1 or l2",
}


def add_interventions(parser: ArgumentParser) -> None:
    """Add the options that say what is done to stored states."""
    told = f"what is done to the states first, may be given again: {', '.join(INTERVENTIONS)}"
    parser.add_argument("--apply", action="append", default=[], choices=INTERVENTIONS, help=told)
    for name, help in FIELDS.items():
        parser.add_argument(f"--{name}", metavar=name.upper(), help=f"{help}")
    parser.add_argument("--rewind", type=int, metavar="STEP", help="a snapshot to go on from instead")


def interventions(options: Namespace) -> list[Any]:
    """Return what the options say is done to stored states.

    Raises:
        UsageError: for a field that none of it has.
    """
    from grokdyn.spec import base, toml
    from grokdyn.spec.imports import imported

    kinds = {kind: imported(place, "apply", "") for kind, place in INTERVENTIONS.items()}
    given = {name: text for name in FIELDS if (text := getattr(options, name)) is not None}
    for name, text in given.items():
        having = [kind for kind, cls in kinds.items() if name in base.rules(cls)]
        if not set(having) & {*options.apply}:
            told = f"{text} for --apply {', '.join(options.apply)}" if options.apply else f"{text} without --apply"
            raise UsageError(f"--{name}: got {told}; allowed: with --apply {' or '.join(having)}")
    values = {
        name: text.split(",") if name in ("tensors", "over") else toml.value(text) for name, text in given.items()
    }
    chosen = [kinds[name] for name in options.apply]
    return [base.decode(kind, {n: v for n, v in values.items() if n in base.rules(kind)}, "apply") for kind in chosen]


def extend(options: Namespace, overrides: Mapping[str, str]) -> int:
    """Add runs to a store, the product of some values, and train them."""
    from grokdyn.engine.extend import extend as extend_store
    from grokdyn.machines import cluster_of
    from grokdyn.outcome import tell
    from grokdyn.spec import toml

    shown, cluster = False if options.quiet else None, cluster_of(options)
    axes = {path.replace("-", "_"): toml.value(text) for path, text in options.add}
    found = extend_store(options.store, axes, progress=shown, cluster=cluster, anyway=options.anyway)
    return tell(found, path_of(options.store), options.quiet, not options.no_figures)


def list_kinds(options: Namespace, overrides: Mapping[str, str]) -> int:
    """List the kinds of all families, those of one with their fields, or one kind with all that is said of it."""
    if options.name is None:
        from grokdyn.catalogue import tell_all

        tell_all()
        return 0
    from grokdyn.listing import tell

    tell(options.name)
    return 0
