"""The 3x3 convolution of every network here: plain XLA on GPU and TPU, the fastest measured form on CPU.

XLA's CPU convolution has a good forward pass and slow gradients, so it gets a gradient rule of its own. On CPU each
shape takes the forms that `choose_tile` and `choose_gradient_tile` name; elsewhere all three passes are XLA's.

Winograd rounds differently: against float64 its largest error, relative to the largest output, is about 2e-6 (m=2),
5e-6 (m=3) and 2e-5 (m=4) in float32.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ferjax.models import winograd

Images = Float[Array, "b h w c"]
Kernel = Float[Array, "3 3 c o"]
Outputs = Float[Array, "b h w o"]


def choose_tile(side_px: int, channels: int) -> int:
    """Winograd's m for a layer's forward pass and input gradient on CPU, or 0 for XLA's convolution.

    Measured on two Zen 3 cores (scripts/time_layers.sh). At 48 px the forward pass is bound by memory traffic, which
    Winograd only adds to; few input channels leave its products nothing to save.
    """
    return 0 if side_px > 32 else choose_gradient_tile(side_px, channels)


def choose_gradient_tile(side_px: int, channels: int) -> int:
    """Winograd's m for a layer's kernel gradient on CPU, or 0 for one matrix product over im2col patches."""
    if channels < 16:
        return 0
    return 4 if side_px >= 12 else 3


@jax.custom_vjp
def conv3x3(x: Images, kernel: Kernel) -> Outputs:
    """Correlate NHWC images with an HWIO 3x3 kernel: stride 1, zero padding to the same size."""
    return jax.lax.platform_dependent(x, kernel, cpu=_conv_cpu, default=_conv_xla)


def _conv_xla(x: Images, kernel: Kernel) -> Outputs:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _conv_cpu(x: Images, kernel: Kernel) -> Outputs:
    m = _tile(choose_tile, x)
    return winograd.convolve(x, kernel, m) if m else _conv_xla(x, kernel)


def _tile(choose: Callable[[int, int], int], x: Images) -> int:
    # Winograd's transforms lose too much in half precision.
    return choose(min(x.shape[1:3]), x.shape[3]) if x.dtype.itemsize >= 4 else 0


def _forward(x: Images, kernel: Kernel) -> tuple[Outputs, tuple[Images, Kernel]]:
    return conv3x3(x, kernel), (x, kernel)


def _backward(residuals: tuple[Images, Kernel], g: Outputs) -> tuple[Images, Kernel]:
    return jax.lax.platform_dependent(*residuals, g, cpu=_gradients_cpu, default=_gradients_xla)


def _gradients_xla(x: Images, kernel: Kernel, g: Outputs) -> tuple[Images, Kernel]:
    return jax.vjp(_conv_xla, x, kernel)[1](g)


def _gradients_cpu(x: Images, kernel: Kernel, g: Outputs) -> tuple[Images, Kernel]:
    # The input gradient is the same convolution with the kernel turned by 180 degrees and its channels swapped.
    x_gradient = _conv_cpu(g, kernel[::-1, ::-1].transpose(0, 1, 3, 2))
    m = _tile(choose_gradient_tile, x)
    kernel_gradient = winograd.kernel_gradient(x, g, m) if m else _kernel_gradient_im2col(x, g)
    return x_gradient, kernel_gradient.astype(kernel.dtype)


def _kernel_gradient_im2col(x: Images, g: Outputs) -> Kernel:
    batch, height, width, channels = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    patches = jnp.concatenate(windows, axis=-1).reshape(batch * height * width, 9 * channels)
    outputs = g.reshape(batch * height * width, -1)
    # This order of the operands runs faster on CPU than patches.T @ outputs.
    return (outputs.T @ patches).T.reshape(3, 3, channels, -1)


conv3x3.defvjp(_forward, _backward)


class Conv3x3(nn.Module):
    """`conv3x3` with parameters: a kernel `[3, 3, in, features]` (He et al. 2015, arXiv 1502.01852) and a bias."""

    features: int
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Images) -> Outputs:
        kernel = self.param("kernel", nn.initializers.he_normal(), (3, 3, x.shape[-1], self.features))
        y = conv3x3(x.astype(self.dtype), kernel.astype(self.dtype))
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros_init(), (self.features,)).astype(self.dtype)
        return y


def scale_width(channels: int, width: float) -> int:
    """`channels` times `width`, to the nearest whole number and at least 1."""
    return max(1, round(channels * width))
