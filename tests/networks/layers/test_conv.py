import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.networks.layers import conv, winograd

# (m, side, in, out): sides that tiles divide and sides that they do not, one pixel, few channels; 0 is the direct form.
FORMS = [
    (0, 7, 3, 8),
    (0, 3, 8, 6),
    (0, 1, 8, 6),
    (2, 7, 8, 6),
    (3, 6, 8, 6),
    (3, 7, 8, 6),
    (4, 13, 8, 6),
    (4, 1, 8, 6),
    (6, 13, 8, 6),
    (6, 1, 8, 6),
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


def as_float32(*arrays):
    return [jnp.asarray(array, jnp.float32) for array in arrays]


def choose(monkeypatch, m):
    monkeypatch.setattr(conv, "choose_tile", lambda *_: m)


def make_run(exact=False):
    """x, kernel, g -> the output and both gradients; the rule is asked when it is traced."""

    def run(x, kernel, g):
        y, pullback = jax.vjp(lambda x, kernel: conv.conv3x3(x, kernel, exact), x, kernel)
        return y, *pullback(g)

    return jax.jit(run)


def find_errors(arrays, exact=False):
    values = make_run(exact)(*as_float32(*arrays))
    return [relative_error(*pair) for pair in zip(values, convolve_reference(*arrays), strict=True)]


@pytest.mark.parametrize("form", FORMS)
def test_values_and_gradients_match_float64(form, monkeypatch):
    m, *shape = form
    choose(monkeypatch, m)
    assert max(find_errors(draw(*shape))) < (1e-4 if m else 2e-6)


@pytest.mark.parametrize("shape", [(48, 3, 8), (24, 32, 48)])
def test_what_the_rule_chooses_matches_float64(shape):
    assert max(find_errors(draw(*shape))) < 1e-4


def test_exact_leaves_winograd_out(monkeypatch):
    choose(monkeypatch, 4)
    arrays = draw(12, 8, 8)
    assert all(exact < error for exact, error in zip(find_errors(arrays, True), find_errors(arrays), strict=True))


@pytest.mark.parametrize(
    ("shape", "features", "m"),
    [
        ((32, 48, 48, 3), 64, 0),
        ((32, 48, 48, 64), 64, 4),
        ((32, 12, 12, 256), 256, 4),
        ((32, 6, 6, 512), 512, 3),
        ((32, 3, 3, 512), 512, 0),
        ((128, 3, 3, 512), 512, 3),
        ((1, 6, 6, 512), 512, 0),
    ],
)
def test_the_rule_chooses_what_was_measured_fastest(shape, features, m):
    assert conv.choose_tile(shape, features) == m


def test_tiles_of_six_pay_where_there_are_gradients():
    assert conv.choose_tile((128, 6, 6, 512), 512, (2, 3, 4, 6)) == 6
    x, kernel = (
        jax.ShapeDtypeStruct((64, 12, 12, 128), jnp.float32),
        jax.ShapeDtypeStruct((3, 3, 128, 128), jnp.float32),
    )
    for run, rows in ((make_run(), 64), (lambda x, kernel, _: conv.conv3x3(x, kernel), 36)):
        assert f"f32[{rows},128,128]" in str(jax.make_jaxpr(run)(x, kernel, x))


@pytest.mark.parametrize("m", [2, 3, 4, 6])
def test_winograd_matrices_are_exact(m):
    # y = A^T [(G w) * (B^T d)] for every unit vector, in float64.
    A_t, G, B_t = winograd.matrices(m)
    for tap in range(3):
        for pixel in range(m + 2):
            y = A_t @ (G[:, tap] * B_t[:, pixel])
            expected = [float(pixel == out + tap) for out in range(m)]
            np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.parametrize("m", [0, 4])
def test_cpu_multiplies_matrices_and_other_platforms_convolve(m, monkeypatch):
    choose(monkeypatch, m)
    x, kernel, g = as_float32(*draw(12, 16, 8))
    run = make_run()
    traced = run.trace(x, kernel, g)
    # A batch of kernels too: grouped convolutions are far slower than anything else there is on CPU.
    batched = jax.jit(jax.vmap(run)).trace(*(jnp.stack([a, a]) for a in (x, kernel, g)))
    for each in (traced, batched):
        assert "stablehlo.convolution" not in each.lower(lowering_platforms=("cpu",)).as_text()
    for platform in ("cuda", "tpu"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert "stablehlo.convolution" in text
        assert "dot_general" not in text


@pytest.mark.parametrize("m", [0, 2, 3, 4])
def test_bfloat16_rounds_operands_and_no_sums(m, monkeypatch):
    choose(monkeypatch, m)
    arrays = draw(12, 64, 48)
    half = [jnp.asarray(a, jnp.bfloat16) for a in arrays]
    run = make_run()
    if m:
        assert f"bf16[{(m + 2) ** 2},64,48]" in str(jax.make_jaxpr(run)(*half)), "the transformed kernel is an operand"
    for value, reference in zip(run(*half), convolve_reference(*arrays), strict=True):
        assert value.dtype == jnp.bfloat16
        difference = np.asarray(value, np.float64) - reference
        # As normal numbers' products, whatever their count: 0.3 % in the direct form, and what transforms make of it.
        assert np.sqrt(np.square(difference).mean() / np.square(reference).mean()) < (0.013 if m > 2 else 0.006)


@pytest.mark.parametrize("m", [0, 3])
@pytest.mark.parametrize("together", ["vmap", "pmap", "scan"])
def test_a_batch_of_kernels_equals_a_loop(together, m, monkeypatch):
    choose(monkeypatch, m)
    batches = [jnp.stack([a, -0.5 * a]) for a in as_float32(*draw(6, 8, 6))]
    run = make_run()
    if together == "scan":
        results = jax.lax.scan(lambda carry, each: (carry, run(*each)), 0, tuple(batches))[1]
    else:
        results = {"vmap": jax.vmap, "pmap": jax.pmap}[together](run)(*batches)
    alone = [run(*each) for each in zip(*batches, strict=True)]
    for result, expected in zip(results, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(result, jnp.stack(expected), rtol=1e-4, atol=1e-4)


def test_exports_with_a_symbolic_batch():
    (batch,) = jax.export.symbolic_shape("b")
    kernel = jnp.zeros((3, 3, 64, 64))
    shape = jax.ShapeDtypeStruct((batch, 6, 6, 64), jnp.float32)
    exported = jax.export.export(jax.jit(lambda x: conv.conv3x3(x, kernel)), platforms=["cpu", "cuda"])(shape)
    assert exported.call(jnp.zeros((3, 6, 6, 64))).shape == (3, 6, 6, 64)
