"""What is another program: another class, another structure, other code behind the same name; nothing else."""

import functools
import hashlib
import itertools
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

import grokdyn as gd
from grokdyn.spec import base
from grokdyn.spec.identity import own_code
from grokdyn.spec.places import KINDS
from tests import cases, quick

EVERY_KIND = [getattr(gd, place.rpartition(":")[2]) for kinds in KINDS.values() for place in kinds.values()]
FACTOR = 1.0


def blank(cls):
    """Return a spec with nothing in it, which a class of any kind can have."""
    return cls(**dict.fromkeys(base.rules(cls)))


def test_no_two_kinds_have_equal_structures_whatever_is_in_them():
    specs = [blank(cls) for cls in EVERY_KIND]
    for a, b in itertools.combinations(specs, 2):
        assert jax.tree.structure(a) != jax.tree.structure(b), (a, b)
        assert jax.tree.structure((a,)) != jax.tree.structure((b,)), (a, b)


@pytest.mark.parametrize(("family", "component"), cases.cases())
def test_equal_specs_have_equal_structures_and_hashes(family, component):
    again = base.decode(type(component), base.encode(component))
    assert again == component
    assert hash(again) == hash(component)
    one, other = jax.tree.structure(component), jax.tree.structure(again)
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(("family", "component"), cases.cases())
def test_a_spec_survives_its_leaves(family, component):
    leaves, structure = jax.tree.flatten(component)
    assert jax.tree.unflatten(structure, leaves) == component
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(component)]
    assert len(set(paths)) == len(leaves)


def test_different_fields_have_different_structures():
    for _, component in (case.values for case in cases.cases()):
        for name, rule in base.rules(type(component)).items():
            if isinstance(rule, gd.rules.Flag):
                other = component.replace(**{name: not getattr(component, name)})
                assert jax.tree.structure(other) != jax.tree.structure(component), name


CELL = """
import jax.numpy as jnp
SCALE = {scale}

def helper(x):
    return x * {factor}

class Mine(gd.Probe):
    \"\"\"{doc}\"\"\"
    def variables(self, shapes):
        return {{"mine": gd.Variable("mine")}}
    def measure(self, view):
        return {{"mine": SCALE * helper(jnp.float64(2.0))}}
"""


def cell(scale=1.0, factor=1.0, doc="A probe of mine."):
    """Return a probe as a notebook's cell defines it."""
    names = {"gd": gd, "__name__": "__main__"}
    exec(CELL.format(scale=scale, factor=factor, doc=doc), names)
    return names["Mine"]()


def test_a_class_defined_anew_with_other_code_is_another_program():
    first, same, other = cell(), cell(), cell(factor=3.0)
    assert jax.tree.structure(first) != jax.tree.structure(same)  # two classes, though alike
    assert own_code(first) == own_code(same) != own_code(other)
    assert own_code(first) == own_code(cell(doc="Said in other words."))
    assert own_code(first) != own_code(cell(scale=2.0))
    assert own_code(gd.Accuracy()) == own_code(cases.tiny()) == ""


# A program of few operations: these tests are about which program is taken.
SMALL = {"model": gd.MLP(hidden=()), "loss": gd.MSE(), "optimizer": gd.SGD(), "steps": 2}


def seen(probe):
    return gd.run(cases.tiny(probes=(probe,), **SMALL), progress=False).mine.values[-1]


def test_redefining_a_class_trains_the_new_one():
    assert seen(cell()) == 2.0
    assert seen(cell(factor=3.0)) == 6.0
    assert seen(cell(scale=2.0)) == 4.0


class Reads(gd.Probe):
    """Reads a constant of its module."""

    def variables(self, shapes):
        return {"mine": gd.Variable("mine")}

    def measure(self, view):
        return {"mine": jax.numpy.float64(FACTOR)}


def test_a_constant_or_method_changed_between_two_runs_is_another_program(monkeypatch):
    assert seen(Reads()) == 1.0
    monkeypatch.setitem(globals(), "FACTOR", 5.0)
    assert seen(Reads()) == 5.0
    monkeypatch.setattr(Reads, "measure", lambda self, view: {"mine": jax.numpy.float64(7.0)})
    assert seen(Reads()) == 7.0


def closed_over(value):
    return lambda a, b: a + value * b


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (closed_over(1), closed_over(2)),
        (closed_over(np.arange(3)), closed_over(np.arange(1, 4))),
        (closed_over({"a": [1, 2]}), closed_over({"a": [1, 3]})),
        (functools.partial(closed_over, 1), functools.partial(closed_over, 2)),
        (functools.wraps(closed_over(0))(closed_over(1)), closed_over(2)),
    ],
)
def test_what_a_function_holds_is_part_of_it(one, other):
    assert own_code((one,)) != own_code((other,))
    assert own_code((one,)) == own_code((one,))


def test_own_code_is_told_alike_in_every_process(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import grokdyn as gd, numpy as np\n" + CELL.format(scale=2, factor=3, doc="Mine")
    )
    script = "import mine; from grokdyn.spec.identity import own_code; print(own_code(mine.Mine(), here=False))"
    told = {
        subprocess.run(
            [sys.executable, *flags, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout
        for flags in ((), ("-B",))
    }
    assert len(told) == 1
    assert ":" in told.pop()


def test_programs_of_long_ago_are_let_go(monkeypatch):
    from grokdyn.train import compiled

    monkeypatch.setattr(compiled, "MOST_PROGRAMS", 2)
    compiled.PROGRAMS.clear()
    relu, tanh, square = (
        cases.tiny(**SMALL, **{"model.hidden": (2,), "model.activation": kind}) for kind in ("relu", "tanh", "square")
    )
    for experiment in (relu, tanh, square):
        gd.run(experiment, progress=False)
        assert len(compiled.PROGRAMS) <= 2
    before = dict(compiled.TRACES)
    gd.run(square, progress=False)
    assert dict(compiled.TRACES) == before
    gd.run(relu, progress=False)
    assert compiled.TRACES["advance"] == before["advance"] + 1


def digests(numbers):
    """Return number -> digest of the results of some experiments, run one after another."""
    families = ("probe", "optimizer", "loss", "schedule", "model", "task")
    every = [(family, component) for family in families for component in cases.FAMILIES[family]]
    found = {}
    for number in numbers:
        ds, digest = gd.run(cases.within(*every[number]), progress=False), hashlib.sha256()
        for name in sorted(ds.data_vars):
            digest.update(name.encode() + ds[name].values.tobytes())
        found[str(number)] = digest.hexdigest()[:16]
    return found


def test_experiments_of_one_process_are_not_taken_for_one_another():
    numbers, found = np.arange(0, 34, 14), []
    for order in (numbers, np.random.default_rng(0).permutation(numbers)):
        quick.forget()  # as a fresh process knows nothing
        found.append(digests(order))
    assert found[0] == found[1]


MANY = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
from tests.spec.test_identity import digests
print(json.dumps(digests(json.loads(sys.argv[1]))))
"""


def together(numbers):
    """Return the digests of some experiments, run in a fresh process."""
    command, told = [sys.executable, "-c", MANY, str([int(n) for n in numbers])], {"capture_output": True, "text": True}
    return json.loads(subprocess.run(command, check=True, env=quick.environment(), **told).stdout)


@pytest.mark.slow
@pytest.mark.as_users
def test_forty_experiments_in_any_order_are_each_equal_to_itself_alone():
    numbers = np.arange(45)
    alone = {key: value for number in numbers for key, value in together([number]).items()}
    for seed in range(3):
        assert together(np.random.default_rng(seed).permutation(numbers)) == alone
