#!/usr/bin/env bash
# Times the layers whose form ferjax chose by measurement, each against its alternatives, interleaved in one process:
# medians of several rounds after compilation. Usage: scripts/time_layers.sh [BATCH]; wants a quiet machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/install.sh

.venv/bin/python - "${1:-32}" <<'PYTHON'
import functools
import statistics
import sys
import time

import flax.linen as nn
from ferjax import runtime

runtime.keep_memory()  # as a run does, before jax starts

import jax
import jax.numpy as jnp

from ferjax.networks.base import Context
from ferjax.networks.layers import conv, pool
from ferjax.networks.layers.norm import BatchNorm

ROUNDS = 7
batch = int(sys.argv[1])


def measure(forms, *inputs):
    """Median milliseconds of each form; the forms take turns, so that a busy moment meets them all."""
    compiled = {name: jax.jit(form) for name, form in forms.items()}
    times = {name: [] for name in forms}
    for turn in range(ROUNDS + 1):
        for name, form in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(form(*inputs))
            if turn:  # the first turn compiles
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def say(title, times):
    fastest = min(times.values())
    cells = ", ".join(f"{name} {value:.1f} ms ({value / fastest:.2f}x)" for name, value in times.items())
    print(f"{title:44} {cells}", flush=True)


def gradient(function, *which):
    """The pullback of `function` to the inputs `which`, with everything else left out of the program."""
    def pull(g, *inputs):
        return [part for i, part in enumerate(jax.vjp(function, *inputs)[1](g)) if i in which]
    return pull


def train(function, which):
    """The value and the gradients by the inputs `which`, as a training step needs them."""
    def run(g, *inputs):
        y, pull = jax.vjp(function, *inputs)
        return y, [part for i, part in enumerate(pull(g)) if i in which]
    return run


key = jax.random.key(0)
print(f"batch {batch}, {jax.devices()[0].device_kind}, jax {jax.__version__}")
for side, channels, features in [(48, 3, 64), (48, 64, 64), (24, 4, 64), (24, 64, 128), (24, 128, 128), (12, 128, 256),
                                 (12, 256, 256), (6, 256, 512), (6, 512, 512), (3, 512, 512)]:
    x = jax.random.normal(key, (batch, side, side, channels))
    kernel = jax.random.normal(key, (3, 3, channels, features))
    g = jax.random.normal(key, (batch, side, side, features))
    chosen = conv.choose_tile(x.shape, features)
    forward = {"XLA": conv._conv_xla} | {
        name: functools.partial(conv._conv_cpu, m=m) for name, m in (("direct", 0), ("F2", 2), ("F3", 3), ("F4", 4))}
    shape = f"{side} px, {channels}->{features}, chosen {f'F{chosen}' if chosen else 'direct'}"
    say(f"conv forward {shape}", measure(forward, x, kernel))
    # A first layer, of few channels, has no use for its input's gradient.
    which = (0, 1) if channels >= 16 else (1,)
    passes = {"XLA": conv._conv_xla, "ours": conv.conv3x3, "exact": lambda x, kernel: conv.conv3x3(x, kernel, True)}
    say("  forward and gradients", measure(
        {name: train(function, which) for name, function in passes.items()}, g, x, kernel))

for side, channels in [(24, 64), (12, 128), (6, 256)]:
    x = jax.random.normal(key, (batch, side, side, channels))
    ours, theirs = BatchNorm(dtype=jnp.float32), nn.BatchNorm(momentum=0.9)
    variables = ours.init(key, x, Context(train=True))
    say(f"batch norm gradient {side} px, {channels}", measure({
        "flax": gradient(lambda x: theirs.apply(variables, x, use_running_average=False, mutable=["batch_stats"])[0], 0),
        "ours": gradient(lambda x: ours.apply(variables, x, Context(train=True), mutable=["batch_stats"])[0], 0)}, x, x))

x = jax.random.normal(key, (batch, 48, 48, 64))
g = jax.random.normal(key, (batch, 24, 24, 64))
say("max pool gradient 48 px, 64", measure({
    "reduce_window": gradient(lambda x: nn.max_pool(x, (2, 2), (2, 2)), 0), "ours": gradient(pool.max_pool2x2, 0)}, g, x))
PYTHON
