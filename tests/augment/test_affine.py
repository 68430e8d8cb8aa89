"""Affine maps against scipy and Keras, and the ranges of the draws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from ferjax.augment import affine
from ferjax.augment.affine import Moves, apply_affine, apply_moves, draw_moves, find_matrices
from ferjax.augment.shards import Shards
from ferjax.batch import Batch

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 48, 48, 1), dtype=np.uint8)
OFF = {name: type(key.default)(0) for name, key in affine.KEYS.items()} | {"crop_fraction": 1.0}
ON = {
    "flip_prob": 0.5,
    "rotation_deg": 15.0,
    "shift_fraction": 0.15,
    "zoom_fraction": 0.2,
    "shear_deg": 10.0,
    "crop_fraction": 0.75,
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
    """The transform, compiled: op by op it would take seconds."""
    rows = len(images)
    batch = Batch(images.astype(jnp.float32), jnp.zeros(rows, jnp.int32), jnp.full((rows, 7), 1 / 7))
    return affine.create(**ranges)(key, batch, Shards(rows)).images


draw = jax.jit(functools.partial(draw_moves, side_px=48), static_argnums=1, static_argnames=OFF)
sample = jax.jit(lambda images, moves: apply_affine(images, find_matrices(moves, side_px=48)))


def make_moves(names):
    return Moves(**{name: jnp.asarray(FIXED[name]) for name in names})


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
    matrices = np.asarray(jax.jit(functools.partial(find_matrices, side_px=48))(make_moves(names)))
    for i, matrix in enumerate(matrices):
        np.testing.assert_allclose(matrix, keras_matrix(names, i)[:2], atol=3e-5)


@pytest.mark.parametrize(
    ("names", "dtype"),
    [(names, np.uint8) for names in SUBSETS] + [(tuple(FIXED), np.float32)],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else value.__name__,
)
def test_sampling_equals_scipys(names, dtype):
    moved = np.asarray(sample(jnp.asarray(IMAGES, dtype), make_moves(names)))
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
    moved = np.asarray(sample(jnp.asarray(IMAGES), make_moves(names)))
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
        find_matrices(Moves(), side_px=48)


def test_flip_is_exact_alone_and_among_others():
    flip = jnp.asarray(FIXED["flip"])
    expected = np.where(FIXED["flip"][:, None, None, None], IMAGES[:, :, ::-1], IMAGES).astype(np.float32)
    still = {"rotation_deg": jnp.zeros(6), "shift_px": jnp.zeros((6, 2)), "shear_deg": jnp.zeros(6)}
    for params in (Moves(flip=flip), Moves(flip=flip, zoom=jnp.ones((6, 2)), **still)):
        np.testing.assert_array_equal(sample(jnp.asarray(IMAGES), params), expected)
    always = run(jax.random.key(0), jnp.asarray(IMAGES), **{**OFF, "flip_prob": 1.0})
    np.testing.assert_array_equal(always, IMAGES[:, :, ::-1].astype(np.float32))


def test_a_mirror_image_alone_is_not_sampled():
    flip = jax.jit(apply_moves).lower(jnp.asarray(IMAGES, jnp.float32), Moves(flip=jnp.asarray(FIXED["flip"])))
    assert "gather" not in flip.compile().as_text()


def test_off_it_is_no_transform():
    assert affine.create(**OFF) is None


@pytest.mark.parametrize(("side", "channels"), [(31, 3), (64, 1)])
def test_images_of_any_side_and_any_channels(side, channels):
    images = RNG.integers(0, 256, (6, side, side, channels)).astype(np.float32)
    moved = np.asarray(run(jax.random.key(8), jnp.asarray(images), **ON))
    for channel in range(channels):
        alone = run(jax.random.key(8), jnp.asarray(images[..., channel : channel + 1]), **ON)
        np.testing.assert_allclose(moved[..., channel], alone[..., 0], atol=2e-2)
    moves = draw_moves(jax.random.key(8), 6, side_px=side, **ON)
    assert np.abs(moves.shift_px).max() <= 0.15 * side
    matrices = np.asarray(find_matrices(moves, side_px=side, crop_fraction=0.75))
    for image, result, matrix in zip(images[..., 0].astype(float), moved[..., 0], matrices, strict=True):
        expected = scipy.ndimage.affine_transform(image, matrix[:, :2], matrix[:, 2], order=1, mode="nearest")
        np.testing.assert_allclose(result, expected, atol=5e-2)


@pytest.mark.parametrize("name", OFF)
def test_each_change_alone_changes_images(name):
    images = jnp.asarray(IMAGES)
    result = run(jax.random.key(1), images, **{**OFF, name: ON[name]})
    assert result.dtype == jnp.float32
    assert result.shape == IMAGES.shape
    assert not np.array_equal(result, IMAGES.astype(np.float32))
    assert 0 <= float(result.min()) <= float(result.max()) < 255.001  # the weights of four neighbours add to 1, rounded


CORNERS = np.array([[0, 0], [12, 12], [3, 9], [12, 0], [6, 6], [1, 11]], np.float32)


def test_a_crop_is_a_square_enlarged():
    images = jnp.asarray(IMAGES, jnp.float32)
    cropped = apply_moves(images, Moves(crop_px=jnp.asarray(CORNERS - 6)), 0.75)
    for image, result, (top, left) in zip(images, cropped, CORNERS.astype(int), strict=True):
        enlarged = jax.image.resize(image[top : top + 36, left : left + 36], (48, 48, 1), "bilinear")
        # At the border the square's neighbours in the image are met, where resizing has none.
        np.testing.assert_allclose(result[1:-1, 1:-1], enlarged[1:-1, 1:-1], atol=1e-2)


def test_the_crop_is_of_what_the_other_moves_make():
    others = make_moves(tuple(FIXED))
    crop = others._replace(crop_px=jnp.asarray(CORNERS - 6))
    cropped = np.asarray(find_matrices(crop, side_px=48, crop_fraction=0.75))
    moved = np.asarray(find_matrices(others, side_px=48))
    pixel = np.array([10.0, 30.0])
    for with_crop, without, corner in zip(cropped, moved, CORNERS, strict=True):
        within = 0.75 * (pixel + 0.5) - 0.5 + corner
        np.testing.assert_allclose(with_crop @ [*pixel, 1], without @ [*within, 1], rtol=1e-4, atol=1e-3)


def test_one_key_one_result_and_seeds_side_by_side():
    images, keys = jnp.asarray(IMAGES), jax.random.split(jax.random.key(3), 3)
    several = jax.jit(jax.vmap(lambda key: run(key, images, **ON)))(keys)
    for key, result in zip(keys, several, strict=True):
        np.testing.assert_allclose(result, run(key, images, **ON), atol=2e-2)
    np.testing.assert_array_equal(run(keys[0], images, **ON), run(keys[0], images, **ON))
    assert not np.array_equal(several[0], several[1])


def test_draws_fill_their_ranges_evenly():
    batch = 4000
    drawn = draw(jax.random.key(4), batch, **ON)
    assert abs(float(drawn.flip.mean()) - 0.5) < 0.03
    columns = {}
    for name, low, high in (
        ("rotation_deg", -15, 15),
        ("shear_deg", -10, 10),
        ("shift_px", -7.2, 7.2),
        ("zoom", 0.8, 1.2),
        ("crop_px", -6, 6),
    ):
        values = np.asarray(getattr(drawn, name)).reshape(batch, -1)
        for axis in range(values.shape[1]):
            columns[name, axis] = (values[:, axis] - low) / (high - low)
    for name, unit in columns.items():
        assert 0 <= unit.min() < 0.02, name
        assert 0.98 < unit.max() <= 1, name
        assert abs(unit.mean() - 0.5) < 0.02, name
        assert abs(unit.std() - 12**-0.5) < 0.01, name
    independent = np.corrcoef(np.stack([*columns.values(), drawn.flip]))
    assert np.abs(independent - np.eye(len(independent))).max() < 0.08


def test_turning_one_change_off_leaves_the_others_draws():
    full = draw(jax.random.key(5), len(IMAGES), **ON)
    less = draw(jax.random.key(5), len(IMAGES), **{**ON, "flip_prob": 0.0, "shift_fraction": 0.0})
    assert less.flip is None
    assert less.shift_px is None
    for name in ("rotation_deg", "shear_deg", "zoom", "crop_px"):
        np.testing.assert_array_equal(getattr(full, name), getattr(less, name))


def test_a_longer_batch_leaves_the_draws_of_its_first_images():
    for few, many in zip(draw(jax.random.key(5), 6, **ON), draw(jax.random.key(5), 16, **ON), strict=True):
        np.testing.assert_array_equal(few, many[:6])
