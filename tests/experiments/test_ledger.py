"""The ledger of kept claims is what the files say, and the verdicts are those of their runs."""

import json
from pathlib import Path

import pytest

from grokdyn.analysis.claims import again
from grokdyn.cli import main
from grokdyn.ledger import NAME, ledger, why_open

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
KEPT = sorted(EXPERIMENTS.glob("*/results/*/claims.json"))


def test_the_page_is_that_of_the_files():
    told = "`grokdyn ledger experiments` writes it anew"
    assert (EXPERIMENTS / NAME).read_text() == ledger(EXPERIMENTS), told


def test_a_claim_that_is_disputed_lists_both_sides(tmp_path, capsys):
    kept = tmp_path / "toy/results/cpu"
    kept.mkdir(parents=True)
    told = json.loads(KEPT[0].read_text())
    told["claims"] = told["claims"][:1]
    told["claims"][0]["disputed"] = "Somebody 2026, the other way round"
    (kept / "claims.json").write_text(json.dumps(told))
    assert main(["ledger", str(tmp_path)]) == 0
    text = (tmp_path / NAME).read_text()
    assert told["claims"][0]["source"] in text
    assert "**against it**: Somebody 2026, the other way round" in text
    assert f"**{told['claims'][0]['verdict']}**" in text
    assert NAME in capsys.readouterr().out


def test_a_claim_that_no_more_seeds_decide_says_so():
    told = {"verdict": "not decided", "needed_seeds": None, "agrees": [0.1, "inf"], "bears": [0, "inf"]}
    assert why_open({**told, "interval": [0.02, 0.06]}) == ": between what agrees and what contradicts"
    assert why_open({**told, "interval": [None, None]}) == why_open({**told, "interval": [0.02, 0.2]}) == ""
    assert why_open({**told, "interval": [0.02, 0.2], "needed_seeds": 1200}) == ", about 1,200 seeds"


@pytest.mark.parametrize(
    ("text", "told"), [(None, "no kept results"), ("[]", "claims of an earlier form"), ("{", "no JSON")]
)
def test_a_folder_that_keeps_nothing_that_can_be_read_is_told_in_a_line(tmp_path, capsys, text, told):
    if text is not None:
        (tmp_path / "toy/results/cpu").mkdir(parents=True)
        (tmp_path / "toy/results/cpu/claims.json").write_text(text)
    assert main(["ledger", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("file", KEPT, ids=lambda file: f"{file.parts[-4]}-{file.parts[-2]}")
def test_kept_verdicts_are_those_of_the_kept_runs(file):
    text = file.read_text()
    if "MaximalError" in text and len(text) > 100_000:
        pytest.skip("long: a largest distance over many points")
    found, _ = again(text)
    told = json.loads(text)["claims"]
    assert [v.verdict for v in found] == [claim["verdict"] for claim in told]
    assert [v.claim.estimand.seeds if v.claim.estimand else 0 for v in found] == [claim["seeds"] for claim in told]
