"""An optimizer is given the gradient as a function: where it may look, how often, and what it keeps of that."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import grokdyn as gd
from grokdyn.engine.plan import cohorts as plan
from grokdyn.spec import base
from tests import cases
from tests.contract import arrays
from tests.optim.landscape import START, descended, followed, given, slope, tree

pytestmark = pytest.mark.usefixtures("x64")
RATE, RHO = 0.1, 0.3
SGD = gd.SGD(learning_rate=RATE)


def uphill(gradient, w):
    g = gradient(w)
    return gradient(w + RHO * g / np.linalg.norm(g))


def test_sam_in_sam_climbs_along_what_sam_sees():
    def seen(w):
        return uphill(slope, w)

    sam = gd.SAM(inner=gd.PerpGrad(inner=gd.SAM(inner=SGD, rho=RHO), scope="global", rescale=False), rho=RHO)
    assert sam.gradients == 4

    def perpendicular(w, _):
        g = uphill(seen, w)
        return g - (w @ g) / (w @ w) * w

    np.testing.assert_allclose(followed(sam), descended(RATE, perpendicular), rtol=1e-12)


def test_sam_may_begin_at_a_step():
    switch = gd.SwitchOptimizer(first=SGD, then=gd.SAM(inner=SGD, rho=RHO), at=3)
    exact = descended(RATE, lambda w, t: slope(w) if t < 3 else uphill(slope, w))
    np.testing.assert_allclose(followed(switch), exact, rtol=1e-12)
    assert switch.gradients == 2


class Anchored(gd.Optimizer):
    """Step along the gradient at the middle of the parameters and the first ones."""

    def init(self, params):
        return {"first": params, "seen": jnp.zeros((), jnp.int32)}

    def update(self, gradient, params, memory):
        middle = jax.tree.map(lambda a, b: (a + b) / 2, params, memory["first"])
        updates = jax.tree.map(lambda g: -jnp.asarray(self.learning_rate, g.dtype) * g, gradient(middle))
        return updates, memory | {"seen": memory["seen"] + jnp.int32(1)}


def test_an_optimizer_of_ones_own_may_write_the_whole_update():
    exact = descended(RATE, lambda w, t: slope((w + START) / 2))
    np.testing.assert_allclose(followed(Anchored(learning_rate=RATE)), exact, rtol=1e-12)
    found = gd.run(cases.tiny(optimizer=Anchored(learning_rate=RATE), probes=("loss", "update_norm")), progress=False)
    assert found.train_loss[-1] < found.train_loss[0]


@pytest.mark.parametrize("optimizer", cases.cases("optimizer"))
def test_an_update_takes_as_many_gradients_as_it_says(optimizer):
    asked = []
    optimizer, params = arrays(optimizer), jax.tree.map(jnp.asarray, tree(START))
    if isinstance(optimizer, gd.Muon):
        optimizer = optimizer.replace(leave=())

    def once(params):
        return optimizer.update(given(jnp.int32(0), asked), params, optimizer.begin(params, 2, 3))

    jax.eval_shape(once, params)
    assert len(asked) == optimizer.gradients


class Climber(gd.Optimizer):
    """What an earlier version asked for."""

    @property
    def ascends(self):
        return True

    def direction(self):
        return optax.identity()


def test_what_an_earlier_version_asked_is_told_with_what_takes_its_place():
    with pytest.raises(gd.SpecError, match=r"Climber.ascends; allowed: estimate\(self, gradient, params, memory\)"):
        plan.cohorts([base.check(cases.tiny(optimizer=Climber()))], None, jax.local_devices()[:1])
