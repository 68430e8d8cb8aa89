#!/usr/bin/env bash
# Times several seeds on one device: all of them vmapped in one step against a step each, in turns in one process; medians
# after compilation. Usage: scripts/time_seeds.sh [SEEDS]; wants a quiet machine. `parallel.seeds` chooses by this.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/install.sh

.venv/bin/python - "${1:-3}" <<'PYTHON'
import logging
import pathlib
import statistics
import sys
import tempfile
import time

from ferjax import runtime

runtime.keep_memory()  # as a run does, before jax starts

import jax

from configs import default
from ferjax.training import build as assembly
from ferjax import data
from ferjax.data.datasets.synthetic import draw
from ferjax.interrupt import Interrupt
from ferjax.parallel import create_layout

ROUNDS = 5
seeds = int(sys.argv[1])
logging.getLogger("ferjax").setLevel(logging.ERROR)
rows = draw(280)
splits = data.split(rows)


class Loop:
    """A step on `count` seeds of one device, taken again and again."""

    def __init__(self, config, count):
        parts = assembly.create_parts(config, rows, splits, create_layout("mesh", 1, count if count > 1 else 0))
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        trainer = assembly.create_trainer(parts, {n: folder / str(n) for n in range(count)}, Interrupt())
        self.program, self.state = parts.program, trainer.state
        self.order = self.program.order(self.state)

    def take_step(self):
        start = time.perf_counter()
        self.state, figures = self.program.train(self.state, self.order, 0, 1)
        jax.block_until_ready(figures)
        return time.perf_counter() - start


print(f"{seeds} seeds, {jax.devices()[0].device_kind}, jax {jax.__version__}")
for name, width, batch in [("compact", 0.1, 32), ("compact", 0.25, 32), ("compact", 1.0, 32), ("vgg19", 0.25, 32), ("vgg19", 1.0, 32)]:
    config = default.get_config()
    config.update_from_flattened_dict({"model.name": name, "model.width": width, "train.batch_size": batch})
    together, alone = Loop(config, seeds), Loop(config, 1)
    times = {together: [], alone: []}
    for turn in range(ROUNDS + 1):
        for loop, repeats in ((together, 1), (alone, seeds)):
            taken = sum(loop.take_step() for _ in range(repeats))
            if turn:  # the first turn compiles
                times[loop].append(1e3 * taken)
    both = [statistics.median(values) for values in times.values()]
    print(f"{name} at width {width}, batch {batch}: together {both[0]:.0f} ms, in turn {both[1]:.0f} ms, "
          f"together is {both[1] / both[0]:.2f} times as fast", flush=True)
PYTHON
