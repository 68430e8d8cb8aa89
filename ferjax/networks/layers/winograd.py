"""Winograd's minimal filtering F(m x m, 3 x 3): Lavin & Gray 2016, arXiv 1509.09308, in matrix products only.

An image is cut into tiles of t = m + 2 pixels that overlap by 2. With the matrices of `matrices(m)`, for a tile d and a
kernel w the m x m outputs are A^T [(G w G^T) * (B^T d B)] A. Each two-sided product is one product with a Kronecker
square, so that all tiles of a batch go through one matrix product of shape [t*t, t*t] x [t*t, tiles*channels]; by
additions where that is faster on CPU.

Where the images are bfloat16, so are the transformed images, kernels and gradients, the operands of the large products.
Their sums and all transforms are float32.
"""

import fractions
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Of ints, but for what jax.export leaves open: a symbolic batch.
Shape = tuple[Any, ...]

# Interpolation points of the Toom-Cook construction, in eighths; infinity is implied. Of all eighths up to 20/8 these
# round best, half as badly as the usual 0, 1, -1, 2, -2 (on why points matter: Barabasz et al. 2020, arXiv 1803.10986).
_EIGHTHS = {2: (0, 9, -9), 3: (0, 11, -11, 4), 4: (0, 5, -5, 13, -13), 6: (0, 4, -4, 8, -8, 16, -16)}

# What a number of the tiles that the transforms read or write costs, in multiply-adds of a product; fitted to times.
_PER_PIXEL = 45


@functools.cache
def matrices(m: int) -> tuple[Float[np.ndarray, "m t"], Float[np.ndarray, "t 3"], Float[np.ndarray, "t t"]]:
    """Return A^T, G and B^T of F(m, 3), computed exactly in rationals and then rounded; m is 2, 3, 4 or 6."""
    points = [fractions.Fraction(point, 8) for point in _EIGHTHS[m]]
    size = m + 2
    A, G, B = (np.zeros(shape, dtype=object) for shape in ((size, m), (size, 3), (size, size)))
    for i, point in enumerate(points):
        others = points[:i] + points[i + 1 :]
        scale = math.prod(point - other for other in others)
        A[i] = [point**k for k in range(m)]
        G[i] = [point**k / scale for k in range(3)]
        B[i, : size - 1] = _polynomial(others)
    A[-1, -1] = G[-1, -1] = 1
    B[-1] = _polynomial(points)
    return A.T.astype(float), G.astype(float), B.astype(float)


def _polynomial(roots: list[fractions.Fraction]) -> list[fractions.Fraction]:
    """Return the coefficients, lowest first, of the product of (x - root)."""
    coefficients = [fractions.Fraction(1)]
    for root in roots:
        shifted = [fractions.Fraction(0), *coefficients]
        scaled = [*(-root * c for c in coefficients), fractions.Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _square(matrix: Float[np.ndarray, "r c"], dtype: jnp.dtype) -> Float[Array, "rr cc"]:
    return jnp.asarray(np.kron(matrix, matrix), dtype)


def _wide(dtype: jnp.dtype) -> jnp.dtype:
    """Return the type of transforms and sums: float32 for half precision."""
    return dtype if dtype.itemsize >= 4 else jnp.dtype(jnp.float32)


def _widen(x: Array) -> Array:
    return x.astype(_wide(x.dtype))


def _multiply(spec: str, a: Array, b: Array) -> Array:
    """Multiply matrices by an einsum, with sums of the wide type."""
    return jnp.einsum(spec, a, b, preferred_element_type=_wide(a.dtype))


def _combine(matrix: Float[np.ndarray, "r c"], parts: Sequence[Array]) -> list[Array]:
    """Multiply `matrix` with `parts` by additions: half the time of a matrix product where most entries are zero."""
    return [
        functools.reduce(jnp.add, [float(n) * part for n, part in zip(row, parts, strict=True) if n]) for row in matrix
    ]


def _pad(x: Float[Array, "b h w c"], m: int, border: int) -> Float[Array, "b hp wp c"]:
    """Pad with zeros to whole tiles of m, and with `border` more on each side."""
    sides = [(border, -side % m + border) for side in x.shape[1:3]]
    return jnp.pad(x, ((0, 0), *sides, (0, 0)))


def crop(x: Float[Array, "b h w c"], rows: tuple[int, int], columns: tuple[int, int]) -> Float[Array, "b p q c"]:
    """Return the pixels from the first up to the last of `rows` and `columns`.

    Indexing would become a gather where the batch's size is open, as in an export.
    """
    (top, bottom), (left, right) = rows, columns
    return jax.lax.slice(x, (0, top, left, 0), (x.shape[0], bottom, right, x.shape[3]))


def count(shape: Shape, features: int, m: int, per_weight: int) -> int:
    """Count what F(m x m) costs on a CPU for images of NHWC `shape`, in multiply-adds of its products.

    `per_weight` is what a number of a transformed kernel costs beside those: the kernel is transformed, or only read,
    once for all tiles. Large tiles waste work beyond the border.
    """
    batch, height, width, channels = shape
    tiles = batch * -(-height // m) * -(-width // m)
    products = channels * features * (tiles + per_weight)
    cost: int = (m + 2) ** 2 * (products + _PER_PIXEL * tiles * (channels + features))
    return cost


def transform_input(x: Float[Array, "b h w c"], m: int) -> Float[Array, "tt p c"]:
    """Compute B^T d B of every tile d of x, zero padded for 'SAME'; p runs over images and their tiles."""
    B_t = matrices(m)[2]
    padded = _pad(_widen(x), m, 1)
    high, wide = (side - m - 1 for side in padded.shape[1:3])
    cut = jax.lax.slice_in_dim
    rows = jnp.stack(_combine(B_t, [cut(padded, i, i + high, m, axis=1) for i in range(m + 2)]))
    tiles = jnp.stack(_combine(B_t, [cut(rows, j, j + wide, m, axis=3) for j in range(m + 2)]), axis=1)
    return tiles.astype(x.dtype).reshape((m + 2) ** 2, -1, x.shape[3])


def transform_kernel(kernel: Float[Array, "3 3 c o"], m: int) -> Float[Array, "tt c o"]:
    """Compute G w G^T."""
    wide = _widen(kernel)
    kernels = _square(matrices(m)[1], wide.dtype) @ wide.reshape(9, -1)
    return kernels.astype(kernel.dtype).reshape((m + 2) ** 2, *kernel.shape[2:])


def multiply(
    inputs: Float[Array, "tt p c"], kernels: Float[Array, "tt c o"], m: int, shape: Shape
) -> Float[Array, "b h w o"]:
    """Compute the convolution's output of `shape` from the transformed input and kernel."""
    batch, height, width, features = shape
    high, wide = -(-height // m), -(-width // m)
    products = _multiply("tpc,tco->tpo", inputs, kernels)
    y = _square(matrices(m)[0], products.dtype) @ products.reshape((m + 2) ** 2, -1)
    y = y.reshape(m, m, batch, high, wide, features).transpose(2, 3, 0, 4, 1, 5)
    return crop(y.reshape(batch, high * m, wide * m, features), (0, height), (0, width)).astype(inputs.dtype)


def convolve(x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c o"], m: int) -> Float[Array, "b h w o"]:
    """Correlate x with a 3x3 kernel at stride 1 and 'SAME' padding."""
    return multiply(transform_input(x, m), transform_kernel(kernel, m), m, (*x.shape[:3], kernel.shape[3]))


def transform_gradient(g: Float[Array, "b h w o"], m: int) -> Float[Array, "tt p o"]:
    """Compute A g A^T of every tile of the output's gradient."""
    A = matrices(m)[0].T
    padded = _pad(_widen(g), m, 0)
    high, wide = (side - m + 1 for side in padded.shape[1:3])
    cut = jax.lax.slice_in_dim
    rows = jnp.stack(_combine(A, [cut(padded, i, i + high, m, axis=1) for i in range(m)]))
    tiles = jnp.stack(_combine(A, [cut(rows, j, j + wide, m, axis=3) for j in range(m)]), axis=1)
    return tiles.astype(g.dtype).reshape((m + 2) ** 2, -1, g.shape[3])


def input_gradient(
    gradients: Float[Array, "tt p o"], kernels: Float[Array, "tt c o"], m: int, shape: Shape
) -> Float[Array, "b h w c"]:
    """Compute the gradient by the input of `shape`: the transposed transforms, with tiles added where they overlap."""
    batch, height, width, channels = shape
    high, wide = -(-height // m), -(-width // m)
    B, t = matrices(m)[2].T, m + 2

    def add_overlaps(parts: Sequence[Array], axis: int) -> list[Array]:
        # The last two rows (columns) of a tile lie on the first two of the next.
        first, second = ([(0, 0)] * axis + [side] + [(0, 0)] * (parts[0].ndim - axis - 1) for side in ((0, 1), (1, 0)))
        combined = _combine(B, parts)
        overlaps = [jnp.pad(part, second) for part in combined[m:]]
        own = [jnp.pad(part, first) for part in combined[:m]]
        return [*(one + other for one, other in zip(own, overlaps, strict=False)), *own[2:]]

    products = _multiply("tpo,tco->tpc", gradients, kernels).reshape(t, t, batch, high, wide, channels)
    columns = jnp.stack(add_overlaps([products[:, j] for j in range(t)], 3), axis=4)
    rows = jnp.stack(add_overlaps([columns[i] for i in range(t)], 1), axis=2)
    total = rows.reshape(batch, (high + 1) * m, (wide + 1) * m, channels)
    return crop(total, (1, height + 1), (1, width + 1)).astype(gradients.dtype)


def kernel_gradient(
    inputs: Float[Array, "tt p c"], gradients: Float[Array, "tt p o"], m: int
) -> Float[Array, "3 3 c o"]:
    """Compute the gradient by the kernel from the transformed input and the transformed output gradient."""
    if inputs.dtype == jnp.bfloat16:
        kernels = _multiply("tcp,tpo->tco", _swap(inputs), gradients)
    else:
        kernels = _multiply("tpc,tpo->tco", inputs, gradients)
    kernel = _square(matrices(m)[1].T, kernels.dtype) @ kernels.reshape((m + 2) ** 2, -1)
    return kernel.astype(inputs.dtype).reshape(3, 3, *kernels.shape[1:])


def _swap(x: Float[Array, "tt p c"]) -> Float[Array, "tt c p"]:
    """Swap the last two axes in memory; by way of another shape, since XLA would fold a transpose into the product.

    Its product that sums over the first axis of both operands has no fast form in bfloat16.
    """
    t, rows, channels = x.shape
    group = math.gcd(rows, 8)
    return x.reshape(t, rows // group, group, channels).transpose(0, 3, 1, 2).reshape(t, channels, rows)
