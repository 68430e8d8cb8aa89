"""One step on one device, on several by XLA or by hand, and many steps in one dispatch: the same numbers."""

import dataclasses
import functools
import json
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from ferjax import optim
from ferjax.data import Rows
from ferjax.errors import UserError
from ferjax.networks.base import Context
from ferjax.networks.layers.dropout import Dropout
from ferjax.optim.groups import join
from ferjax.parallel import Dispatch, create_layout, place, plan_seeds
from ferjax.parallel.dispatch import make_dispatch
from ferjax.training import run
from ferjax.training.build import Task
from ferjax.training.loop import Loop
from tests.tiny import create_first_state, create_parts, read_metrics, shrink

# Nine rows are ten on two devices and sixteen on eight, of which three then have nothing but padding.
BATCH, EVAL_BATCH, ROWS, CLASSES = 9, 9, 31, 3
CHANGED = {
    "model.hidden": (8,),
    "model.dropout": 0.3,
    "model.pool": "both",
    "augment.shear_deg": 5.0,
    "augment.erase_prob": 0.5,
    "loss.label_smoothing": 0.1,
    # With so large an epsilon Adam's updates are in proportion to the gradients: they neither hide a factor in them, as
    # a sign would, nor make much of a rounding error.
    "optim.learning_rate": 0.5,
    "optim.eps": 1.0,
    "optim.plateau_patience_epochs": 0,
    "train.batch_size": BATCH,
    "train.log_every_steps": 3,
    "eval.batch_size": EVAL_BATCH,
}


@functools.cache
def draw_rows():
    random = np.random.default_rng(0)
    return Rows(
        images=random.integers(0, 256, (ROWS, 48, 48, 1), np.uint8),
        labels=random.integers(0, CLASSES, ROWS, np.int32),
        usage=np.zeros(ROWS, np.uint8),
        classes=tuple("abc"),
    )


@functools.cache
def create():
    """A thin network with augmentation, dropout and batch norm, and its first state as arrays on the host."""
    parts = create_parts(Task((48, 48, 1), (11, 10, 10)), **CHANGED)
    leaves, structure = jax.tree.flatten(create_first_state(parts))
    return parts, structure, jax.device_get(leaves)


class Run:
    """Everything of a run that is compiled for a layout, and its state."""

    def __init__(self, mode, devices, *, steps_at_most=1):
        parts, structure, leaves = create()
        self.layout = create_layout(mode, devices)
        self.split = place(draw_rows(), np.arange(ROWS), self.layout)
        self.compiled = run.compile_parts(parts, self.split, self.layout, Dispatch(steps_at_most))
        self.state = structure.unflatten(jax.device_put(leaves, self.layout.everywhere))
        self.order = self.compiled.order(self.state)

    def take(self, steps):
        """One dispatch; its figures on the host."""
        self.state, figures = self.compiled.train(self.state, self.order, 0, steps)
        return jax.device_get(figures)

    def evaluate(self):
        variables = {"params": self.state.params, "batch_stats": self.state.batch_stats}
        return jax.device_get(self.compiled.evaluate(variables, self.split, lambda: False))


def fetch(tree):
    """The arrays of a tree by their paths, on the host."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def assert_close(one, other, rtol=1e-4, atol=1e-6):
    assert one.keys() == other.keys()
    for name, leaf in one.items():
        np.testing.assert_allclose(leaf, other[name], rtol=rtol, atol=atol, err_msg=name)


def take_three(run):
    """What three steps leave: the gradient of the first, each one's figures, then the state and its evaluation."""
    figures = [run.take(1)]
    gradient = fetch(run.state.opt_state)
    figures += [run.take(1) for _ in range(2)]
    return {
        "gradient": gradient,
        "figures": fetch(figures),
        "state": fetch(run.state),
        "evaluation": fetch(run.evaluate()),
    }


@pytest.fixture(scope="module")
def alone():
    return take_three(Run("mesh", 1))


@pytest.mark.parametrize(
    ("mode", "devices"),
    [
        *(("mesh", 8), ("pmap", 8)),
        *(pytest.param(mode, 2, marks=pytest.mark.slow) for mode in ("mesh", "pmap")),
    ],
)
def test_many_devices_equal_one(alone, mode, devices):
    run = Run(mode, devices)
    assert run.layout.devices == devices
    many = take_three(run)
    # Whatever differs starts here; a gradient too large by the number of devices is far beyond the tolerance.
    for name in ("gradient", "figures", "state", "evaluation"):
        assert_close(many[name], alone[name])
    # Every device holds the same bits, so that they can't drift apart.
    for leaf in jax.tree.leaves(run.state):
        assert len({np.asarray(shard.data).tobytes() for shard in leaf.addressable_shards}) == 1


def test_the_steps_compared_do_something(alone):
    counts = [value for name, value in alone["figures"].items() if "count" in name]
    assert counts == [9.0, 18.0, 27.0]  # padding never counts
    assert max(np.abs(leaf).max() for leaf in alone["gradient"].values()) > 1e-3
    sums, probabilities = Run("mesh", 1).evaluate()
    # 31 rows are no multiple of the nine of a batch, nor of the sixteen on eight devices; each counts once.
    assert sums.count == len(probabilities) == ROWS
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert sums.correct == (probabilities.argmax(1) == draw_rows().labels).sum()


def find_collectives(text):
    kinds = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast"
    return re.findall(rf" ({kinds})(?:-start)?\(", text)


def test_devices_exchange_sums_only():
    run = Run("mesh", 4)
    leaves, structure = jax.tree.flatten(run.state)

    def step(leaves, order):
        # In lists, since what jax puts in the place of arrays here isn't what the classes' shape checks want.
        return jax.tree.leaves(run.compiled.train(structure.unflatten(leaves), order, 0, 1))

    found = find_collectives(jax.jit(step).lower(leaves, run.order).compile().as_text())
    assert set(found) == {"all-reduce"}
    # Two batch norms, each with its sums forward and backward; then all gradients and sums in one.
    assert len(found) <= 2 * 2 + 1


def test_many_steps_in_a_dispatch_equal_single_ones():
    # The window is emptied after every third step, within a dispatch too.
    single, many = (Run("mesh", 2, steps_at_most=at_most) for at_most in (1, 4))
    expected = [fetch(single.take(1)) for _ in range(6)]
    dispatched = [(fetch(many.take(steps)), steps) for steps in (4, 2)]
    figures = [{name: leaf[i : i + 1] for name, leaf in told.items()} for told, n in dispatched for i in range(n)]
    assert [one[".window.count"] for one in expected] == [9.0, 18.0, 27.0] * 2
    for one, other in zip(figures, expected, strict=True):
        assert_close(one, other)
    assert_close(fetch(many.state), fetch(single.state))
    assert int(many.state.step) == 6
    assert many.compiled.count_compilations() == 1


@pytest.fixture
def events(monkeypatch):
    """What a run does from here on: the steps of each dispatch, and 'fetch' for its figures."""
    seen, make_program, fetch_figures = [], run.compile_functions, Loop._fetch

    def create_and_watch(*arguments, **named):
        compiled = make_program(*arguments, **named)

        def dispatch(state, order, phase, steps):
            seen.append(steps)
            return compiled.train(state, order, phase, steps)

        return dataclasses.replace(compiled, train=dispatch)

    def fetch_and_tell(self):
        seen.append("fetch")
        fetch_figures(self)

    monkeypatch.setattr(run, "compile_functions", create_and_watch)
    monkeypatch.setattr(Loop, "_fetch", fetch_and_tell)
    return seen


def test_a_run_logs_the_same_lines_however_many_steps_it_dispatches(tmp_path, events):
    # Five steps an epoch, a line at every second one.
    changed = {"train.epochs": 2, "optim.eps": 1.0, "optim.learning_rate": 0.5, "augment.rotation_deg": 0.0}
    changed |= {"augment.shift_fraction": 0.0, "augment.zoom_fraction": 0.0}
    run.run(shrink(**changed, **{"parallel.devices": 1}), tmp_path / "single")
    (begun,) = json.loads((tmp_path / "single" / "versions.json").read_text())
    assert begun["numbers_depend_on"]["devices of a batch"] == "1"
    # The step compiles before the second; then each one's figures are fetched while the next one computes.
    assert events[:7] == [1, "fetch", 1, 1, "fetch", 1, "fetch"]
    events.clear()
    # Collectives of virtual devices deadlock where too many wait, so here none begins before the last one ended.
    run.run(shrink(**changed, **{"parallel.steps_per_dispatch": 3, "parallel.devices": 2}), tmp_path / "many")
    (begun,) = json.loads((tmp_path / "many" / "versions.json").read_text())
    assert begun["numbers_depend_on"]["devices of a batch"] == "2"
    assert events == [3, "fetch", 2, "fetch"] * 2
    many, single = (read_metrics(tmp_path / folder) for folder in ("many", "single"))
    assert [line["step"] for line in many] == [2, 4, 5, 5, 6, 8, 10, 10, 10]
    assert len(many) == len(single)
    for one, other in zip(many, single, strict=True):
        assert (one.pop("split"), one.keys()) == (other.pop("split"), other.keys())
        assert one == pytest.approx(other, rel=1e-3)


def test_more_devices_than_there_are_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"parallel.devices=99, but there are 8 here \(cpu\): choose 8 or less"):
        run.run(shrink(**{"parallel.devices": 99}), tmp_path)


@pytest.mark.parametrize(
    ("seeds", "how", "devices", "turns"),
    [
        (range(4), "auto", 2, [[0, 1], [2, 3]]),  # on CPU
        (range(5), "auto", 2, [[0], [1], [2], [3], [4]]),  # so that no device is without a seed in the last turn
        (range(5), "in_turn", 2, [[0, 1], [2, 3], [4]]),
        (range(5), "in_turn", 1, [[0], [1], [2], [3], [4]]),
        (range(5), "together", 2, [[0, 1, 2, 3, 4]]),
        (range(2), "in_turn", 8, [[0, 1]]),
    ],
)
def test_seeds_are_spread_over_devices_first(seeds, how, devices, turns):
    assert plan_seeds(seeds, how, devices) == turns


@pytest.mark.parametrize(("seeds", "devices", "used", "slots"), [(2, 8, 2, 2), (5, 2, 2, 6), (3, 1, 1, 3)])
def test_every_device_has_as_many_seeds(seeds, devices, used, slots):
    layout = create_layout("mesh", devices, seeds)
    assert (layout.mode, layout.devices, layout.slots) == ("seeds", used, slots)


def test_dropout_on_one_device_is_flax_s_and_the_same_on_many():
    x, key = jnp.asarray(np.random.default_rng(1).normal(size=(16, 5)), jnp.float32), jax.random.key(7)

    def drop(x, axis_name=None):
        return Dropout(0.4).apply({}, x, Context(train=True, axis_name=axis_name), rngs={"dropout": key})

    expected = nn.Dropout(0.4, deterministic=False).apply({}, x, rngs={"dropout": key})
    np.testing.assert_array_equal(drop(x), expected)
    mesh, rows = create_layout("pmap", 8).mesh, PartitionSpec("shards")
    shards = jax.shard_map(
        functools.partial(drop, axis_name="shards"), mesh=mesh, in_specs=rows, out_specs=rows, check_vma=False
    )
    np.testing.assert_array_equal(jax.jit(shards)(x), expected)
    np.testing.assert_array_equal(Dropout(0.4).apply({}, x, Context()), x)


@pytest.mark.parametrize("mode", ["mesh", "pmap"])
def test_devices_of_a_cpu_divide_muon_s_products_and_get_the_directions_of_one(mode):
    shapes = {
        "conv/kernel": (3, 3, 32, 128),
        "odd/kernel": (200, 129),
        "small/kernel": (8, 8),
        "wide/kernel": (128, 300),
    }
    rng = np.random.default_rng(0)
    gradients = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    optimizer = optim.create(name="muon", learning_rate=1.0, epochs=1, steps_per_epoch=1.0)
    state = optimizer.init(join(gradients))
    layout = create_layout(mode, 4)
    find = functools.partial(optimizer.find_updates, shares=layout.shares)
    divided = jax.jit(layout.map_shards(find) if layout.by_hand else find).lower(gradients, state, gradients).compile()
    expected, _ = jax.jit(optimizer.find_updates)(gradients, state, gradients)
    for name, direction in divided(gradients, state, gradients)[0].items():
        np.testing.assert_allclose(direction, expected[name], atol=1e-5)
    products = re.findall(r"f32\[(\d+),(\d+)\]\S* (?:dot|fusion|custom-call)\(", divided.as_text())
    assert ("32", "128") in products  # a fourth of the rows of the 128x128 matrices
    assert ("129", "129") in products


def test_devices_divide_an_optimizer_s_work_only_where_they_have_the_same_state_and_are_near(monkeypatch):
    assert create_layout("mesh", 1).shares is None
    assert create_layout("mesh", 2, seeds=2).shares is None
    near = create_layout("mesh", 2)
    assert near.shares is not None
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert near.shares is None


@pytest.mark.parametrize("devices", [1, 2])
def test_a_dispatch_tells_its_step_how_the_devices_share_work(devices):
    _, structure, leaves = create()
    layout = create_layout("mesh", devices)
    split, order = place(draw_rows(), np.arange(ROWS), layout), jnp.arange(2 * ROWS, dtype=jnp.int32)
    state = structure.unflatten(jax.device_put(leaves))

    def step(state, batch, *, shares, **_):
        raise InterruptedError("no shares" if shares is None else f"shared by {shares.devices}")

    dispatch = make_dispatch(step, layout, num_classes=CLASSES, batch_size=BATCH, log_every_steps=1, at_most=1)
    with pytest.raises(InterruptedError, match="no shares" if devices == 1 else "shared by 2"):
        jax.eval_shape(functools.partial(dispatch, 0), state, order, split, jnp.int32(1))
