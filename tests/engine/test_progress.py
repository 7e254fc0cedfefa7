"""What a user sees while a sweep trains."""

import io

import pytest
from rich.console import Console

import grokdyn as gd
from grokdyn.engine.host import progress
from grokdyn.engine.host.progress import Tally
from tests import cases
from tests.engine.test_interrupted import CutError, cut_after

SWEEP = gd.Sweep(
    cases.tiny(steps=40, stop=(gd.When(variable="train_accuracy", threshold=0.0, records=2),)),
    {"optimizer.learning_rate": [0.01, 1e30], "model.hidden": [[4], [5]], "seed": range(3)},
)


class Seen(progress.Reporter):
    """Keeps all that it was told."""

    def __init__(self, totals):
        self.steps, self.made, self.tallies = [0] * len(totals), [0] * len(totals), []
        super().__init__(totals)

    def advance(self, run_steps):
        self.made[self.cohort] += run_steps
        super().advance(run_steps)

    def show(self):
        self.steps[self.cohort] = self.done
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

    for place in ("run", "machines.here"):
        monkeypatch.setattr(f"grokdyn.engine.{place}.reporter", reporter)
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
    assert "0:00:00 left, 3 stopped, 3 diverged" in lines[-1]


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that goes as it is told."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_rate_is_that_of_chunks_after_the_one_that_held_the_compilation(clock, capsys):
    with progress.reporter([10**10], None) as shown:
        for seconds, run_steps in ((60, 0), (20, 1000), (20, 3000)):
            clock[0] += seconds
            shown.advance(run_steps)
    assert capsys.readouterr().err.splitlines() == [
        "compiling",
        "0% of 10,000,000,000 run-steps, 50/s, 55555:33:00 left",
        "0% of 10,000,000,000 run-steps, 100/s, 27777:46:00 left",
    ]


def test_a_rate_recovers_from_a_pause(clock):
    with progress.reporter([10_000], False) as shown:
        for seconds in (1, 1, 5000, *[1] * progress.RECENT):
            clock[0] += seconds
            shown.advance(100)
    assert (shown.done, shown.pace.rate, shown.seconds_left) == (1100, 100, 89)


def test_what_need_not_be_trained_makes_nothing_faster(clock):
    with progress.reporter([10_000], False) as shown:
        shown.skip(6000)  # in the store
        shown.advance(1000)
        clock[0] += 10
        shown.advance(500)
        shown.skip(500)  # of runs that are over
    assert (shown.done, shown.pace.rate, shown.seconds_left) == (8000, 50, 40)


def test_a_sweep_that_resumes_tells_the_rate_of_what_it_trains(seen, tmp_path, monkeypatch):
    sweep = gd.Sweep(cases.tiny(steps=40), {"model.hidden": [[4], [5]], "seed": range(3)})
    with monkeypatch.context() as patch:
        cut_after(patch, 9 + 3)  # the first cohort is finished, the second at step 10
        with pytest.raises(CutError):
            gd.run(sweep, out=tmp_path / "s", checkpoint_seconds=0)
    gd.resume(tmp_path / "s")
    cut, resumed = seen
    assert resumed.steps == resumed.totals == [120, 120]
    assert cut.made == [120, 30]
    assert resumed.made == [0, 90]


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
