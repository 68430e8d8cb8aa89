"""The training step is faster on CPU than the same step with XLA's own convolutions: a ratio, never a time.

On a GPU and a TPU the two are one program (test_lowering.py). That the step compiles once, and that the loop copies
nothing, is in test_train.py.
"""

import functools
import json
import os
import subprocess
import sys
import time

import jax
import jax.numpy as jnp

from ferjax.networks.layers import conv
from tests.tiny import STILL, create_first_state, create_parts, draw_batch

# A convolution each at 24, 12 and 6 px, to 128, 256 and 512 channels: enough work for a ratio of theirs.
DEPTHS, BATCH, ROUNDS = (0, 1, 1, 1, 0), 16, 9
# What plain convolutions would have is 1. Two Zen 3 cores have 1.6, idle or busy.
LEAST_RATIO = 1.2


def create_step():
    """A step, its first state and a batch."""
    changed = {"model.name": "vgg11", "model.width": 1.0, "model.dropout": 0.0, "optim.learning_rate": 1e-6}
    parts = create_parts(shorter={"depths": DEPTHS}, **{**STILL, **changed})
    return parts.train_step, create_first_state(parts, 0), draw_batch(BATCH)


def conv_plain(x, kernel, *_):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def measure():
    """Seconds a step of both, in turns; their losses; and the convolutions of the plain one."""
    step, state, batch = create_step()
    lowered, seconds, losses = {}, {}, {}
    for name, function in (("ferjax", conv.conv3x3), ("plain", conv_plain)):
        conv.conv3x3 = function
        # A function of its own each time, since jax remembers what it traced.
        lowered[name] = jax.jit(functools.partial(step), donate_argnums=0).lower(state, batch)
    steps = {name: each.compile() for name, each in lowered.items()}
    states = {name: jax.tree.map(jnp.copy, state) for name in steps}
    for number in range(ROUNDS + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            states[name], sums, _ = step(states[name], batch)
            losses.setdefault(name, []).append(float(sums.loss))
            if number:
                seconds.setdefault(name, []).append(time.perf_counter() - start)
    convolutions = lowered["plain"].as_text().count("stablehlo.convolution")
    return {"seconds": seconds, "losses": losses, "convolutions": convolutions}


def test_the_step_is_faster_than_with_plain_convolutions():
    # In a process of its own, which optimises as a user's does.
    changed = {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": ""}
    result = subprocess.run(
        [sys.executable, __file__], capture_output=True, text=True, timeout=120, check=False, env=os.environ | changed
    )
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert measured["convolutions"] == 3 * sum(DEPTHS) - 1  # what it is compared with is plain indeed
    for one, other in zip(measured["losses"]["ferjax"], measured["losses"]["plain"], strict=True):
        assert abs(one - other) < 1e-3 * other
    # The fastest of each: whatever else the machine does slows single steps down, and not the same ones of both.
    ferjax, plain = (min(measured["seconds"][name]) for name in ("ferjax", "plain"))
    assert plain / ferjax > LEAST_RATIO, measured["seconds"]


if __name__ == "__main__":
    print(json.dumps(measure()))
