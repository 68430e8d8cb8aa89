"""Random changes to a batch of images, on the device: one affine sample per image, then random erasing.

The affine part follows Keras's legacy `ImageDataGenerator`, which the course report's notebooks used: the same matrices
in the same order, the same centre, bilinear interpolation, and the nearest edge pixel outside the image.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Bool, Float, Float32, Int32, PRNGKeyArray, UInt8

from ferjax.keys import FRACTION, Key, Keys, Range

KEYS: Keys = {
    "flip_prob": Key(0.5, FRACTION, "chance of a mirror image"),
    "rotation_deg": Key(15.0, Range(0, 180), "uniform in +-this"),
    "shift_fraction": Key(0.15, FRACTION, "of the image side, each axis uniform in +-this"),
    "zoom_fraction": Key(0.15, Range(0, 0.9), "each axis's scale uniform in 1 +- this"),
    "shear_deg": Key(0.0, Range(0, 80), "uniform in +-this"),
    "erase_prob": Key(0.0, FRACTION, "chance of one erased square"),
    "erase_px": Key(12, Range(1, 48, whole=True), "side of the erased square"),
}

Images = UInt8[Array, "b 48 48 1"] | Float[Array, "b 48 48 1"]


class Parameters(NamedTuple):
    """What was drawn for each image of a batch; None where that change is off.

    `shift_px` and `zoom` hold (row, column). A zoom above 1 shrinks the face, as in Keras: it scales output to input
    coordinates. `erase_corner_px` is the (row, column) of the square's first pixel and may lie outside the image.
    """

    flip: Bool[Array, " b"] | None = None
    rotation_deg: Float32[Array, " b"] | None = None
    shift_px: Float32[Array, "b 2"] | None = None
    shear_deg: Float32[Array, " b"] | None = None
    zoom: Float32[Array, "b 2"] | None = None
    erase: Bool[Array, " b"] | None = None
    erase_corner_px: Int32[Array, "b 2"] | None = None
    erase_noise: UInt8[Array, "b px px"] | None = None


def augment(
    key: PRNGKeyArray,
    images: Images,
    *,
    flip_prob: float,
    rotation_deg: float,
    shift_fraction: float,
    zoom_fraction: float,
    shear_deg: float,
    erase_prob: float,
    erase_px: int,
    axis_name: str | None = None,
) -> Float32[Array, "b 48 48 1"]:
    """Draw and apply one random change per image; gray levels 0..255 in, gray levels 0..255 out, as float32.

    Ranges (see `draw_parameters`) are Python numbers, and a change whose range is 0 is not traced at all: with all of
    them off this is a cast. Under a mapped `axis_name` every shard draws for the images of all shards, which costs next
    to nothing, and takes its own, so that a batch changes in the same way on one device as on many.
    """
    rows = images.shape[0]
    params = draw_parameters(
        key,
        rows if axis_name is None else rows * jax.lax.axis_size(axis_name),
        side_px=images.shape[1],
        flip_prob=flip_prob,
        rotation_deg=rotation_deg,
        shift_fraction=shift_fraction,
        zoom_fraction=zoom_fraction,
        shear_deg=shear_deg,
        erase_prob=erase_prob,
        erase_px=erase_px,
    )
    if axis_name is not None:
        first = jax.lax.axis_index(axis_name) * rows
        params = jax.tree.map(lambda drawn: jax.lax.dynamic_slice_in_dim(drawn, first, rows), params)
    moves = (params.rotation_deg, params.shift_px, params.shear_deg, params.zoom)
    if any(move is not None for move in moves):
        moved = apply_affine(images, affine_matrices(params, side_px=images.shape[1]))
    elif params.flip is not None:
        moved = jnp.where(params.flip[:, None, None, None], images[:, :, ::-1], images).astype(jnp.float32)
    else:
        moved = images.astype(jnp.float32)
    return apply_erasing(moved, params)


def draw_parameters(
    key: PRNGKeyArray,
    batch: int,
    *,
    side_px: int = 48,
    flip_prob: float,
    rotation_deg: float,
    shift_fraction: float,
    zoom_fraction: float,
    shear_deg: float,
    erase_prob: float,
    erase_px: int,
) -> Parameters:
    """Draw the changes of `batch` images.

    Rotation and shear are uniform in +- their degrees, each axis's shift in +- `shift_fraction` of the side, each
    axis's zoom in 1 +- `zoom_fraction`. The erased square is centred on a uniformly drawn pixel, so it may overlap the
    border.

    All numbers come from one call, and each change has its own column of them: turning one off leaves the others' draws
    as they were, and so does a longer batch those of its first images.
    """
    uniform_key, noise_key = jax.random.split(key)
    u = jax.random.uniform(uniform_key, (batch, 10)).T
    signed = 2.0 * u - 1.0
    erases = erase_prob > 0
    centre = jnp.minimum((u[8:10].T * side_px).astype(jnp.int32), side_px - 1)  # u * side may round up to side
    return Parameters(
        flip=u[0] < flip_prob if flip_prob else None,
        rotation_deg=signed[1] * rotation_deg if rotation_deg else None,
        shift_px=signed[2:4].T * (shift_fraction * side_px) if shift_fraction else None,
        shear_deg=signed[4] * shear_deg if shear_deg else None,
        zoom=1.0 + signed[5:7].T * zoom_fraction if zoom_fraction else None,
        erase=u[7] < erase_prob if erases else None,
        erase_corner_px=centre - erase_px // 2 if erases else None,
        erase_noise=_draw_noise(noise_key, batch, erase_px) if erases else None,
    )


def affine_matrices(params: Parameters, *, side_px: int = 48) -> Float32[Array, "b 2 3"]:
    """The map from an output pixel's (row, column, 1) to the input's (row, column): rotation, shift, shear, zoom, flip.

    The order and signs are those of Keras's `apply_affine_transform` (which writes them for (x, y) and swaps the axes)
    about the centre (side - 1) / 2; a shear by s degrees maps row to cos(s) row and column to column - sin(s) row. The
    mirror comes last, as Keras flips the moved image.

    Raises ValueError if every one of the five is None.
    """
    linear = None
    shift = jnp.zeros(2)
    if params.rotation_deg is not None:
        t = jnp.deg2rad(params.rotation_deg)
        linear = _matrix(jnp.cos(t), jnp.sin(t), -jnp.sin(t), jnp.cos(t))
    if params.shift_px is not None:
        # Linear parts further left move the shift too: Keras rotates it.
        shift = params.shift_px if linear is None else _product(linear, params.shift_px[:, :, None])[:, :, 0]
    if params.shear_deg is not None:
        s = jnp.deg2rad(params.shear_deg)
        linear = _then(linear, _matrix(jnp.cos(s), jnp.zeros_like(s), -jnp.sin(s), jnp.ones_like(s)))
    if params.zoom is not None:
        zero = jnp.zeros_like(params.zoom[:, 0])
        linear = _then(linear, _matrix(params.zoom[:, 0], zero, zero, params.zoom[:, 1]))
    if params.flip is not None:
        mirror = jnp.where(params.flip, -1.0, 1.0)
        linear = _then(linear, _matrix(jnp.ones_like(mirror), jnp.zeros_like(mirror), jnp.zeros_like(mirror), mirror))
    if linear is None:
        if params.shift_px is None:
            raise ValueError("affine_matrices needs at least one of flip, rotation, shift, shear and zoom.")
        linear = jnp.broadcast_to(jnp.eye(2), (params.shift_px.shape[0], 2, 2))
    centre = (side_px - 1) / 2
    offset = centre - centre * linear.sum(axis=2) + shift
    return jnp.concatenate([linear, offset[:, :, None]], axis=2)


def apply_affine(images: Images, matrices: Float32[Array, "b 2 3"]) -> Float32[Array, "b 48 48 1"]:
    """Sample each image where its matrix sends the output pixels: bilinear, the nearest edge pixel outside.

    A batch of 128 takes 1.7 ms on one Zen 3 core. Gathers flattened over the batch (1.2 times as slow, and not to be
    sharded along it), the four neighbours packed into one int32 (0.9 to 1.1), coordinates by a matrix product and a
    gather of 2x2 slices (2.5) were tried: XLA fuses all but the last into much the same loop.
    """
    side = images.shape[1]

    def sample(image: Float32[Array, "48 48"], matrix: Float32[Array, "2 3"]) -> Float32[Array, "48 48"]:
        grid = jnp.arange(side, dtype=jnp.float32)
        row, column = (
            matrix[:, 0, None, None] * grid[:, None] + matrix[:, 1, None, None] * grid + matrix[:, 2, None, None]
        )
        return map_coordinates(image, [row, column], order=1, mode="nearest")

    return jax.vmap(sample)(images[..., 0].astype(jnp.float32), matrices)[..., None]


def apply_erasing(images: Float32[Array, "b 48 48 1"], params: Parameters) -> Float32[Array, "b 48 48 1"]:
    """Fill each image's drawn square with uniform noise of 0..255 gray levels (Zhong et al. 2017, arXiv 1708.04896).

    As in the paper's RE-R every erased pixel gets its own random value; unlike the paper the square has one size and
    may overlap the border, where it is cut off. The identity where erasing is off.
    """
    if params.erase is None or params.erase_corner_px is None or params.erase_noise is None:
        return images
    side, px = images.shape[1], params.erase_noise.shape[1]
    distance = jnp.arange(side, dtype=jnp.int32) - params.erase_corner_px[:, :, None]
    inside = (distance >= 0) & (distance < px)
    erased = params.erase[:, None, None] & inside[:, 0, :, None] & inside[:, 1, None, :]
    # Tiled over the image, a px-square of noise shows each of its values exactly once in any px-square window.
    repeats = math.ceil(side / px)
    noise = jnp.tile(params.erase_noise, (1, repeats, repeats))[:, :side, :side]
    return jnp.where(erased[..., None], noise[..., None].astype(jnp.float32), images)


def _draw_noise(key: PRNGKeyArray, batch: int, px: int) -> UInt8[Array, "b px px"]:
    """Uniform gray levels, four to a random word: a draw of bytes would compute a word for each of them."""
    words = jax.random.bits(key, (batch, px, math.ceil(px / 4)), jnp.uint32)
    return jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(batch, px, -1)[:, :, :px]


def _matrix(
    a: Float32[Array, " b"], b: Float32[Array, " b"], c: Float32[Array, " b"], d: Float32[Array, " b"]
) -> Float32[Array, "b 2 2"]:
    """[[a, b], [c, d]] for each image."""
    return jnp.stack([jnp.stack([a, b], axis=-1), jnp.stack([c, d], axis=-1)], axis=-2)


def _then(left: Float32[Array, "b 2 2"] | None, right: Float32[Array, "b 2 2"]) -> Float32[Array, "b 2 2"]:
    return right if left is None else _product(left, right)


def _product(left: Float32[Array, "b i j"], right: Float32[Array, "b j k"]) -> Float32[Array, "b i k"]:
    """Matrix product by multiply and add: exact float32 on every backend, which a dot is not by default."""
    return (left[:, :, :, None] * right[:, None, :, :]).sum(axis=2)
