"""The floor of the bench: which products a step has, and what filling up does to them."""

import json

import jax
import numpy as np
import pytest

from grokdyn import bench
from grokdyn.bench import accelerators, floor
from grokdyn.bench.cases import CASES
from grokdyn.bench.device import Growth
from grokdyn.bench.measure import Result, Timing
from grokdyn.bench.peak import operations
from grokdyn.engine.host.devices import devices


def small(name, **changes):
    return CASES[name].experiment().replace(**{"task.p": 11, **changes})


def test_the_products_of_a_step_are_those_of_its_gradient():
    experiment = small("p113", **{"model.hidden": (7, 9), "task.train_fraction": 0.5})
    found = floor.products(experiment, devices())
    rows = {shape[0] for product in found for shape in product.shapes[:1]} - {7, 9, 11}
    assert len(rows) == 1  # all rows in one tile
    n = rows.pop()
    # Two layers behind the gathered first one; each forward, and backward to its weights and to its input.
    told = sorted((tuple(sorted((*product.shapes[0], *product.shapes[1]))), count) for product, count in found.items())
    assert told == sorted(
        (tuple(sorted(shapes)), 1)
        for shapes in [(n, 7, 7, 9), (n, 9, 9, 11), (n, 11, n, 9), (n, 11, 9, 11), (n, 9, n, 7), (n, 9, 7, 9)]
    )


def test_their_operations_are_nearly_all_that_xla_counts():
    experiment = CASES["doshi"].experiment()
    counted = sum(count * product.operations for product, count in floor.products(experiment, devices()).items())
    assert 0.97 < counted / operations(experiment, devices()) <= 1


def test_filled_up_a_product_is_the_same_with_zeros():
    experiment = small("p113", **{"model.hidden": (18, 20), "task.p": 19})
    rng = np.random.default_rng(0)
    for product in floor.products(experiment, devices()):
        operands = [rng.normal(size=shape).astype(np.float32) for shape in product.shapes]
        plain = np.asarray(product.of(*operands))
        candidates = list(floor.padded(product))
        assert candidates[0] == product
        assert len(candidates) > 1
        for candidate in candidates:
            pads = [
                [(0, wide - narrow) for narrow, wide in zip(a, b, strict=True)]
                for a, b in zip(product.shapes, candidate.shapes, strict=True)
            ]
            filled = candidate.of(*(np.pad(x, pad) for x, pad in zip(operands, pads, strict=True)))
            np.testing.assert_allclose(filled[tuple(map(slice, plain.shape))], plain, rtol=1e-4, atol=1e-5)


def test_a_product_is_computed_as_often_as_asked(monkeypatch):
    product = next(iter(floor.products(small("doshi", **{"model.hidden": (8,)}), devices())))
    monkeypatch.setattr(floor, "SECONDS", 1e-4)
    assert 0 < floor.seconds_of(product, devices()[:1], "highest") < 1


def test_the_floor_of_an_accelerator_is_the_slower_of_two():
    found = accelerators.Demand(operations=2e9, traffic=1e6)
    device = accelerators.Accelerator("any", flops=1e12, bandwidth=1e9)
    assert found.floor(device) == (2e-3, "operations")
    assert found._replace(traffic=3e6).floor(device) == (3e-3, "bytes")


def test_products_that_pass_memory_once():
    experiment = small("doshi", **{"model.hidden": (8,)})
    found = floor.products(experiment, devices())
    n = max(max(product.shapes[0]) for product in found)
    layer = 4 * (n * 8 + 8 * 11 + n * 11)
    assert sorted(accelerators.bytes_of(product) for product in found) == [layer] * 3


def test_gpu_plan_is_a_table_and_json(tmp_path, capsys):
    assert bench.main(["--gpu-plan", "--case", "doshi", "--json", str(tmp_path / "plan.json")]) == 0
    assert "Doshi's grid, 1,156 runs" in capsys.readouterr().out
    floors = json.loads((tmp_path / "plan.json").read_text())["doshi"]["floor"]
    assert {device.name for device in accelerators.ACCELERATORS} == set(floors)
    assert all(line["seconds"] > 0 for line in floors.values())


def test_one_thing_at_a_time(capsys):
    assert bench.main(["--gpu-plan", "--device"]) == 2
    assert "not allowed with" in capsys.readouterr().err
    assert bench.main(["--device", "--case", "sharpness"]) == 2  # a part's cost has no lanes of its own
    assert "allowed: p23" in capsys.readouterr().err


def test_the_fastest_lanes_are_those_of_the_least_time():
    def result(milliseconds):
        timing = (
            Timing(steps=1, runs=1, wall=[milliseconds / 1e3]) if milliseconds else Timing(why_not="failed: memory")
        )
        return Result("p23", CASES["p23"], 1, {"engine": timing})

    assert Growth("p23", CASES["p23"], {1: result(3.0), 4: result(1.0), 16: result(None)}).best() == (4, 1.0)
    assert Growth("p23", CASES["p23"], {1: result(None)}).best() is None


@pytest.mark.slow
def test_device_times_more_and_more_lanes(tmp_path):
    argv = ["--device", "--case", "p23", "--lanes", "4", "--rounds", "1", "--seconds", "0.3"]
    assert bench.main([*argv, "--json", str(tmp_path / "found.json")]) == 0
    lanes = json.loads((tmp_path / "found.json").read_text())["cases"][0]["lanes"]
    assert [line["lanes"] for line in lanes] == [1, 4]
    assert all(line["sides"]["engine"]["ms_per_run_step"] > 0 for line in lanes)
    assert jax.default_backend() in json.loads((tmp_path / "found.json").read_text())["machine"]["device"]
