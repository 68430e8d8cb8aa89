"""How much arithmetic a network asks for, and how much a device could do: for model FLOP utilisation.

Utilisation is model FLOPs per second over the devices' peak (Chowdhery et al. 2022, arXiv 2204.02311, appendix B). The
model's FLOPs are those of its convolutions and dense layers done directly, two a multiply-add, so that a method which
saves arithmetic (Winograd) shows as higher utilisation, and may even pass 1.
"""

import re
import statistics
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ferjax.data.datasets.fer2013 import SIDE_PX

# By device_kind: dense TFLOP/s, without sparsity, of one device for float32 data at jax's default precision and for
# bfloat16, from the vendor's datasheet. XLA computes float32 products in TF32 from Ampere on, and on TPUs from factors
# rounded to bfloat16. GPUs before Ampere have no bfloat16 units. Whole names only: a laptop's or a part of a GPU (MIG)
# is another device. TPU v2 and v3 show each chip as two devices.
_DATASHEETS: tuple[tuple[str, float, float | None], ...] = (
    (r"NVIDIA B200", 1100.0, 2250.0),
    (r"NVIDIA H[12]00 NVL", 417.5, 835.0),
    (r"NVIDIA H100 PCIe", 378.0, 756.0),
    (r"NVIDIA H100 80GB HBM3|NVIDIA H200", 494.7, 989.4),
    (r"(NVIDIA )?A100-(SXM4|PCIE)-\d+GB|NVIDIA A100 80GB PCIe", 156.0, 312.0),
    (r"NVIDIA L40S", 183.0, 362.0),
    (r"NVIDIA L4", 60.0, 121.0),
    (r"NVIDIA A10", 62.5, 125.0),
    (r"NVIDIA A10G", 35.0, 70.0),
    (r"NVIDIA GeForce RTX 4090", 82.6, 165.2),
    (r"NVIDIA GeForce RTX 3090", 35.6, 71.0),
    (r"Tesla V100-SXM\d-\d+GB", 15.7, None),
    (r"Tesla V100-PCIE-\d+GB", 14.0, None),
    (r"Tesla T4", 8.1, None),
    (r"TPU v6 lite|TPU v6e", 918.0, 918.0),
    (r"TPU v5|TPU v5p", 459.0, 459.0),
    (r"TPU v5 lite|TPU v5e", 197.0, 197.0),
    (r"TPU v4", 275.0, 275.0),
    (r"TPU v3", 61.5, 61.5),
    (r"TPU v2", 22.5, 22.5),
)
_PRODUCT_SIDE = 2048


class Peak(NamedTuple):
    """The most that one device could do, or None, and where the figure is from, or why there is none."""

    flops_per_s: float | None
    source: str


def count_layers(model: Any, side_px: int = SIDE_PX) -> dict[str, int]:
    """FLOPs of one image's forward pass in each convolution and dense layer, by the layer's path, in order.

    Two a multiply-add, the padding's included, biases and everything else left out. Every kernel here acts once at each
    pixel of its layer's input: stride 1, zero padding to the same size.
    """
    layers: dict[str, int] = {}

    def count(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        result = call(*args, **kwargs)
        params = context.module.variables.get("params", {}) if context.method_name == "__call__" else {}
        if "kernel" in params:
            positions = int(np.prod(args[0].shape[:-1]))
            layers["/".join(context.module.path)] = 2 * int(np.prod(params["kernel"].shape)) * positions
        return result

    def init() -> Any:
        image = jnp.zeros((1, side_px, side_px, model.in_channels))
        return model.init(jax.random.key(0), image, train=False)

    with nn.intercept_methods(count):
        jax.eval_shape(init)
    return layers


def count_forward(model: Any, side_px: int = SIDE_PX) -> int:
    """FLOPs of one image's forward pass; see `count_layers`."""
    return sum(count_layers(model, side_px).values())


def count_step(model: Any, frozen_layers: Collection[str] = (), side_px: int = SIDE_PX) -> int:
    """FLOPs of one image's part in a training step: forward, the gradient of each kernel, and of each layer's input.

    Three times the forward pass, the usual convention (it grants the first layer an input gradient that nobody needs);
    of `frozen_layers`, named as `Groups.frozen_layers` does, those below all that train cost only their forward pass,
    and those above twice that.
    """
    total, passes_below = 0, 0
    for path, flops in count_layers(model, side_px).items():
        trained = path.partition("/")[0] not in frozen_layers
        passes_below = 1 if trained or passes_below else 0
        total += flops * (1 + trained + passes_below)
    return total


def find_peak(dtype: str) -> Peak:
    """What one of this process's devices could do at best with data of `dtype`, 'float32' or 'bfloat16'.

    Accelerators by their datasheet. A CPU by a matrix product of 2048 x 2048 in float32, whatever `dtype` is, measured
    here and now in some 0.4 s: it takes the whole machine, of which each virtual device is given an equal part.
    """
    device = jax.devices()[0]
    if device.platform == "cpu":
        flops_per_s = _measure_product() / jax.local_device_count()
        return Peak(flops_per_s, f"measured: {_PRODUCT_SIDE} x {_PRODUCT_SIDE} matrix product, float32, whole CPU")
    return look_up(device.device_kind, dtype)


def look_up(device_kind: str, dtype: str) -> Peak:
    """The datasheet's figure for a GPU or TPU; raises ValueError for another dtype than float32 and bfloat16."""
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"The peak for {dtype!r} is not known: 'float32' or 'bfloat16'.")
    for pattern, *teraflops in _DATASHEETS:
        if re.fullmatch(pattern, device_kind):
            peak = teraflops[dtype == "bfloat16"]
            if peak is None:
                return Peak(None, f"{device_kind} has no units for bfloat16")
            return Peak(1e12 * peak, f"datasheet of {device_kind}, {_arithmetic(device_kind, dtype)}, dense")
    return Peak(None, f"no datasheet of {device_kind} at hand")


def _arithmetic(device_kind: str, dtype: str) -> str:
    """What XLA multiplies with at jax's default precision."""
    if dtype == "bfloat16" or device_kind.startswith("TPU"):
        return "bfloat16"
    return "float32" if device_kind.startswith("Tesla") else "TF32"


def find_utilization(flops_per_image: int, images_per_s: float, peak: Peak, devices: int) -> float | None:
    """The share of the devices' peak that the model's FLOPs take, 0..1; None where no peak is known."""
    return None if peak.flops_per_s is None else flops_per_image * images_per_s / (peak.flops_per_s * devices)


def _measure_product() -> float:
    """FLOPs per second of a square float32 matrix product, the median of four."""
    ones = jax.jit(lambda: jnp.ones((_PRODUCT_SIDE, _PRODUCT_SIDE), jnp.float32))()
    product = jax.jit(jnp.matmul).lower(ones, ones).compile()
    seconds = []
    jax.block_until_ready(product(ones, ones))
    for _ in range(4):
        start_s = time.perf_counter()
        jax.block_until_ready(product(ones, ones))
        seconds.append(time.perf_counter() - start_s)
    return 2 * _PRODUCT_SIDE**3 / statistics.median(seconds)
