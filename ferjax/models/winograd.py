"""Winograd's minimal filtering F(m x m, 3 x 3): Lavin & Gray 2016, arXiv 1509.09308, in matrix products only.

An image is cut into tiles of t = m + 2 pixels that overlap by 2. With the matrices of `matrices(m)`, for a tile d and a
kernel w the m x m outputs are A^T [(G w G^T) * (B^T d B)] A. Each two-sided product is one product with a Kronecker
square, so that all tiles of a batch go through one matrix product of shape [t*t, t*t] x [t*t, tiles*channels].
"""

import fractions
import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Interpolation points of the Toom-Cook construction; small ones keep the rounding error small. Infinity is implied.
_POINTS = {2: (0, 1, -1), 3: (0, 1, -1, 2), 4: (0, 1, -1, 2, -2)}


@functools.cache
def matrices(m: int) -> tuple[Float[np.ndarray, "m t"], Float[np.ndarray, "t 3"], Float[np.ndarray, "t t"]]:
    """A^T, G and B^T of F(m, 3), exact in rationals before rounding; m is 2, 3 or 4."""
    points = [fractions.Fraction(point) for point in _POINTS[m]]
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
    """Coefficients, lowest first, of the product of (x - root)."""
    coefficients = [fractions.Fraction(1)]
    for root in roots:
        shifted = [fractions.Fraction(0), *coefficients]
        scaled = [*(-root * c for c in coefficients), fractions.Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def _square(matrix: Float[np.ndarray, "r c"], dtype: jnp.dtype) -> Float[Array, "rr cc"]:
    return jnp.asarray(np.kron(matrix, matrix), dtype)


def _stack_windows(padded: Float[Array, "b h w c"], m: int, window: int) -> Float[Array, "ww bpc"]:
    """Pixel (i, j) of every `window`-sized tile at stride m, as rows; the columns run over image, tile and channel."""
    high, wide = ((side - window) // m * m + 1 for side in padded.shape[1:3])
    rows = [padded[:, i : i + high : m, j : j + wide : m] for i in range(window) for j in range(window)]
    return jnp.stack(rows).reshape(window * window, -1)


def transform_input(x: Float[Array, "b h w c"], m: int) -> Float[Array, "tt bp c"]:
    """B^T d B of every tile of x, zero padded as 'SAME' wants."""
    high, wide = (-(-side // m) * m for side in x.shape[1:3])
    padded = jnp.pad(x, ((0, 0), (1, high + 1 - x.shape[1]), (1, wide + 1 - x.shape[2]), (0, 0)))
    tiles = _square(matrices(m)[2], x.dtype) @ _stack_windows(padded, m, m + 2)
    return tiles.reshape((m + 2) ** 2, -1, x.shape[3])


def convolve(x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c o"], m: int) -> Float[Array, "b h w o"]:
    """'SAME' correlation of x with a 3x3 kernel at stride 1."""
    batch, height, width, channels = x.shape
    high, wide = -(-height // m), -(-width // m)
    A_t, G, _ = matrices(m)
    kernels = (_square(G, x.dtype) @ kernel.reshape(9, -1)).reshape((m + 2) ** 2, channels, -1)
    products = jnp.einsum("tpc,tco->tpo", transform_input(x, m), kernels)
    y = _square(A_t, x.dtype) @ products.reshape((m + 2) ** 2, -1)
    y = y.reshape(m, m, batch, high, wide, -1).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(batch, high * m, wide * m, -1)[:, :height, :width]


def kernel_gradient(x: Float[Array, "b h w c"], g: Float[Array, "b h w o"], m: int) -> Float[Array, "3 3 c o"]:
    """Gradient of sum(convolve(x, kernel) * g) by the kernel: the transposed transforms, in the transformed domain."""
    A_t, G, _ = matrices(m)
    high, wide = (-(-side // m) * m for side in g.shape[1:3])
    padded = jnp.pad(g, ((0, 0), (0, high - g.shape[1]), (0, wide - g.shape[2]), (0, 0)))
    outputs = _square(A_t.T, g.dtype) @ _stack_windows(padded, m, m)
    outputs = outputs.reshape((m + 2) ** 2, -1, g.shape[3])
    kernels = jnp.einsum("tpc,tpo->tco", transform_input(x, m), outputs)
    return (_square(G.T, g.dtype) @ kernels.reshape((m + 2) ** 2, -1)).reshape(3, 3, x.shape[3], g.shape[3])
