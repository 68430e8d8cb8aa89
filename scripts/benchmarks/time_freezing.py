"""Time a training step of VGG19 with its first 0 to 5 blocks frozen, and count Adam's memory.

    python -m scripts.benchmarks.time_freezing [BATCH [NETWORK]]

Medians of several steps after compilation, taken in turns in one process. It wants a quiet machine.
"""

import argparse
import statistics

import jax
import jax.numpy as jnp
import numpy as np

from ferjax import runtime
from ferjax.batch import Batch
from ferjax.config import load_config
from ferjax.training.build import Task, build
from scripts.benchmarks.turns import time_in_turns

ROUNDS = 5
BLOCKS = 5
SIDE_PX, CLASSES = 48, 7


class Training:
    """A training step that is taken again and again, with the first `blocks` blocks frozen."""

    def __init__(self, network: str, blocks: int, batch: Batch) -> None:
        groups = ((f"block[0-{blocks}]_.*", "frozen"), (".*", 1.0))
        config = load_config("default", {"model.name": network, "optim.groups": groups, "input.scaling": "minmax"})
        # The data set itself is no part of the step.
        parts = build(config, Task((SIDE_PX, SIDE_PX, 1), (1000,) * CLASSES))
        seed = jnp.uint32(0)
        self._state = parts.create_state(seed, jax.jit(parts.create_variables)(seed))
        self._step = jax.jit(parts.train_step, donate_argnums=0)
        self._batch = batch

    def take_step(self) -> None:
        """Take one step and wait for it."""
        self._state = jax.block_until_ready(self._step(self._state, self._batch)[0])

    @property
    def moments_mb(self) -> float:
        """What Adam keeps of the parameters that train."""
        return sum(int(leaf.nbytes) for leaf in jax.tree.leaves(self._state.opt_state)) / 1e6


def draw_batch(size: int) -> Batch:
    """Draw random images and labels."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, size)
    return Batch(
        images=jnp.asarray(random.integers(0, 256, (size, SIDE_PX, SIDE_PX, 1)), jnp.uint8),
        labels=jnp.asarray(labels, jnp.int32),
        targets=jax.nn.one_hot(labels, CLASSES, dtype=jnp.float32),
        mask=jnp.ones(size, bool),
    )


def main() -> None:
    """Print a table with a row for each number of frozen blocks."""
    parser = argparse.ArgumentParser(prog="scripts/time_freezing.sh", description=__doc__)
    parser.add_argument("batch", nargs="?", type=int, default=32)
    parser.add_argument("network", nargs="?", default="vgg19")
    options = parser.parse_args()
    runtime.keep_memory()  # as a run does
    batch = draw_batch(options.batch)
    trainings = {str(blocks): Training(options.network, blocks, batch) for blocks in range(BLOCKS + 1)}
    seconds = time_in_turns({blocks: training.take_step for blocks, training in trainings.items()}, ROUNDS)
    device = f"{jax.devices()[0].device_kind}, jax {jax.__version__}"
    print(f"{options.network}, batch {options.batch}, {device}; medians of {ROUNDS} steps")
    print("| frozen blocks | ms a step | of all trained | Adam's moments, MB |\n|---:|---:|---:|---:|")
    whole = statistics.median(seconds["0"])
    for blocks, training in trainings.items():
        median = statistics.median(seconds[blocks])
        print(f"| {blocks} | {1e3 * median:.0f} | {median / whole:.2f} | {training.moments_mb:.1f} |")


if __name__ == "__main__":
    main()
