"""Time the layers whose form ferjax chose by measurement, each against its alternatives.

    python -m scripts.benchmarks.time_layers [BATCH] [--inference]

Medians of several rounds after compilation, taken in turns in one process. It wants a quiet machine.
"""

import argparse
import functools
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ferjax import runtime
from ferjax.networks.base import Context
from ferjax.networks.layers import conv, forms, pool
from ferjax.networks.layers.norm import BatchNorm
from scripts.benchmarks.turns import time_in_turns

ROUNDS = 7
# Side in pixels, input channels and output channels.
CONVOLUTIONS = (
    (48, 3, 64),
    (48, 64, 64),
    (24, 4, 64),
    (24, 64, 128),
    (24, 128, 128),
    (12, 128, 256),
    (12, 256, 256),
    (6, 256, 512),
    (6, 512, 512),
    (3, 512, 512),
)
NORMS = ((24, 64), (12, 128), (6, 256))
# A first layer, of fewer channels than this, has no use for its input's gradient.
LEAST_CHANNELS = 16

Function = Callable[..., Any]


def measure(functions: Mapping[str, Function], *inputs: Any) -> dict[str, float]:
    """Return the median milliseconds of each form, compiled, on the same inputs."""

    def run(compiled: Function) -> None:
        jax.block_until_ready(compiled(*inputs))

    seconds = time_in_turns({name: functools.partial(run, jax.jit(form)) for name, form in functions.items()}, ROUNDS)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def show(title: str, times_ms: Mapping[str, float]) -> None:
    """Print the times of all forms, and how many times the fastest's each is."""
    fastest = min(times_ms.values())
    cells = ", ".join(f"{name} {value:.1f} ms ({value / fastest:.2f}x)" for name, value in times_ms.items())
    print(f"{title:44} {cells}", flush=True)


def create_gradient(function: Function, *which: int) -> Function:
    """Make the pullback of `function` to the inputs `which`, with everything else left out of the program."""

    def pull(g: Array, *inputs: Array) -> list[Array]:
        return [part for i, part in enumerate(jax.vjp(function, *inputs)[1](g)) if i in which]

    return pull


def create_passes(function: Function, which: tuple[int, ...]) -> Function:
    """Make the value and the gradients by the inputs `which`, as a training step needs them."""

    def run(g: Array, *inputs: Array) -> tuple[Array, list[Array]]:
        y, pull = jax.vjp(function, *inputs)
        return y, [part for i, part in enumerate(pull(g)) if i in which]

    return run


def draw(*shape: int) -> Float[Array, "..."]:
    """Draw normal numbers."""
    return jax.random.normal(jax.random.key(0), shape)


def time_convolution(batch: int, side: int, channels: int, features: int) -> None:
    """Compare the forms of one 3x3 convolution, forward and with its gradients."""
    x, kernel = draw(batch, side, side, channels), draw(3, 3, channels, features)
    g = draw(batch, side, side, features)
    chosen = conv.choose_tile(x.shape, features)
    forward: dict[str, Function] = {"XLA": conv._conv_xla} | {
        name: functools.partial(conv._conv_cpu, m=m) for name, m in (("direct", 0), ("F2", 2), ("F3", 3), ("F4", 4))
    }
    shape = f"{side} px, {channels}->{features}, chosen {f'F{chosen}' if chosen else 'direct'}"
    show(f"conv forward {shape}", measure(forward, x, kernel))
    which = (0, 1) if channels >= LEAST_CHANNELS else (1,)
    passes: dict[str, Function] = {"XLA": conv._conv_xla, "ours": conv.conv3x3, "exact": _conv_exact}
    both = {name: create_passes(function, which) for name, function in passes.items()}
    show("  forward and gradients", measure(both, g, x, kernel))


def time_ready(batch: int, side: int, channels: int, features: int) -> None:
    """Compare the forms of one 3x3 convolution on kernels that are ready, as a network in use has them."""
    x, kernel = draw(batch, side, side, channels), np.asarray(draw(3, 3, channels, features))
    chosen = forms.choose(x.shape, features, exact=False, cpu=True)
    ready = {name: forms.prepare(kernel, name) for name in forms.FORMS}

    def take(name: str) -> Function:
        return lambda x, ready: forms.convolve(x, ready[name])

    show(f"{side} px, {channels}->{features}, chosen {chosen}", measure({name: take(name) for name in ready}, x, ready))


def _conv_exact(x: Array, kernel: Array) -> Array:
    return conv.conv3x3(x, kernel, True)


def time_norm(batch: int, side: int, channels: int) -> None:
    """Compare the gradient of batch norm with that of flax's."""
    x = draw(batch, side, side, channels)
    ours, theirs = BatchNorm(dtype=jnp.float32), nn.BatchNorm(momentum=0.9)
    training = Context(train=True)
    variables = ours.init(jax.random.key(0), x, training)

    def apply_ours(x: Array) -> Any:
        return ours.apply(variables, x, training, mutable=["batch_stats"])[0]

    def apply_theirs(x: Array) -> Any:
        return theirs.apply(variables, x, use_running_average=False, mutable=["batch_stats"])[0]

    forms = {"flax": create_gradient(apply_theirs, 0), "ours": create_gradient(apply_ours, 0)}
    show(f"batch norm gradient {side} px, {channels}", measure(forms, x, x))


def time_pool(batch: int) -> None:
    """Compare the gradient of the 2x2 max pool with that of flax's."""
    x, g = draw(batch, 48, 48, 64), draw(batch, 24, 24, 64)

    def reduce_window(x: Array) -> Any:
        return nn.max_pool(x, (2, 2), (2, 2))

    forms = {"reduce_window": create_gradient(reduce_window, 0), "ours": create_gradient(pool.max_pool2x2, 0)}
    show("max pool gradient 48 px, 64", measure(forms, g, x))


def main() -> None:
    """Print a line for each layer."""
    parser = argparse.ArgumentParser(prog="scripts/time_layers.sh", description=__doc__)
    parser.add_argument("batch", nargs="?", type=int, default=32)
    parser.add_argument("--inference", action="store_true", help="convolutions on ready kernels, and nothing else")
    chosen = parser.parse_args()
    batch = chosen.batch
    runtime.keep_memory()  # as a run does
    print(f"batch {batch}, {jax.devices()[0].device_kind}, jax {jax.__version__}")
    for side, channels, features in CONVOLUTIONS if chosen.inference else ():
        time_ready(batch, side, channels, features)
    if chosen.inference:
        return
    for side, channels, features in CONVOLUTIONS:
        time_convolution(batch, side, channels, features)
    for side, channels in NORMS:
        time_norm(batch, side, channels)
    time_pool(batch)


if __name__ == "__main__":
    main()
