"""Every experiment runs at its smoke scale: its sweeps, its claims, its figure."""

import json
from pathlib import Path

import pytest

from grokdyn.analysis.claims import OPEN
from grokdyn.cli import main
from grokdyn.engine.chain import sweeps
from grokdyn.reproduce import scaled_sweeps
from grokdyn.spec.sweep import Sweep

SCALES = ("smoke", "cpu", "full")
FOLDERS = sorted(path.parent for path in (Path(__file__).parents[2] / "experiments").glob("*/claims.py"))
# The longest, most of it compilation, are left to the slow suite.
LONG = {
    "always_grok",
    "benign_oscillation",
    "bias_dichotomy",
    "bridge_entity",
    "continual_linear",
    "cot_training",
    "data_diet",
    "deep_linear",
    "deep_feature_learning",
    "degree_curriculum",
    "delay_law",
    "delay_law_transformer",
    "doshi_phases",
    "early_warning",
    "edge_figure1",
    "edge_figure2",
    "edge_figure4",
    "edge_figure6",
    "expert_pathways",
    "found_boundaries",
    "generalisation_disagreement",
    "generalisation_measures",
    "general_purpose_in_context",
    "gotu",
    "in_context_digits",
    "grokfast",
    "grokked_transformers",
    "grokking_tickets",
    "hierarchical_polynomials",
    "lazy_committee",
    "lazy_networks",
    "lazy_to_rich",
    "key_value_memory",
    "length_generalisation",
    "mixup_features",
    "nanda_progress",
    "neural_tangent_kernel",
    "norm_or_logit_scale",
    "omnigrok_norm",
    "one_step_gd",
    "online_committee",
    "opposing_signals",
    "overtraining",
    "power_division",
    "rethinking_generalisation",
    "sgd_gap",
    "sgd_stability",
    "sharpness_family",
    "slingshots",
    "simplicity_bias",
    "slow_features",
    "spectral_algorithms",
    "stability_gap",
    "train_longer",
    "ungrokking",
    "xor_clusters",
}


def marked(folder):
    return pytest.param(folder, marks=[pytest.mark.slow] * (folder.name in LONG), id=folder.name)


def of_two_seeds(sweep):
    """Return a sweep with the first two of its seeds: no rule between fields reads one, so all fit or none."""
    axes = {name: axis.given() for name, axis in sweep.dims.items()}
    return Sweep(sweep.base, {**axes, "seed": axes["seed"][:2]} if "seed" in axes else axes)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_sweep_of_an_experiment_fits_at_every_scale(folder):
    for scale in SCALES:
        for what in scaled_sweeps(folder, scale).values():
            assert all(len(list(of_two_seeds(sweep).experiments())) > 0 for sweep in sweeps(what))


def test_figures_1_and_4_share_the_run_that_takes_longest():
    one, four = (scaled_sweeps(FOLDERS[0].parent / f"edge_figure{n}", "full") for n in (1, 4))
    assert one["stablemax"].to_toml() == four["addition"].to_toml()


@pytest.mark.parametrize("folder", [marked(folder) for folder in FOLDERS])
def test_an_experiment_reproduces_at_its_smoke_scale(folder, tmp_path):
    assert main(["reproduce", str(folder), "--scale", "smoke", "--out", str(tmp_path / "out"), "--quiet"]) == 0
    claims = json.loads((tmp_path / "out/claims.json").read_text())["claims"]
    assert claims
    assert {claim["verdict"] for claim in claims} == {OPEN}
    assert (tmp_path / "out/figure.png").stat().st_size > 20_000
    assert (folder / "README.md").is_file()
