"""A mirror image, rotation, shift, shear, zoom and crop of each image, in one sampling.

They follow Keras's legacy `ImageDataGenerator`, which the course report's notebooks used: the same matrices in the same
order, the same centre, bilinear interpolation, and the nearest edge pixel outside the image. The crop is not theirs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Bool, Float, Float32, PRNGKeyArray, UInt8

from ferjax.augment.shards import Shards, Transform
from ferjax.batch import Batch
from ferjax.keys import FRACTION, Key, Keys, Range

KEYS: Keys = {
    "flip_prob": Key(0.5, FRACTION, "chance that an image is mirrored, left to right"),
    "rotation_deg": Key(15.0, Range(0, 180), "each image is turned by an angle drawn from +- this, in degrees"),
    "shift_fraction": Key(
        0.15, FRACTION, "each image is shifted along both axes by shares of its side drawn from +- this"
    ),
    "zoom_fraction": Key(0.15, Range(0, 0.9), "each axis of an image is scaled by a factor drawn from 1 +- this"),
    "shear_deg": Key(0.0, Range(0, 80), "each image is sheared by an angle drawn from +- this, in degrees"),
    "crop_fraction": Key(
        1.0,
        Range(0.1, 1),
        "side of a square at a random place of each image, as a share of the image's side, that is cut out and "
        "enlarged to the whole; 1 is off, and 11/12 is what eval.views=crops looks at",
    ),
}


class Moves(NamedTuple):
    """What was drawn for each image of a batch; None where that move is off.

    `shift_px`, `zoom` and `crop_px` hold (row, column). A zoom above 1 shrinks the face, as in Keras: it scales output
    to input coordinates. `crop_px` is the way from the image's centre to that of the square which is cut out.
    """

    flip: Bool[Array, " b"] | None = None
    rotation_deg: Float32[Array, " b"] | None = None
    shift_px: Float32[Array, "b 2"] | None = None
    shear_deg: Float32[Array, " b"] | None = None
    zoom: Float32[Array, "b 2"] | None = None
    crop_px: Float32[Array, "b 2"] | None = None


def create(
    *,
    flip_prob: float,
    rotation_deg: float,
    shift_fraction: float,
    zoom_fraction: float,
    shear_deg: float,
    crop_fraction: float,
) -> Transform | None:
    """Make the transform that moves each image; None where every move is off.

    The ranges are those of `draw_moves`; a move whose range is 0 is not traced at all.
    """
    if not any((flip_prob, rotation_deg, shift_fraction, zoom_fraction, shear_deg, crop_fraction < 1)):
        return None

    def move(key: PRNGKeyArray, batch: Batch, shards: Shards) -> Batch:
        side_px = batch.images.shape[1]

        def draw(rows: int) -> Moves:
            return draw_moves(
                key,
                rows,
                side_px=side_px,
                flip_prob=flip_prob,
                rotation_deg=rotation_deg,
                shift_fraction=shift_fraction,
                zoom_fraction=zoom_fraction,
                shear_deg=shear_deg,
                crop_fraction=crop_fraction,
            )

        return batch.replace(images=apply_moves(batch.images, shards.draw(draw), crop_fraction))

    return move


def draw_moves(
    key: PRNGKeyArray,
    rows: int,
    *,
    side_px: int,
    flip_prob: float,
    rotation_deg: float,
    shift_fraction: float,
    zoom_fraction: float,
    shear_deg: float,
    crop_fraction: float = 1.0,
) -> Moves:
    """Draw the moves of `rows` images.

    Rotation and shear are uniform in +- their degrees, each axis's shift in +- `shift_fraction` of the side, each
    axis's zoom in 1 +- `zoom_fraction`; the square that is cut out lies anywhere within the image. All numbers but the
    square's come from one call, and each move has its own column of them: turning one off leaves the others' draws as
    they were, and so does a longer batch those of its first images.
    """
    u = jax.random.uniform(key, (rows, 7)).T
    signed = 2.0 * u - 1.0
    return Moves(
        flip=u[0] < flip_prob if flip_prob else None,
        rotation_deg=signed[1] * rotation_deg if rotation_deg else None,
        shift_px=signed[2:4].T * (shift_fraction * side_px) if shift_fraction else None,
        shear_deg=signed[4] * shear_deg if shear_deg else None,
        zoom=1.0 + signed[5:7].T * zoom_fraction if zoom_fraction else None,
        crop_px=_draw_crops(key, rows, side_px * (1.0 - crop_fraction)) if crop_fraction < 1 else None,
    )


def _draw_crops(key: PRNGKeyArray, rows: int, spare_px: float) -> Float32[Array, "b 2"]:
    """Draw from a key of their own: in the one call, two more columns would change all other draws."""
    return (jax.random.uniform(jax.random.fold_in(key, 1), (rows, 2)) - 0.5) * spare_px


def apply_moves(
    images: Float32[Array, "b side side c"], moves: Moves, crop_fraction: float = 1.0
) -> Float32[Array, "b side side c"]:
    """Move each image; a square of `crop_fraction` of its side is cut out as `moves.crop_px` says, and enlarged.

    A mirror image alone is not sampled, and so has the image's own values.
    """
    if any(move is not None for move in moves[1:]):
        return apply_affine(images, find_matrices(moves, side_px=images.shape[1], crop_fraction=crop_fraction))
    if moves.flip is None:
        return images
    return jnp.where(moves.flip[:, None, None, None], images[:, :, ::-1], images)


def find_matrices(moves: Moves, *, side_px: int, crop_fraction: float = 1.0) -> Float32[Array, "b 2 3"]:
    """Find the map from an output pixel's (row, column, 1) to the input's (row, column) that all moves make together.

    Rotation, shift, shear and zoom have the order and signs of Keras's `apply_affine_transform` (which writes them for
    (x, y) and swaps the axes) about the centre (side - 1) / 2; a shear by s degrees maps row to cos(s) row and column
    to column - sin(s) row. The mirror comes last, as Keras flips the moved image; but for the square that is cut out of
    what all others make.

    Raises ValueError if every one of the moves is None.
    """
    linear = None
    shift = jnp.zeros(2)
    if moves.rotation_deg is not None:
        t = jnp.deg2rad(moves.rotation_deg)
        linear = _matrix(jnp.cos(t), jnp.sin(t), -jnp.sin(t), jnp.cos(t))
    if moves.shift_px is not None:
        # Linear parts further left move the shift too: Keras rotates it.
        shift = moves.shift_px if linear is None else _product(linear, moves.shift_px[:, :, None])[:, :, 0]
    if moves.shear_deg is not None:
        s = jnp.deg2rad(moves.shear_deg)
        linear = _then(linear, _matrix(jnp.cos(s), jnp.zeros_like(s), -jnp.sin(s), jnp.ones_like(s)))
    if moves.zoom is not None:
        zero = jnp.zeros_like(moves.zoom[:, 0])
        linear = _then(linear, _matrix(moves.zoom[:, 0], zero, zero, moves.zoom[:, 1]))
    if moves.flip is not None:
        mirror = jnp.where(moves.flip, -1.0, 1.0)
        linear = _then(linear, _matrix(jnp.ones_like(mirror), jnp.zeros_like(mirror), jnp.zeros_like(mirror), mirror))
    if moves.crop_px is not None:
        crop_shift = moves.crop_px if linear is None else _product(linear, moves.crop_px[:, :, None])[:, :, 0]
        shift = shift + crop_shift
        one, zero = (jnp.full_like(moves.crop_px[:, 0], value) for value in (crop_fraction, 0.0))
        linear = _then(linear, _matrix(one, zero, zero, one))
    if linear is None:
        if moves.shift_px is None:
            raise ValueError("find_matrices needs at least one of flip, rotation, shift, shear, zoom and crop.")
        linear = jnp.broadcast_to(jnp.eye(2), (moves.shift_px.shape[0], 2, 2))
    centre = (side_px - 1) / 2
    offset = centre - centre * linear.sum(axis=2) + shift
    return jnp.concatenate([linear, offset[:, :, None]], axis=2)


def apply_affine(
    images: UInt8[Array, "b side side c"] | Float[Array, "b side side c"], matrices: Float32[Array, "b 2 3"]
) -> Float32[Array, "b side side c"]:
    """Sample each image where its matrix sends the output pixels: bilinear, the nearest edge pixel outside.

    A batch of 128 takes 1.7 ms on one Zen 3 core. Gathers flattened over the batch (1.2 times as slow, and not to be
    sharded along it), the four neighbours packed into one int32 (0.9 to 1.1), coordinates by a matrix product and a
    gather of 2x2 slices (2.5) were tried: XLA fuses all but the last into much the same loop.
    """
    side = images.shape[1]

    def sample(image: Float32[Array, "side side c"], matrix: Float32[Array, "2 3"]) -> Float32[Array, "side side c"]:
        grid = jnp.arange(side, dtype=jnp.float32)
        row, column = (
            matrix[:, 0, None, None] * grid[:, None] + matrix[:, 1, None, None] * grid + matrix[:, 2, None, None]
        )

        # One after the other: a vmap over the channels would transpose the images.
        planes = [
            map_coordinates(image[..., channel], [row, column], order=1, mode="nearest")
            for channel in range(image.shape[-1])
        ]
        return jnp.stack(planes, axis=-1)

    return jax.vmap(sample)(images.astype(jnp.float32), matrices)


def _matrix(
    a: Float32[Array, " b"], b: Float32[Array, " b"], c: Float32[Array, " b"], d: Float32[Array, " b"]
) -> Float32[Array, "b 2 2"]:
    """Return [[a, b], [c, d]] for each image."""
    return jnp.stack([jnp.stack([a, b], axis=-1), jnp.stack([c, d], axis=-1)], axis=-2)


def _then(left: Float32[Array, "b 2 2"] | None, right: Float32[Array, "b 2 2"]) -> Float32[Array, "b 2 2"]:
    return right if left is None else _product(left, right)


def _product(left: Float32[Array, "b i j"], right: Float32[Array, "b j k"]) -> Float32[Array, "b i k"]:
    """Return the matrix product by multiply and add: exact float32 on every backend, which a dot is not by default."""
    return (left[:, :, :, None] * right[:, None, :, :]).sum(axis=2)
