import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.models import conv, winograd

# (side, in, out): XLA, im2col, F(4x4), F(3x3), and sides that no tile divides.
SHAPES = [
    (48, 3, 8),
    (48, 16, 8),
    (24, 4, 8),
    (24, 16, 8),
    (13, 16, 8),
    (6, 16, 24),
    (7, 16, 8),
    (3, 32, 16),
    (1, 16, 8),
]


def draw(side, channels, features, dtype=np.float64):
    random = np.random.default_rng(side)
    x = random.normal(size=(2, side, side, channels)).astype(dtype)
    kernel = random.normal(size=(3, 3, channels, features)).astype(dtype)
    g = random.normal(size=(2, side, side, features)).astype(dtype)
    return x, kernel, g


def convolve_reference(x, kernel, g):
    """Nine shifted products in float64: outputs, input gradient, kernel gradient."""
    side = x.shape[1]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.zeros(g.shape)
    padded_gradient, kernel_gradient = np.zeros_like(padded), np.zeros_like(kernel)
    for i in range(3):
        for j in range(3):
            window = padded[:, i : i + side, j : j + side]
            y += window @ kernel[i, j]
            kernel_gradient[i, j] = np.einsum("bhwc,bhwo->co", window, g)
            padded_gradient[:, i : i + side, j : j + side] += g @ kernel[i, j].T
    return y, padded_gradient[:, 1:-1, 1:-1], kernel_gradient


def relative_error(value, reference):
    return np.abs(np.asarray(value, np.float64) - reference).max() / np.abs(reference).max()


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_match_float64(shape):
    x, kernel, g = draw(*shape)
    y, pullback = jax.vjp(jax.jit(conv.conv3x3), *(jnp.asarray(a, jnp.float32) for a in (x, kernel)))
    for value, reference in zip(
        (y, *pullback(jnp.asarray(g, jnp.float32))), convolve_reference(x, kernel, g), strict=True
    ):
        assert relative_error(value, reference) < 1e-4


@pytest.mark.parametrize("m", [2, 3, 4])
def test_winograd_matrices_are_exact(m):
    # y = A^T [(G w) * (B^T d)] for every unit vector, in float64.
    A_t, G, B_t = winograd.matrices(m)
    for tap in range(3):
        for pixel in range(m + 2):
            y = A_t @ (G[:, tap] * B_t[:, pixel])
            expected = [float(pixel == out + tap) for out in range(m)]
            np.testing.assert_allclose(y, expected, atol=1e-12)


def test_cpu_uses_winograd_and_other_platforms_do_not():
    x, kernel, _ = (jnp.asarray(a, jnp.float32) for a in draw(12, 16, 8))
    traced = jax.jit(conv.conv3x3).trace(x, kernel)
    assert "convolution" not in traced.lower(lowering_platforms=("cpu",)).as_text()
    for platform in ("cuda", "tpu"):
        assert "stablehlo.convolution" in traced.lower(lowering_platforms=(platform,)).as_text()


def test_no_winograd_in_bfloat16():
    x, kernel, g = draw(12, 16, 8)
    half = [jnp.asarray(a, jnp.bfloat16) for a in (x, kernel, g)]
    y, pullback = jax.vjp(conv.conv3x3, *half[:2])
    assert y.dtype == jnp.bfloat16
    for value, reference in zip((y, *pullback(half[2])), convolve_reference(x, kernel, g), strict=True):
        assert value.dtype == jnp.bfloat16
        assert relative_error(value.astype(jnp.float32), reference) < 2e-2


def test_vmap_equals_a_loop():
    x, kernel, _ = (jnp.asarray(a, jnp.float32) for a in draw(6, 16, 8))
    xs, kernels = jnp.stack([x, 2 * x]), jnp.stack([kernel, -kernel])
    together = jax.vmap(conv.conv3x3)(xs, kernels)
    alone = [conv.conv3x3(a, b) for a, b in zip(xs, kernels, strict=True)]
    np.testing.assert_allclose(together, jnp.stack(alone), rtol=1e-5, atol=1e-5)
