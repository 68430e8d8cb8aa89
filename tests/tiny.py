"""Small runs and their parts, which tests of many rooms make."""

import json
import os
import signal
from types import SimpleNamespace
from unittest.mock import MagicMock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from ferjax import augment, networks
from ferjax.batch import Batch
from ferjax.config import resolve
from ferjax.data import split
from ferjax.data.datasets.synthetic import draw
from ferjax.interrupt import Interrupt
from ferjax.parallel import create_layout, place
from ferjax.training import run
from ferjax.training.build import Task, build, describe_task
from ferjax.training.checkpoint import read_leaves
from ferjax.training.hooks import base
from ferjax.training.loop import Loop
from ferjax.training.places import list_places
from ferjax.workdir import Workdir

# What "compact" of SMALL's width has in the tests (conftest.py): a convolution at 24 pixels and one at 12, of its seven
# at 24, 12, 6 and 3. What a run does is the same, and compiling it takes most of the tests' time. A test that wants all
# seven, or the same network in another process, takes another width.
STAGES = ((64,), (128,))
SMALL = {
    "data.synthetic_rows": 140,
    "model.width": 0.05,
    "model.dropout": 0.2,
    "train.batch_size": 24,
    "train.epochs": 3,
    "eval.batch_size": 8,
    "train.log_every_steps": 2,
    "parallel.devices": 1,
    "optim.schedule": "constant",
    # Any change counts as none, so that the plateau cuts the rate at every epoch's end but the first.
    "optim.plateau_patience_epochs": 1,
    "optim.plateau_min_delta": 10.0,
}
# Every augmentation off: 0 wherever that is a legal number, which it is not for the side of a square.
STILL = {
    f"augment.{name}": type(key.default)(0)
    for name, key in augment.KEYS.items()
    if isinstance(key.default, int | float) and type(key.default)(0) in key.legal
}
FACES = Task((48, 48, 1), (16,) * 7)


def create_idle_loop():
    """Make what a hook takes for a loop, and whose parts take every call."""
    # From Python 3.12 on, what a protocol names must be there before it is asked for, as in a mock nothing is.
    names = {*base.Loop.__annotations__, *(name for name in vars(base.Loop) if not name.startswith("_"))}
    return SimpleNamespace(**{name: MagicMock() for name in names})


def shrink(**changed):
    """configs/quickstart.py at a size for tests; keys as 'group.key'."""
    config = quickstart.get_config()
    config.update_from_flattened_dict({**SMALL, **changed})
    return resolve(config)


def create_parts(task=FACES, *, shorter=None, **changed):
    """The parts of a small run; `shorter` are fields of the network that make it smaller still, such as its stages."""
    with pytest.MonkeyPatch.context() as patch:
        if shorter:
            create = networks.create
            patch.setattr(networks, "create", lambda **named: create(**named).clone(**shorter))
        return build(shrink(**changed), task)


def create_first_state(parts, seed=3):
    """The state before the first step, compiled as a run does it."""
    number = jnp.uint32(seed)
    return jax.jit(lambda: parts.create_state(number, parts.create_variables(number)))()


def draw_batch(size, classes=7, seed=0):
    """Random gray images with random labels."""
    random = np.random.default_rng(seed)
    images, labels = random.integers(0, 256, (size, 48, 48, 1)), random.integers(0, classes, size)
    return Batch(
        images=jnp.asarray(images, jnp.uint8),
        labels=jnp.asarray(labels, jnp.int32),
        targets=jnp.asarray(np.eye(classes)[labels], jnp.float32),
        mask=jnp.ones(size, bool),
    )


def create_loop(config, workdir, rows=None, mode="official"):
    """The loop of a small run on one device, as `run` makes it."""
    rows = draw(140) if rows is None else rows
    splits = split(rows, mode)
    layout = create_layout("mesh", 1)
    parts = build(config, describe_task(rows, splits))
    train_split, validation = (place(rows, splits[name], layout) for name in ("train", "validation"))
    compiled = run.compile_parts(parts, train_split, layout)
    return run.create_loop(parts, compiled, validation, {0: Workdir(workdir)}, Interrupt())


def read_metrics(workdir, split=None):
    """The lines of metrics.jsonl without what depends on the machine's speed."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in line.items() if key not in ("images_per_s", "model_flop_utilisation", "seconds")}
        for line in lines
        if split in (None, line["split"])
    ]


def read_checkpoint(workdir):
    """Every array of the newest checkpoint by its name."""
    folder = Workdir(workdir).checkpoints
    newest = folder / list_places(folder)[-1].name
    return {name: leaf for part in ("state", "best") for name, leaf in read_leaves(newest, part).items()}


def read_bits(workdir):
    """The same as bytes, which are equal only if every bit is."""
    return {name: np.asarray(leaf).tobytes() for name, leaf in read_checkpoint(workdir).items()}


def interrupt_after(monkeypatch, step, signum=signal.SIGTERM):
    """Send this process a real signal once the loop has taken `step` steps."""
    take = Loop._take_steps

    def take_then_signal(self, order):
        take(self, order)
        if self.step == step:
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(Loop, "_take_steps", take_then_signal)
