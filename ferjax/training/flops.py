"""How much arithmetic a network needs, and how much a device can do: for model FLOP utilisation.

Utilisation is model FLOPs per second over the devices' peak (Chowdhery et al. 2022, arXiv 2204.02311, appendix B). The
model's FLOPs are those of its convolutions and dense layers computed directly, two per multiply-add. A method that
saves arithmetic (Winograd) therefore shows as higher utilisation, which can even be above 1.
"""

import math
import re
import statistics
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

# By device_kind: dense TFLOP/s, without sparsity, of one device for float32 data at jax's default precision and for
# bfloat16, from the vendor's datasheet. XLA computes float32 products in TF32 on Ampere and newer, and on TPUs from
# factors rounded to bfloat16. GPUs before Ampere have no bfloat16 units. Only whole names match: a laptop's GPU or a
# part of a GPU (MIG) is another device. TPU v2 and v3 show each chip as two devices.
# Not yet checked against a datasheet: B300, GB200, GB300, GH200, RTX 5090 and TPU7x.
_DATASHEETS: tuple[tuple[str, float, float | None], ...] = (
    (r"NVIDIA GB[23]00", 1250.0, 2500.0),
    (r"NVIDIA B[23]00|NVIDIA B300 SXM6 AC", 1100.0, 2250.0),
    (r"NVIDIA GH200 (120GB|480GB|144G HBM3e)", 494.7, 989.4),
    (r"NVIDIA H[12]00 NVL", 417.5, 835.0),
    (r"NVIDIA H100 PCIe", 378.0, 756.0),
    (r"NVIDIA H100 80GB HBM3|NVIDIA H200", 494.7, 989.4),
    (r"(NVIDIA )?A100-(SXM4|PCIE)-\d+GB|NVIDIA A100 80GB PCIe", 156.0, 312.0),
    (r"NVIDIA L40S", 183.0, 362.0),
    (r"NVIDIA L4", 60.0, 121.0),
    (r"NVIDIA A10", 62.5, 125.0),
    (r"NVIDIA A10G", 35.0, 70.0),
    (r"NVIDIA GeForce RTX 5090", 104.8, 209.5),
    (r"NVIDIA GeForce RTX 4090", 82.6, 165.2),
    (r"NVIDIA GeForce RTX 3090", 35.6, 71.0),
    (r"Tesla V100-SXM\d-\d+GB", 15.7, None),
    (r"Tesla V100-PCIE-\d+GB", 14.0, None),
    (r"Tesla T4", 8.1, None),
    (r"TPU7x", 2307.0, 2307.0),
    (r"TPU v6 lite|TPU v6e", 918.0, 918.0),
    (r"TPU v5|TPU v5p", 459.0, 459.0),
    (r"TPU v5 lite|TPU v5e", 197.0, 197.0),
    (r"TPU v4", 275.0, 275.0),
    (r"TPU v3", 61.5, 61.5),
    (r"TPU v2", 22.5, 22.5),
)
# The same for products of float32 in full, which the tensor cores do not compute. No figure of the others is at hand.
_FULL_FLOAT32: tuple[tuple[str, float], ...] = (
    (r"NVIDIA H[12]00 NVL", 60.0),
    (r"NVIDIA H100 PCIe", 51.0),
    (r"NVIDIA H100 80GB HBM3|NVIDIA H200|NVIDIA GH200 (120GB|480GB|144G HBM3e)", 67.0),
    (r"(NVIDIA )?A100-(SXM4|PCIE)-\d+GB|NVIDIA A100 80GB PCIe", 19.5),
    (r"NVIDIA L40S", 91.6),
    (r"NVIDIA L4", 30.3),
    (r"NVIDIA A10", 31.2),
    (r"NVIDIA GeForce RTX 4090", 82.6),
    (r"NVIDIA GeForce RTX 3090", 35.6),
)
_PRODUCT_SIDE = 2048


class Peak(NamedTuple):
    """The most that one device can do, and where the figure is from; None, and why there is no figure."""

    flops_per_s: float | None
    source: str
    measured: bool = False


def count_layers(network: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Count the FLOPs of one image's forward pass in each convolution and dense layer, by the layer's path, in order.

    `image_shape` is (height, width, channels). A layer is every module with a parameter called 'kernel'; the whole
    kernel acts once for each position of the layer's output, which holds for any stride, size and number of groups. Two
    FLOPs per multiply-add, those of the padding included; biases and everything else are left out.
    """
    layers: dict[str, int] = {}

    def count(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        result = call(*args, **kwargs)
        params = context.module.variables.get("params", {}) if context.method_name == "__call__" else {}
        if "kernel" in params:
            path, positions = "/".join(context.module.path), math.prod(result.shape[:-1])
            layers[path] = layers.get(path, 0) + 2 * math.prod(params["kernel"].shape) * positions
        return result

    with nn.intercept_methods(count):
        jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros((1, *image_shape))))
    return layers


def count_forward(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Count the FLOPs of one image's forward pass; see `count_layers`."""
    return sum(count_layers(network, image_shape).values())


def count_step(
    network: nn.Module, image_shape: tuple[int, int, int], frozen_layers: Collection[str] = frozenset()
) -> int:
    """Count the FLOPs of one image's part in a training step: forward, and the gradients of each kernel and input.

    That is three times the forward pass, the usual convention (it counts an input gradient of the first layer, which
    nobody needs). `frozen_layers` are paths as `Groups.frozen_layers` gives them: such a layer costs only its forward
    pass where all layers before it are frozen too, and twice that elsewhere, since its input's gradient is needed.
    """
    total, passes_below = 0, 0
    for path, flops in count_layers(network, image_shape).items():
        trained = path not in frozen_layers
        passes_below = 1 if trained or passes_below else 0
        total += flops * (1 + trained + passes_below)
    return total


def find_peak(dtype: str, precision: str = "default") -> Peak:
    """Find what one of this process's devices can do at best with data of `dtype`, 'float32' or 'bfloat16'.

    `precision` is the config's train.precision.

    Accelerators are looked up in their datasheet. A CPU is measured by a matrix product of 2048 x 2048 in float32,
    whatever `dtype` is, which takes about 0.4 s. The product uses the whole machine, and each virtual device counts as
    an equal part of it.
    """
    device = jax.devices()[0]
    if device.platform == "cpu":
        flops_per_s = _measure_product() / jax.local_device_count()
        return Peak(
            flops_per_s, f"measured: {_PRODUCT_SIDE} x {_PRODUCT_SIDE} matrix product, float32, whole CPU", True
        )
    return look_up(device.device_kind, dtype, precision)


def look_up(device_kind: str, dtype: str, precision: str = "default") -> Peak:
    """Look up the datasheet's figure of a GPU or TPU. Raises ValueError for other types than float32 and bfloat16."""
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"The peak for {dtype!r} is not known: 'float32' or 'bfloat16'.")
    if dtype == "float32" and precision == "highest" and _arithmetic(device_kind, dtype) != "float32":
        for pattern, full in _FULL_FLOAT32:
            if re.fullmatch(pattern, device_kind):
                return Peak(1e12 * full, f"datasheet of {device_kind}, full float32")
        return Peak(None, f"no datasheet's figure of full float32 on {device_kind} at hand")
    for pattern, *teraflops in _DATASHEETS:
        if re.fullmatch(pattern, device_kind):
            peak = teraflops[dtype == "bfloat16"]
            if peak is None:
                return Peak(None, f"{device_kind} has no units for bfloat16")
            return Peak(1e12 * peak, f"datasheet of {device_kind}, {_arithmetic(device_kind, dtype)}, dense")
    return Peak(None, f"no datasheet of {device_kind} at hand")


def _arithmetic(device_kind: str, dtype: str) -> str:
    """Return the type that XLA multiplies in at jax's default precision."""
    if dtype == "bfloat16" or device_kind.startswith("TPU"):
        return "bfloat16"
    return "float32" if device_kind.startswith("Tesla") else "TF32"


def find_utilization(flops_per_image: int, images_per_s: float, peak: Peak, devices: int) -> float | None:
    """Return the share of the devices' peak that the model's FLOPs take, 0..1; None where no peak is known."""
    return None if peak.flops_per_s is None else flops_per_image * images_per_s / (peak.flops_per_s * devices)


def _measure_product() -> float:
    """Measure the FLOPs per second of a square float32 matrix product, the median of four."""
    ones = jax.jit(lambda: jnp.ones((_PRODUCT_SIDE, _PRODUCT_SIDE), jnp.float32))()
    product = jax.jit(jnp.matmul).lower(ones, ones).compile()
    seconds = []
    jax.block_until_ready(product(ones, ones))
    for _ in range(4):
        start_s = time.perf_counter()
        jax.block_until_ready(product(ones, ones))
        seconds.append(time.perf_counter() - start_s)
    return 2 * _PRODUCT_SIDE**3 / statistics.median(seconds)
