"""Whatever a file says, only SpecError comes out, in one or two lines."""

import copy
import random

import pytest
import tomli_w

import grokdyn as gd
from grokdyn.spec import toml
from grokdyn.spec.sweep import decode
from tests import cases
from tests.spec.strategies import fields

JUNK = (
    0, -1, 1, 3, 7, 10**9, 2**31, 2**32, 2**63, -(2**63), 10**30, 10**400, 0.0, -0.0, 0.5, 1e-300, 1e308, -1e308,
    float("nan"), float("inf"), -float("inf"), True, False, "", " ", "a", "add", "adamw", "loss", "none", "0.5", ":",
    "x:y", "math:pi", "os:getcwd", "builtins:len", "builtins:int", "grokdyn.optim.adam:AdamW", "\n", "a\nb\nc",
    "\x00", "\x1b[31m", "é\u2028\u0085", "\U0001f600" * 50, "b'\\xff'", "x" * 3000, [], {}, [[]], [{}],
    {"": 0}, {"": {}},
    {"kind": ""}, {"kind": "mlp"}, {"kind": "modular", "p": 4, "op": "div"}, {"kind": ["adamw"]},
    {"kind": "grokdyn.models.mlp:MLP"}, {"kind": "grokdyn.tasks.modular:ModularArithmetic"}, {"kind": "builtins:dict"},
    {"every": 0}, {"every": 1}, {"every": [1]}, {"at": []}, {"at": [3, 2]}, {"at": 10**9}, {"log_spaced": 10**9},
    {"log_spaced": 10**6}, {"linspace": [0, 1, 3]}, {"linspace": [-1e308, 1e308, 5]}, {"logspace": [0, 1, 3]},
    {"logspace": [1e-300, 1e300, 3]}, {"range": [0, 10**12]}, {"range": [3, 0]}, {"range": [0, 4, 0]}, {"range": "ab"},
    {"linspace": [0, 1, 10**9]}, {"linspace": [0, 1, -1]}, {"linspace": {}}, {"linspace": [0, 1, 2], "range": [0, 1]},
    [1, 2, 3], [0, 0.5, 1], [0.25, 0.5], [1e-3], [3, 10**9], [1, 1.0], ["a", 1, [2]], [True, False], ["sgd", "adamw"],
    ["mlp", {"kind": "mlp"}],
    ["loss", "loss"], [["loss"], ["loss", "logits"]], [[8], [8, 8], 3], [float("nan")], [{"kind": "sgd"}, {"kind": 3}],
)  # fmt: skip
NAMES = (
    "", " ", ".", "..", "task", "task.p", "task.p.p", "seed", "seed.seed", "seeds.init", "optimizer.b1", "optimizer.",
    ".seed", "optimizer.schedule.steps", "optimizer..b1", "probes", "probes.0", "record", "record.steps", "steps",
    "sweep", "sweep.seed", "kind", "task.kind", "matmul_precision", "batch_size", "dtype", "a\nb", "learning rate",
    "learning_rte", "é\u2028", "\x1b[31m", "__class__", "replace", "model.hidden", "x" * 2000,
)  # fmt: skip
DEEP = 3000
HOSTILE = (
    "x = " + "9" * 5000,
    "x = 0x" + "f" * 5000,
    "seed = 0x" + "f" * 5000,
    "x = " + "[" * DEEP + "]" * DEEP,
    ".".join("a" * DEEP) + " = 1",
    "task." + ".".join("a" * DEEP) + " = 1",
    "sweep." + ".".join("a" * DEEP) + " = 1",
    "[" + ".".join("a" * DEEP) + "]",
    'task = {kind = "modular", p = {' + ".".join("a" * DEEP) + " = 1}}",
    "\n".join(f'[optimizer{".inner" * n}]\nkind = "perpgrad"' for n in range(400)),
    "sweep = 3",
    "[[sweep]]",
    "[[task]]",
    "seed = 2020-01-01",
    "seed = 07:32:00",
    "x = 1\nx = 2",
    "\ufeffseed = 1",
    "seed = \x00",
)
FULL = (
    gd.Sweep(
        cases.tiny(probes=("loss", gd.Logits()), **{"optimizer.schedule": gd.Cosine(), "optimizer.clip_norm": 1.0}),
        {
            "optimizer.weight_decay": [0, 1],
            "task.train_fraction": [0.3, 0.5],
            "model.hidden": [[4], [4, 4]],
            "seed": [0, 1],
        },
    ),
    gd.Sweep(cases.tiny(optimizer=gd.Lion(), record=gd.At((0, 2))), {"optimizer": [gd.SGD(), gd.Adam()]}),
)
TABLES = tuple(toml.loads(full.to_toml()) for full in FULL)
PATHS = tuple(path for path, _ in fields(FULL[0].base))
LISTS = tuple(value for value in JUNK if isinstance(value, list))


def assert_only_a_short_spec_error(action):
    """Return whether the action was accepted."""
    try:
        action()
    except gd.SpecError as error:
        message = str(error)
    else:
        return True
    assert len(message.splitlines()) <= 2, message
    assert len(message) < 600, message
    return False


def run_as_text(text):
    """Read a file's text up to the runs of its sweep, as far as they are few."""

    def action():
        found = decode(toml.loads(text))
        if isinstance(found, gd.Sweep):
            assert found.coordinates.keys() == found.shape.keys()
            if found.size <= 32:
                list(found.experiments())
        if not isinstance(found, gd.Sweep) or found.size <= 1000:
            found.to_toml()

    return assert_only_a_short_spec_error(action)


def places(table):
    """Return every container in nested plain data with each of its keys."""
    keys = list(table) if isinstance(table, dict) else range(len(table))
    here = [(table, key) for key in keys]
    return here + [place for key in keys if isinstance(table[key], dict | list) for place in places(table[key])]


def mangle(table, rng):
    """Break nested plain data in one place."""
    owner, key = rng.choice(places(table))
    kind = rng.choice(("junk", *3 * ("alike",), "delete", "rename", "nest", "swap", "add", *3 * ("axis",)))
    if kind in ("junk", "alike"):
        alike = [value for value in JUNK if kind == "junk" or type(value) is type(owner[key])]
        owner[key] = copy.deepcopy(rng.choice(alike))
    elif kind == "delete":
        del owner[key]
    elif kind == "rename" and isinstance(owner, dict):
        owner[rng.choice((*NAMES, key[:-1], key + "s"))] = owner.pop(key)
    elif kind == "nest":
        owner[key] = rng.choice(([owner[key]], {"kind": owner[key]}, {rng.choice(NAMES): owner[key]}))
    elif kind == "swap":
        other, place = rng.choice(places(table))
        owner[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(owner[key])
    elif kind == "add" and isinstance(owner, dict):
        owner[rng.choice(NAMES)] = copy.deepcopy(rng.choice(JUNK))
    elif isinstance(table.get("sweep"), dict):
        values = copy.deepcopy(rng.choice(JUNK + 4 * LISTS))
        values = rng.choice((values, values, values, {rng.choice(("linspace", "logspace", "range")): values}))
        table["sweep"][rng.choice(NAMES + 2 * PATHS)] = values


def scratch(text, rng):
    """Break text in one place."""
    at, other = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    kind = rng.choice(("cut", "insert", "repeat"))
    if kind == "cut":
        return text[:at] + text[min(other, at + 20) :]
    if kind == "repeat":
        return text[:other] + text[at : min(other, at + 60)] + text[other:]
    return text[:at] + rng.choice('[]{}="\n.,#0_ \\e\x00\x7f\u0085é') + text[at:]


def mangled(seed, count):
    rng = random.Random(seed)
    for _ in range(count):
        table = copy.deepcopy(rng.choice(TABLES))
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            mangle(table, rng)
        text = tomli_w.dumps(table)
        yield scratch(text, rng) if rng.random() < 0.3 else text


@pytest.mark.parametrize("seed", range(6))
def test_mangled_files_give_a_short_spec_error(seed):
    accepted = [run_as_text(text) for text in mangled(seed, 400)]
    assert any(accepted), "mangled so hard that nothing but the first rules is reached"
    assert not all(accepted)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_hostile_files_give_a_short_spec_error(text):
    assert not run_as_text(text)
    assert not run_as_text(f"{text}\n{cases.tiny().to_toml()}")


@pytest.mark.parametrize("scale", ["full", "smoke"])
def test_junk_overrides_give_a_short_spec_error(tmp_path, scale):
    spec = tmp_path / "spec.toml"
    spec.write_text(FULL[0].to_toml() + '\n[scale.smoke]\nsteps = 3\n"sweep.seed" = [1]\n"optimizer.b1" = 0.5\n')
    rng = random.Random(0)
    names = [*NAMES, *PATHS, *(f"sweep.{path}" for path in NAMES + PATHS)]
    overrides = [{name: copy.deepcopy(value)} for name in names for value in rng.sample(JUNK, 8)]
    accepted = [assert_only_a_short_spec_error(lambda one=one: gd.load(spec, scale, one)) for one in overrides]
    assert 10 < sum(accepted) < len(accepted) / 2


@pytest.mark.parametrize("scales", ["", "scale = 3", "[scale]\nsmoke = 3", "[scale.smoke]\n'' = 3", "[[scale.smoke]]"])
def test_junk_scales_give_a_short_spec_error(tmp_path, scales):
    spec = tmp_path / "spec.toml"
    spec.write_text(FULL[1].to_toml() + "\n" + scales)
    assert not assert_only_a_short_spec_error(lambda: gd.load(spec, "smoke"))
