"""What a user sees while a sweep trains."""

import io

import pytest
from rich.console import Console

import grokdyn as gd
from grokdyn.engine import progress
from grokdyn.engine.progress import Tally
from tests import cases

SWEEP = gd.Sweep(
    cases.tiny(steps=40, stop=(gd.When(variable="train_accuracy", threshold=0.0, records=2),)),
    {"optimizer.learning_rate": [0.01, 1e30], "model.hidden": [[4], [5]], "seed": range(3)},
)


class Seen(progress.Reporter):
    """Keeps all that it was told."""

    def __init__(self, totals):
        super().__init__(totals)
        self.steps, self.tallies = [0] * len(totals), []

    def advance(self, run_steps):
        self.steps[self.cohort] += run_steps
        self.tallies.append((self.cohort, self.past + self.present))

    def finished(self, tally):
        super().finished(tally)
        self.tallies.append((self.cohort, self.past))


@pytest.fixture
def seen(monkeypatch):
    """Return the reporters of all runs that follow."""
    made = []

    @progress.contextmanager
    def reporter(totals, wanted):
        made.append(Seen(totals))
        yield made[-1]

    monkeypatch.setattr("grokdyn.engine.run.reporter", reporter)
    return made


def test_every_cohort_is_told_to_its_end_with_how_its_runs_ended(seen, tmp_path):
    gd.run(SWEEP, out=tmp_path / "s")
    (told,) = seen
    assert told.totals == told.steps == [240, 240]
    for cohort in (0, 1):
        mine = [tally for where, tally in told.tallies if where == cohort]
        assert mine[-1] == Tally(done=0, stopped=3, diverged=3)
        assert mine[0] != mine[-1]  # not only at the end


def test_runs_that_go_through_are_done(seen):
    gd.run(SWEEP.base.replace(stop=()))
    assert seen[0].tallies[-1] == (0, Tally(done=1))


def test_lines_name_the_cohort_and_how_runs_ended(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    gd.run(SWEEP)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("cohort 1 of 2: ")
    assert all(line.startswith("cohort 2 of 2: ") for line in lines[-2:])
    assert lines[-1].startswith("cohort 2 of 2: 100% of 240 run-steps, ")
    assert "0 s left, 3 stopped, 3 diverged" in lines[-1]


def test_a_chunk_without_updates_has_no_rate(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with progress.reporter([100], None) as shown:
        shown.advance(0)
        shown.advance(50)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "compiling"
    assert second.startswith("50% of 100 run-steps")


def test_bars_on_a_terminal(monkeypatch):
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=140)
    monkeypatch.setattr(progress, "Console", lambda stderr: terminal)
    gd.run(SWEEP)
    shown = written.getvalue()
    assert "cohort 1 of 2" in shown
    assert "cohort 2 of 2" in shown
    assert "100%" in shown
    assert "3 stopped, 3 diverged" in shown


def test_silence(capsys):
    gd.run(SWEEP, progress=False)
    assert capsys.readouterr().err == ""
