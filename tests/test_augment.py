"""Affine maps against scipy and Keras, the ranges of the draws, and random erasing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from ferjax.augment import Parameters, affine_matrices, apply_affine, apply_erasing, augment, draw_parameters

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 48, 48, 1), dtype=np.uint8)
OFF = {
    "flip_prob": 0.0,
    "rotation_deg": 0.0,
    "shift_fraction": 0.0,
    "zoom_fraction": 0.0,
    "shear_deg": 0.0,
    "erase_prob": 0.0,
    "erase_px": 12,
}
ON = {
    "flip_prob": 0.5,
    "rotation_deg": 15.0,
    "shift_fraction": 0.15,
    "zoom_fraction": 0.2,
    "shear_deg": 10.0,
    "erase_prob": 0.7,
    "erase_px": 12,
}
FIXED = {
    "flip": np.array([True, False, True, False, True, False]),
    "rotation_deg": np.array([-180, -45, -15, 0, 7, 90], np.float32),
    "shift_px": np.array([[0, 0], [3, -4], [-2.5, 7.25], [0.5, 0.5], [-48, 0], [0, 60]], np.float32),
    "shear_deg": np.array([-80, -15, 0, 8, 15, 45], np.float32),
    "zoom": np.array([[1, 1], [0.5, 2], [1.15, 0.85], [0.1, 0.1], [1.9, 1], [1, 0.7]], np.float32),
}
SUBSETS = [(name,) for name in FIXED] + [("rotation_deg", "shift_px"), ("shear_deg", "zoom"), tuple(FIXED)]


@functools.partial(jax.jit, static_argnames=OFF)
def run(key, images, **ranges):
    """`augment`, compiled: op by op it would take seconds."""
    return augment(key, images, **ranges)


draw = jax.jit(draw_parameters, static_argnums=1, static_argnames=OFF)
sample = jax.jit(lambda images, params: apply_affine(images, affine_matrices(params)))


def make_parameters(names):
    return Parameters(**{name: jnp.asarray(FIXED[name]) for name in names})


def keras_arguments(names, i):
    """Image i's parameters in Keras's terms: its x is the column, its y the row."""
    values = {name: FIXED[name][i] for name in names}
    ty, tx = values.get("shift_px", (0.0, 0.0))
    zy, zx = values.get("zoom", (1.0, 1.0))
    theta, shear = values.get("rotation_deg", 0.0), values.get("shear_deg", 0.0)
    return {"theta": theta, "tx": tx, "ty": ty, "shear": shear, "zx": zx, "zy": zy}


def keras_matrix(names, i):
    """The 3x3 map of (row, column, 1) in float64, written down from Keras's source for (x, y) and then swapped."""
    k = keras_arguments(names, i)
    t, s = np.deg2rad(k["theta"], dtype=float), np.deg2rad(k["shear"], dtype=float)
    rotation = np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]])
    shift = np.array([[1, 0, k["tx"]], [0, 1, k["ty"]], [0, 0, 1]])
    shear = np.array([[1, -np.sin(s), 0], [0, np.cos(s), 0], [0, 0, 1]])
    zoom = np.diag([k["zx"], k["zy"], 1.0])
    mirror = np.diag([-1.0 if "flip" in names and FIXED["flip"][i] else 1.0, 1, 1])
    centre = np.array([[1, 0, 23.5], [0, 1, 23.5], [0, 0, 1]])
    matrix = centre @ rotation @ shift @ shear @ zoom @ mirror @ np.linalg.inv(centre)
    return matrix[[1, 0, 2]][:, [1, 0, 2]]


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_matrices_equal_kerass_formula(names):
    matrices = np.asarray(jax.jit(affine_matrices)(make_parameters(names)))
    for i, matrix in enumerate(matrices):
        np.testing.assert_allclose(matrix, keras_matrix(names, i)[:2], atol=3e-5)


@pytest.mark.parametrize(
    ("names", "dtype"),
    [(names, np.uint8) for names in SUBSETS] + [(tuple(FIXED), np.float32)],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else value.__name__,
)
def test_sampling_equals_scipys(names, dtype):
    moved = np.asarray(sample(jnp.asarray(IMAGES, dtype), make_parameters(names)))
    assert moved.dtype == np.float32
    for i, image in enumerate(IMAGES[..., 0].astype(float)):
        matrix = keras_matrix(names, i)
        expected = scipy.ndimage.affine_transform(image, matrix[:2, :2], matrix[:2, 2], order=1, mode="nearest")
        # Noise changes by up to 255 a pixel, and float32 coordinates are right to 1e-5 of one.
        np.testing.assert_allclose(moved[i, ..., 0], expected, atol=2e-2)


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_moves_images_as_keras_does(names, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    image_module = pytest.importorskip("keras.src.legacy.preprocessing.image")
    # The legacy code asks for a scipy namespace that scipy 2 drops; the function is the same.
    monkeypatch.setattr(image_module, "scipy", _ScipyWithInterpolation)
    moved = np.asarray(sample(jnp.asarray(IMAGES), make_parameters(names)))
    for i, image in enumerate(IMAGES.astype(np.float32)):
        expected = image_module.apply_affine_transform(
            image, **keras_arguments(names, i), row_axis=0, col_axis=1, channel_axis=2, fill_mode="nearest", order=1
        )
        if "flip" in names and FIXED["flip"][i]:
            expected = expected[:, ::-1]
        np.testing.assert_allclose(moved[i], expected, atol=2e-2)


class _ScipyWithInterpolation:
    class ndimage:  # noqa: N801
        interpolation = scipy.ndimage


def test_no_move_at_all_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        affine_matrices(Parameters())


def test_flip_is_exact_alone_and_among_others():
    flip = jnp.asarray(FIXED["flip"])
    expected = np.where(FIXED["flip"][:, None, None, None], IMAGES[:, :, ::-1], IMAGES).astype(np.float32)
    still = {"rotation_deg": jnp.zeros(6), "shift_px": jnp.zeros((6, 2)), "shear_deg": jnp.zeros(6)}
    for params in (Parameters(flip=flip), Parameters(flip=flip, zoom=jnp.ones((6, 2)), **still)):
        np.testing.assert_array_equal(sample(jnp.asarray(IMAGES), params), expected)
    always = run(jax.random.key(0), jnp.asarray(IMAGES), **{**OFF, "flip_prob": 1.0})
    np.testing.assert_array_equal(always, IMAGES[:, :, ::-1].astype(np.float32))


def test_all_off_is_a_cast_and_traces_nothing_else():
    images = jnp.asarray(IMAGES)
    np.testing.assert_array_equal(run(jax.random.key(0), images, **OFF), IMAGES.astype(np.float32))
    text = jax.jit(functools.partial(augment, **OFF)).lower(jax.random.key(0), images).compile().as_text()
    assert "gather" not in text
    assert "xor" not in text  # the random generator's


@pytest.mark.parametrize("name", [name for name in OFF if name != "erase_px"])
def test_each_change_alone_changes_images(name):
    images = jnp.asarray(IMAGES)
    result = run(jax.random.key(1), images, **{**OFF, name: ON[name]})
    assert result.dtype == jnp.float32
    assert result.shape == IMAGES.shape
    assert not np.array_equal(result, IMAGES.astype(np.float32))
    assert 0 <= float(result.min()) <= float(result.max()) < 255.001  # the weights of four neighbours add to 1, rounded


def test_augment_is_its_parts_in_order():
    key, images = jax.random.key(2), jnp.asarray(IMAGES)
    params = draw(key, len(IMAGES), **ON)
    expected = jax.jit(apply_erasing)(sample(images, params), params)
    # Fused arithmetic rounds elsewhere; noise turns 1e-5 of a pixel into a hundredth of a gray level.
    np.testing.assert_allclose(run(key, images, **ON), expected, atol=2e-2)


def test_one_key_one_result_and_seeds_side_by_side():
    images, keys = jnp.asarray(IMAGES), jax.random.split(jax.random.key(3), 3)
    several = jax.jit(jax.vmap(lambda key: augment(key, images, **ON)))(keys)
    for key, result in zip(keys, several, strict=True):
        np.testing.assert_allclose(result, run(key, images, **ON), atol=2e-2)
    np.testing.assert_array_equal(run(keys[0], images, **ON), run(keys[0], images, **ON))
    assert not np.array_equal(several[0], several[1])


def test_draws_fill_their_ranges_evenly():
    batch = 4000
    drawn = draw(jax.random.key(4), batch, **ON)
    assert abs(float(drawn.flip.mean()) - 0.5) < 0.03
    assert abs(float(drawn.erase.mean()) - 0.7) < 0.03
    columns = {}
    for name, low, high in (
        ("rotation_deg", -15, 15),
        ("shear_deg", -10, 10),
        ("shift_px", -7.2, 7.2),
        ("zoom", 0.8, 1.2),
    ):
        values = np.asarray(getattr(drawn, name)).reshape(batch, -1)
        for axis in range(values.shape[1]):
            columns[name, axis] = (values[:, axis] - low) / (high - low)
    corners = np.asarray(drawn.erase_corner_px)
    assert corners.min() == -6
    assert corners.max() == 41
    columns["row", 0], columns["column", 0] = (corners[:, 0] + 6.5) / 48, (corners[:, 1] + 6.5) / 48
    for name, unit in columns.items():
        assert 0 <= unit.min() < 0.02, name
        assert 0.98 < unit.max() <= 1, name
        assert abs(unit.mean() - 0.5) < 0.02, name
        assert abs(unit.std() - 12**-0.5) < 0.01, name
    independent = np.corrcoef(np.stack([*columns.values(), drawn.flip, drawn.erase]))
    assert np.abs(independent - np.eye(len(independent))).max() < 0.08


def test_turning_one_change_off_leaves_the_others_draws():
    full = draw(jax.random.key(5), len(IMAGES), **ON)
    less = draw(jax.random.key(5), len(IMAGES), **{**ON, "flip_prob": 0.0, "shift_fraction": 0.0})
    assert less.flip is None
    assert less.shift_px is None
    for name in ("rotation_deg", "shear_deg", "zoom", "erase", "erase_corner_px", "erase_noise"):
        np.testing.assert_array_equal(getattr(full, name), getattr(less, name))


@pytest.mark.parametrize(("corner", "area"), [((10, 20), 144), ((-6, 0), 72), ((-6, -6), 36), ((41, 44), 28)])
def test_erasing_fills_its_square_and_nothing_else(corner, area):
    noise = RNG.integers(1, 256, (2, 12, 12), dtype=np.uint8)
    params = Parameters(
        erase=jnp.asarray([True, False]),
        erase_corner_px=jnp.asarray([corner, corner], jnp.int32),
        erase_noise=jnp.asarray(noise),
    )
    erased = np.asarray(jax.jit(apply_erasing)(jnp.zeros((2, 48, 48, 1)), params))[..., 0]
    assert not erased[1].any()
    rows, columns = np.nonzero(erased[0])
    assert len(rows) == area
    assert rows.min() == max(corner[0], 0)
    assert columns.min() == max(corner[1], 0)
    assert rows.max() == min(corner[0] + 11, 47)
    assert columns.max() == min(corner[1] + 11, 47)
    if area == 144:  # every drawn value appears, each once
        np.testing.assert_array_equal(np.sort(erased[0][rows, columns]), np.sort(noise[0].ravel()))


@pytest.mark.parametrize("px", [7, 48])
def test_erasing_square_of_any_size(px):
    result = augment(
        jax.random.key(6), jnp.zeros((64, 48, 48, 1), jnp.uint8), **{**OFF, "erase_prob": 1.0, "erase_px": px}
    )
    area = np.count_nonzero(np.asarray(result), axis=(1, 2, 3))
    assert area.max() <= px * px
    assert area.min() >= (px // 2) ** 2 * 0.9  # noise may be 0 here and there
    values = np.asarray(result)[np.asarray(result) > 0]
    assert abs(values.mean() - 128) < 6
    assert abs(values.std() - 74) < 6
