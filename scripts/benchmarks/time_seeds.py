"""Time several seeds on one device: all of them in one vmapped step, against a step each.

    python -m scripts.benchmarks.time_seeds [SEEDS]

Medians after compilation, taken in turns in one process. It wants a quiet machine. `parallel.seeds` chooses by this.
"""

import argparse
import logging
import statistics

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ferjax import data, runtime
from ferjax.config import load_config
from ferjax.data.datasets.synthetic import draw
from ferjax.parallel import create_layout, initialize, place
from ferjax.training.build import build, describe_task
from ferjax.training.run import compile_parts
from scripts.benchmarks.turns import time_in_turns

ROUNDS = 5
ROWS = 280
# Network, width and batch size.
CASES = (("compact", 0.1, 32), ("compact", 0.25, 32), ("compact", 1.0, 32), ("vgg19", 0.25, 32), ("vgg19", 1.0, 32))


class Training:
    """A step of `seeds` seeds on one device, which is taken again and again."""

    def __init__(self, config: ConfigDict, seeds: int) -> None:
        rows = draw(ROWS)
        splits = data.split(rows)
        layout = create_layout("mesh", 1, seeds if seeds > 1 else 0)
        parts = build(config, describe_task(rows, splits))
        self._program = compile_parts(parts, place(rows, splits["train"], layout), layout)
        states = []
        for number in range(seeds):
            seed = jnp.asarray(number, jnp.uint32)
            variables = initialize(parts.create_variables, layout, seed)
            states.append(initialize(parts.create_state, layout, seed, variables))
        self._state = self._program.stack(states)
        self._order = self._program.order(self._state)

    def take_step(self) -> None:
        """Take one step and wait for it."""
        self._state, figures = self._program.train(self._state, self._order, 0, 1)
        jax.block_until_ready(figures)


def compare(config: ConfigDict, seeds: int) -> tuple[float, float]:
    """Return the milliseconds of a step of all seeds together, and of a step each in turn."""
    together, alone = Training(config, seeds), Training(config, 1)

    def take_in_turn() -> None:
        for _ in range(seeds):
            alone.take_step()

    seconds = time_in_turns({"together": together.take_step, "in turn": take_in_turn}, ROUNDS)
    return 1e3 * statistics.median(seconds["together"]), 1e3 * statistics.median(seconds["in turn"])


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(prog="scripts/time_seeds.sh", description=__doc__)
    parser.add_argument("seeds", nargs="?", type=int, default=3)
    seeds = parser.parse_args().seeds
    runtime.keep_memory()  # as a run does
    logging.getLogger("ferjax").setLevel(logging.ERROR)
    print(f"{seeds} seeds, {jax.devices()[0].device_kind}, jax {jax.__version__}")
    for name, width, batch in CASES:
        config = load_config("default", {"model.name": name, "model.width": width, "train.batch_size": batch})
        together_ms, in_turn_ms = compare(config, seeds)
        print(
            f"{name} at width {width}, batch {batch}: together {together_ms:.0f} ms, in turn {in_turn_ms:.0f} ms, "
            f"together is {in_turn_ms / together_ms:.2f} times as fast",
            flush=True,
        )


if __name__ == "__main__":
    main()
