"""The 3x3 convolution of stride 1: XLA's own on GPU and TPU, matrix products on CPU.

XLA's CPU convolution has slow gradients, becomes far slower within `scan` or with a batch of kernels (`vmap`), and does
all multiplications of the definition. On CPU `choose_tile` chooses a form for each shape: Winograd's, or a direct one.
Elsewhere XLA computes the values and both gradients. For another stride or kernel size a network takes flax's
`nn.Conv`, which is XLA's convolution on every device.

Winograd's form rounds differently. Against float64 the largest error of values and of both gradients at VGG's shapes,
relative to the largest number, was 1e-6 with m=2 (direct form 6e-7), 3e-6 with m=3, 4e-6 with m=4 and 1.5e-5 with m=6,
in float32. In bfloat16 it was 0.7 % with m=2 (direct form 1.0 %), 1.6 % with m=3 and 2.4 % with m=4.
`exact` does without Winograd's form.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ferjax.networks.layers import winograd
from ferjax.networks.layers.one_by_one import one_by_one

Images = Float[Array, "b h w c"]
Kernel = Float[Array, "3 3 c o"]
Outputs = Float[Array, "b h w o"]
Transformed = tuple[Float[Array, "tt p c"], Float[Array, "tt c o"]]
# What a number of a kernel that is transformed in each step costs, and one of the direct form's patches, counted in
# multiply-adds of a matrix product; fitted to times on two Zen 3 cores (scripts/time_layers.sh).
_PER_WEIGHT, PER_PATCH = 36, 20


def choose_tile(shape: winograd.Shape, features: int, sizes: tuple[int, ...] = (2, 3, 4)) -> int:
    """Choose the form for inputs of NHWC `shape` on CPU that costs least by a rough count: Winograd's m, or 0 (direct).

    `sizes` are the m that come into question.

    The kernel is transformed once for all tiles, and the pixels once for all features, so many of these make the
    transforms worth their cost.
    """
    batch, height, width, channels = shape
    if not isinstance(batch, int):
        batch = 32  # an export with a symbolic batch serves any size
    if _is_small(shape):
        costs = {0: batch * (3 * height - 2) * (3 * width - 2) * channels * features}
    else:
        costs = {0: batch * 9 * height * width * channels * (features + PER_PATCH)}
    for m in sizes:
        costs[m] = winograd.count((batch, height, width, channels), features, m, _PER_WEIGHT)
    return min(costs, key=costs.__getitem__)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv3x3(x: Images, kernel: Kernel, exact: bool = False) -> Outputs:
    """Correlate NHWC images with an HWIO 3x3 kernel: stride 1, zero padding to the same size.

    `exact` avoids Winograd's form on CPU, and its rounding.
    """
    cpu = functools.partial(_conv_cpu, m=_tile(x, kernel, exact))
    y: Outputs = jax.lax.platform_dependent(x, kernel, cpu=cpu, default=_conv_xla)
    return y


def _tile(x: Images, kernel: Kernel, exact: bool, gradients: bool = False) -> int:
    if exact:
        return 0
    # Tiles of 6 spare a third of the products, and bfloat16 loses too much in them. Their output transform is slow, and
    # so they pay only where there are gradients.
    sizes = (2, 3, 4, 6) if gradients and x.dtype == jnp.float32 else (2, 3, 4)
    return choose_tile(x.shape, kernel.shape[3], sizes)


def correlate(x: Images, kernel: Kernel) -> Outputs:
    """Correlate as `conv3x3` does, by XLA's own convolution."""
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@one_by_one
def _conv_xla(x: Images, kernel: Kernel) -> Outputs:
    return correlate(x, kernel)


def _conv_cpu(x: Images, kernel: Kernel, m: int) -> Outputs:
    return winograd.convolve(x, kernel, m) if m else _conv_direct(x, kernel)


def _forward(x: Images, kernel: Kernel, exact: bool) -> tuple[Outputs, tuple[Images, Kernel, Transformed | None]]:
    m = _tile(x, kernel, exact, gradients=True)
    if not m:
        return conv3x3(x, kernel, exact), (x, kernel, None)

    def transform_cpu(x: Images, kernel: Kernel) -> tuple[Outputs, Transformed]:
        inputs, kernels = winograd.transform_input(x, m), winograd.transform_kernel(kernel, m)
        return winograd.multiply(inputs, kernels, m, (*x.shape[:3], kernel.shape[3])), (inputs, kernels)

    def transform_none(x: Images, kernel: Kernel) -> tuple[Outputs, Transformed]:
        # Both branches must return the same shapes; XLA leaves out arrays that nobody reads.
        shapes = jax.eval_shape(transform_cpu, x, kernel)[1]
        return _conv_xla(x, kernel), jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    y, transformed = jax.lax.platform_dependent(x, kernel, cpu=transform_cpu, default=transform_none)
    return y, (x, kernel, transformed)


def _backward(exact: bool, residuals: tuple[Images, Kernel, Transformed | None], g: Outputs) -> tuple[Images, Kernel]:
    m = _tile(*residuals[:2], exact, gradients=True)
    cpu = functools.partial(_gradients_cpu, m=m)
    gradients: tuple[Images, Kernel] = jax.lax.platform_dependent(*residuals, g, cpu=cpu, default=_gradients_xla)
    return gradients


def _gradients_xla(x: Images, kernel: Kernel, _: Transformed | None, g: Outputs) -> tuple[Images, Kernel]:
    return _input_gradient_xla(x, kernel, g), _kernel_gradient_xla(x, kernel, g)


# Two functions, so that the one that nobody asks for (of the first layer's images) is left out.
@one_by_one
def _input_gradient_xla(x: Images, kernel: Kernel, g: Outputs) -> Images:
    gradient: Images = jax.linear_transpose(lambda x: correlate(x, kernel), x)(g)[0]
    return gradient


@one_by_one
def _kernel_gradient_xla(x: Images, kernel: Kernel, g: Outputs) -> Kernel:
    gradient: Kernel = jax.linear_transpose(lambda kernel: correlate(x, kernel), kernel)(g)[0]
    return gradient


def _gradients_cpu(
    x: Images, kernel: Kernel, transformed: Transformed | None, g: Outputs, m: int
) -> tuple[Images, Kernel]:
    if transformed is None:
        return jax.vjp(_conv_taps, x, kernel)[1](g) if _is_small(x.shape) else _gradients_im2col(x, kernel, g)
    inputs, kernels = transformed
    gradients = winograd.transform_gradient(g, m)
    return winograd.input_gradient(gradients, kernels, m, x.shape), winograd.kernel_gradient(inputs, gradients, m)


conv3x3.defvjp(_forward, _backward)


def _conv_direct(x: Images, kernel: Kernel) -> Outputs:
    return _conv_taps(x, kernel) if _is_small(x.shape) else _conv_im2col(x, kernel)


def _is_small(shape: winograd.Shape) -> bool:
    """Return whether so much of each patch is border that it pays to multiply only the taps within the image."""
    return bool(min(shape[1:3]) <= 3)


def _conv_taps(x: Images, kernel: Kernel) -> Outputs:
    """Add up nine products, one for each tap of the kernel with the pixels that it meets."""
    _, height, width, _ = x.shape
    y = jnp.zeros((*x.shape[:3], kernel.shape[3]), x.dtype)
    for i in range(max(0, 2 - height), min(3, height + 1)):
        for j in range(max(0, 2 - width), min(3, width + 1)):
            rows, columns = ((max(tap - 1, 0), min(side, side + tap - 1)) for tap, side in ((i, height), (j, width)))
            met = winograd.crop(x, rows, columns)
            sides = [(max(1 - tap, 0), max(tap - 1, 0)) for tap in (i, j)]
            y = y + jnp.pad(met @ kernel[i, j], ((0, 0), *sides, (0, 0)))
    return y


def take_patches(x: Images) -> Float[Array, "p 9*c"]:
    """Return for each pixel of each image the 3x3 pixels around it, in the order of a kernel's taps."""
    _, height, width, channels = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = [winograd.crop(padded, (i, i + height), (j, j + width)) for i in range(3) for j in range(3)]
    return jnp.concatenate(windows, axis=-1).reshape(-1, 9 * channels)


def _conv_im2col(x: Images, kernel: Kernel) -> Outputs:
    features = kernel.shape[3]
    return (take_patches(x) @ kernel.reshape(-1, features)).reshape(*x.shape[:3], features)


def _gradients_im2col(x: Images, kernel: Kernel, g: Outputs) -> tuple[Images, Kernel]:
    # The input's gradient is the same convolution with the kernel turned by 180 degrees and its channels swapped.
    x_gradient = _conv_im2col(g, kernel[::-1, ::-1].transpose(0, 1, 3, 2))
    # This order of the operands runs faster on CPU than patches.T @ outputs.
    kernel_gradient = (g.reshape(-1, g.shape[3]).T @ take_patches(x)).T
    return x_gradient, kernel_gradient.reshape(kernel.shape)


class Conv3x3(nn.Module):
    """Apply `conv3x3` with a kernel `[3, 3, in, features]`, drawn as in He et al. 2015 (arXiv 1502.01852), and a bias.

    The stride is 1; see `conv3x3` for `exact`.
    """

    features: int
    use_bias: bool = True
    dtype: DTypeLike = jnp.float32
    exact: bool = False

    @nn.compact
    def __call__(self, x: Images) -> Outputs:
        kernel = self.param("kernel", nn.initializers.he_normal(), (3, 3, x.shape[-1], self.features))
        y = conv3x3(x.astype(self.dtype), kernel.astype(self.dtype), self.exact)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros_init(), (self.features,)).astype(self.dtype)
        return y


def scale_width(channels: int, width: float) -> int:
    """Return `channels` times `width`, rounded to the nearest whole number and at least 1."""
    return max(1, round(channels * width))
