#!/usr/bin/env bash
# Times a training step of VGG19 with its first 0..5 blocks frozen, and counts Adam's memory: medians of several rounds,
# taken in turns in one process, after compilation. Usage: scripts/time_freezing.sh [BATCH [MODEL]]; wants a quiet machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/install.sh

.venv/bin/python - "${1:-32}" "${2:-vgg19}" <<'PYTHON'
import functools
import statistics
import sys
import time

from ferjax import runtime

runtime.keep_memory()  # as a run does, before jax starts

import jax
import jax.numpy as jnp
import numpy as np

from configs import default
from ferjax import augment, losses, networks, optim, preprocess
from ferjax.batch import Batch
from ferjax.state import create_state
from ferjax.step import make_train_step

ROUNDS = 5
batch_size, name = int(sys.argv[1]), sys.argv[2]
config = default.get_config()
config.model.name = name
model_config = {key: value for key, value in config.model.items() if key != "pretrained"}
model = networks.create(num_classes=7, **model_config)
loss_fn = losses.create(**config.loss, counts=[1] * 7)
prepare = functools.partial(preprocess.preprocess, scaling="minmax", channels=model.in_channels)
variables = jax.jit(functools.partial(model.init, train=False))(
    jax.random.key(0), jnp.zeros((1, 48, 48, model.in_channels)))
random = np.random.default_rng(0)
batch = Batch(
    images=jnp.asarray(random.integers(0, 256, (batch_size, 48, 48, 1)), jnp.uint8),
    labels=jnp.asarray(random.integers(0, 7, batch_size), jnp.int32),
    targets=jnp.asarray(random.dirichlet(np.ones(7), batch_size), jnp.float32),
    mask=jnp.ones(batch_size, bool),
)

runs = {}
for k in range(6):
    config.optim.groups = ((f"block[0-{k}]_.*", "frozen"), (".*", 1.0))
    optimizer = optim.create(**config.optim, epochs=1, steps_per_epoch=1)
    step = make_train_step(model, optimizer, loss_fn, augment.create(**config.augment), prepare)
    state = create_state(jnp.uint32(0), jax.tree.map(jnp.copy, variables), optimizer, num_classes=7, best_metric="accuracy")
    runs[k] = [jax.jit(step, donate_argnums=0), state, []]
for turn in range(ROUNDS + 1):
    for run in runs.values():
        start = time.perf_counter()
        run[1] = jax.block_until_ready(run[0](run[1], batch)[0])
        if turn:  # the first turn compiles
            run[2].append(time.perf_counter() - start)

print(f"{name}, batch {batch_size}, {jax.devices()[0].device_kind}, jax {jax.__version__}; medians of {ROUNDS} steps")
print("| frozen blocks | ms a step | of all trained | Adam's moments, MB |\n|---:|---:|---:|---:|")
whole = statistics.median(runs[0][2])
for k, (_, state, seconds) in runs.items():
    moments = sum(leaf.nbytes for leaf in jax.tree.leaves(state.opt_state)) / 1e6
    median = statistics.median(seconds)
    print(f"| {k} | {1e3 * median:.0f} | {median / whole:.2f} | {moments:.1f} |")
PYTHON
