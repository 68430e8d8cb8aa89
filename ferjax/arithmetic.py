"""jax's settings on which the numbers depend: ferjax's own within its work, whatever the environment says.

The same seed must be the same run everywhere, and importing ferjax must change nothing, so they are set only for the
time of a block. What cannot be set, such as XLA's flags, is recorded with every start of a run.
"""

import contextlib
import importlib.metadata
import logging
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import jax

from ferjax import machine

logger = logging.getLogger("ferjax")

# jax reads the environment variable of the same name, in capitals.
SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "jax_enable_x64": False,
        "jax_default_prng_impl": "threefry2x32",
        "jax_threefry_partitionable": True,
        "jax_threefry_gpu_kernel_lowering": False,
        "jax_random_seed_offset": 0,
        "jax_numpy_rank_promotion": "allow",
        "jax_disable_jit": False,
    }
)
_VARIABLES = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE", "JAX_DEFAULT_MATMUL_PRECISION")


@contextlib.contextmanager
def fixed(precision: str = "default") -> Iterator[None]:
    """Have jax compute by SETTINGS within the block; what was set otherwise is said, and set again behind it.

    `precision` is 'highest' for float32 products in full float32 on every device, or 'default' for what the device does
    fast, or what JAX_DEFAULT_MATMUL_PRECISION says.
    """
    before = {name: getattr(jax.config, name) for name in SETTINGS if hasattr(jax.config, name)}
    others = {name: value for name, value in before.items() if value != SETTINGS[name]}
    for name, value in others.items():
        logger.info("%s=%s is not followed: with it the same seed would be another run.", name.upper(), value)
        jax.config.update(name, SETTINGS[name])
    try:
        with jax.default_matmul_precision(precision) if precision != "default" else contextlib.nullcontext():
            yield
    finally:
        for name, value in others.items():
            jax.config.update(name, value)


def describe() -> dict[str, str | None]:
    """Return what else the last digits depend on: the devices, jax's version and what the environment asks of XLA.

    On a CPU it is the number of processors too, since XLA's threads share the sums of a product among them.
    """
    device = jax.devices()[0]
    return {
        "device": device.device_kind,
        "processors": str(machine.count_processors()) if device.platform == "cpu" else None,
        "jaxlib": importlib.metadata.version("jaxlib"),
        **{name: os.environ.get(name) for name in _VARIABLES},
    }
