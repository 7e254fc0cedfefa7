"""What the engine promises: compiles counted, bits kept, runs that do not touch each other."""

import gc

import jax
import numpy as np
import pytest
from jax._src import compiler

import grokdyn as gd
from grokdyn.engine.plan import cohorts as plan
from grokdyn.engine.plan import structure
from grokdyn.train.compiled import START_OPTIONS, TRACES, lane_mesh, put, start_options, taken, uncollected
from tests import cases

pytestmark = pytest.mark.as_users

# Eight numbers, two values each: 256 runs of one program.
AXES = {
    "optimizer.learning_rate": [1e-3, 1e-2],
    "optimizer.weight_decay": [0, 1],
    "optimizer.b2": [0.9, 0.999],
    "task.train_fraction": [0.4, 0.7],
    "task.label_noise": [0, 0.3],
    "model.init_scale": [0.5, 2],
    "model.output_scale": [1, 0.25],
    "seed": [0, 5],
}
SHORT = cases.tiny(steps=4, record=gd.Every(1), probes=(gd.Loss(), gd.WeightNorm(), gd.Accuracy()))


def assert_equal_bits(a, b):
    """Check two Datasets for the same values bit by bit, nan included."""
    assert set(a.data_vars) == set(b.data_vars)
    for name in a.data_vars:
        np.testing.assert_array_equal(a[name].values, b[name].transpose(*a[name].dims).values, err_msg=name)


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    """Cut 256 runs into three batches, whose last is padded: what shares a batch must not matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "MOST_LANES", 100)
        yield


@pytest.fixture(scope="module")
def swept():
    """Return the sweep's Dataset and how often its training program was traced."""
    before = TRACES["advance"]
    found = gd.run(gd.Sweep(SHORT, AXES))
    return found, TRACES["advance"] - before


def test_a_sweep_over_numbers_compiles_once(swept):
    found, traced = swept
    assert traced == 1
    assert found.train_loss.shape == (2,) * 8 + (5,)
    assert np.all(found.status == 0)
    # Every number did something: no two runs ended alike, save those without corrupted labels.
    assert len(np.unique(found.train_loss.isel(step=-1))) == 256


def test_other_values_do_not_compile_again(swept):
    before = dict(TRACES)
    axes = {path: [value * 0.9 if path != "seed" else value + 1 for value in values] for path, values in AXES.items()}
    gd.run(gd.Sweep(SHORT, {**axes, "task.train_fraction": [0.35, 0.7]}))
    assert dict(TRACES) == before


def test_what_is_compiled_ahead_is_what_is_called(monkeypatch):
    """The start's shapes stand in for its results: were they others, training would be compiled twice."""
    compiled, real = [], compiler.compile_or_get_cached

    def noted(backend, computation, *args, **kwargs):
        compiled.append(str(computation.operation.attributes["sym_name"]))
        return real(backend, computation, *args, **kwargs)

    monkeypatch.setattr(compiler, "compile_or_get_cached", noted)
    gd.run(gd.Sweep(SHORT.replace(steps=6), {"seed": range(3)}))
    assert sorted(name.strip('"') for name in compiled) == ["jit_advance_lanes", "jit_begin_lanes"]


def test_a_lane_is_read_and_written_as_a_block_of_lanes_is():
    states = np.arange(24.0).reshape(6, 4)
    for places in ([4], [4, 0, 2]):
        np.testing.assert_array_equal(taken(jax.numpy.asarray(states), np.array(places)), states[places])
        expected = states.copy()
        expected[places] = -1
        found = put(jax.numpy.asarray(states), np.array(places), jax.numpy.full((len(places), 4), -1.0))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("before", [True, False])
def test_the_search_for_garbage_goes_on_as_it_was(before):
    """Also where a program does not trace."""
    try:
        (gc.enable if before else gc.disable)()
        with pytest.raises(ZeroDivisionError), uncollected():
            1 / gc.isenabled()
        assert gc.isenabled() == before
    finally:
        gc.enable()


def test_flags_of_a_user_are_not_overruled(monkeypatch):
    mesh = lane_mesh(jax.devices())
    assert start_options(mesh) == START_OPTIONS
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_dump_to=x")
    assert not start_options(mesh)


def test_runs_in_another_order_have_the_same_bits(swept):
    backwards = gd.run(gd.Sweep(SHORT, {path: values[::-1] for path, values in reversed(AXES.items())}))
    assert_equal_bits(
        swept[0], backwards.isel({name: slice(None, None, -1) for name in backwards.attrs["axes"].split()})
    )


def test_a_repeated_sweep_has_the_same_bits(swept):
    assert_equal_bits(swept[0], gd.run(gd.Sweep(SHORT, AXES)))


@pytest.mark.parametrize("path", AXES)
def test_a_swept_number_gives_the_bits_of_the_same_number_fixed(swept, path):
    """Bits are promised for one number of lanes: another axis takes the place of the one that is fixed."""
    rest = {other: values for other, values in AXES.items() if other != path}
    base = SHORT.replace(**{path: AXES[path][1]})
    fixed = gd.run(gd.Sweep(base, {**rest, "optimizer.eps": [SHORT.optimizer.eps, 1e-6]})).isel(eps=0)
    assert_equal_bits(swept[0].isel({path.rpartition(".")[2]: 1}), fixed)


# A number beyond sense, and the first step whose loss it can make infinite: 0 where it spoils the initial network.
ABSURD = {
    "optimizer.learning_rate": (1e30, 1),
    "optimizer.weight_decay": (1e35, 1),
    "model.init_scale": (1e25, 0),
    "model.output_scale": (1e300, 0),
}


@pytest.mark.parametrize("path", ABSURD)
def test_a_run_that_diverges_is_marked_and_touches_no_other(swept, path):
    (absurd, earliest), name, good = ABSURD[path], path.rpartition(".")[2], AXES[path][0]
    wild = gd.run(gd.Sweep(SHORT, {**AXES, path: [good, absurd]}))
    assert_equal_bits(wild.isel({name: 0}), swept[0].isel({name: 0}))
    lost = wild.isel({name: 1})
    assert np.all(lost.status == 1)
    # A record at step t shows the loss whose gradient update t would use, so it is the first that is not finite.
    first = np.argmin(np.isfinite(lost.train_loss.values), axis=-1)
    np.testing.assert_array_equal(lost.diverged_at, first)
    assert np.all(first >= 1) if earliest else np.all(first == 0)
    # Its records end with that one.
    np.testing.assert_array_equal(np.isnan(lost.weight_norm), lost.step.values > lost.diverged_at.values[..., None])
    assert np.all(wild.isel({name: 0}).diverged_at == -1)


def assert_follows(found, expected):
    """Check 50 steps: a rounding or two of float32 each, in a smooth network that does not amplify them."""
    for name in ("train_loss", "test_loss", "weight_norm"):
        early = slice(0, 50)
        np.testing.assert_allclose(found[name].sel(step=early), expected[name].sel(step=early), rtol=1e-6)


LONG = cases.tiny(
    model=gd.MLP(hidden=(8,), activation="tanh"),
    optimizer=gd.AdamW(learning_rate=3e-3, weight_decay=0.5),
    steps=130,
    record=gd.Every(1),
    probes=(gd.WeightNorm(), gd.Loss()),
    **{"task.train_fraction": 0.7},
)


@pytest.fixture(scope="module")
def alone():
    return gd.run(LONG)


def test_what_is_recorded_and_how_often_never_changes_training(alone):
    record = gd.At((0, 3, 60, 77, 120, 130))
    probes = (gd.Loss(), gd.WeightNorm(), gd.GradientNorm(), gd.UpdateNorm(), gd.DistanceFromInit())
    found = gd.run(LONG.replace(record=record, probes=probes))
    assert found.step.values.tolist() == record.at(130).tolist()
    common = alone.sel(step=found.step)
    shared = set(found.data_vars) & set(common.data_vars)
    assert {"train_loss", "test_loss", "weight_norm"} <= shared
    for name in shared:
        np.testing.assert_array_equal(found[name], common[name])


def test_a_run_alone_is_the_same_run_in_a_batch(alone):
    """An odd number of lanes is padded on two devices, and a larger train fraction pads the rows of this run."""
    batch = gd.run(gd.Sweep(LONG, {"task.train_fraction": [0.3, 0.7, 0.9], "optimizer.weight_decay": [0.1, 0.5, 2]}))
    assert_follows(batch.sel(train_fraction=0.7, weight_decay=0.5), alone)


def test_tiles_change_no_more_than_rounding(alone, monkeypatch):
    monkeypatch.setattr(structure, "CPU_TILE", 16)
    assert structure.padded(34, cpu=True) == (48, 16)
    tiled = gd.run(LONG)
    assert not np.array_equal(tiled.weight_norm, alone.weight_norm), "the tiles were not used"
    assert_follows(tiled, alone)


def test_the_users_settings_of_jax_are_left_alone(alone):
    def settings():
        return jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision

    before = settings()
    with jax.enable_x64(False), jax.default_matmul_precision("bfloat16"):
        inside = settings()
        again = gd.run(LONG)
        assert settings() == inside
        assert jax.numpy.ones(1).dtype == "float32"
    assert settings() == before
    assert_equal_bits(alone, again)


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"task.train_fraction": 0.01}, "task.train_fraction", "at least one of 49 rows"),
        ({"batch_size": 25}, "batch_size", "at most the number of train rows, 24"),
    ],
)
def test_what_cannot_be_trained_is_told_before_anything_is_compiled(changes, path, words):
    before = dict(TRACES)
    with pytest.raises(gd.SpecError, match=words) as caught:
        gd.run(SHORT.replace(**changes))
    assert caught.value.path == path
    assert dict(TRACES) == before


def test_a_setting_of_the_process_is_no_axis():
    with pytest.raises(gd.SpecError, match="a setting, not an axis"):
        gd.run(gd.Sweep(SHORT, {"matmul_precision": ["highest", "default"]}))
