"""Test-time views: several versions of each image, whose probabilities are averaged.

They cost as many forward passes as there are views, so they belong to the end of a run and to use, not to validation.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Images: TypeAlias = Float[Array, "b h w c"]
View: TypeAlias = Callable[[Images], Images]


def _keep(images: Images) -> Images:
    return images


def _mirror(images: Images) -> Images:
    return images[:, :, ::-1]


def _shift(rows: int, columns: int) -> View:
    """Move the image by so many 24ths of its sides; the nearest edge pixel fills the gap."""

    def view(images: Images) -> Images:
        height, width = images.shape[1:3]
        down, right = rows * (height // 24), columns * (width // 24)
        padded = jnp.pad(images, ((0, 0), (abs(down),) * 2, (abs(right),) * 2, (0, 0)), mode="edge")
        return padded[:, abs(down) - down :, abs(right) - right :][:, :height, :width]

    return view


def _crop(row: float, column: float) -> View:
    """Cut out eleven twelfths of each side, and enlarge it to the whole size.

    `row` and `column` are the shares of the rest that are cut off above it and left of it.
    """

    def view(images: Images) -> Images:
        height, width = images.shape[1:3]
        high, wide = height - height // 12, width - width // 12
        top, left = round(row * (height - high)), round(column * (width - wide))
        cut = images[:, top : top + high, left : left + wide]
        resized: Images = jax.image.resize(cut, images.shape, "bilinear")
        return resized

    return view


def _shrink(images: Images) -> Images:
    """Add a 24th of each side around the image, by its nearest edge pixel, and reduce all that to the image's size."""
    height, width = images.shape[1:3]
    padded = jnp.pad(images, ((0, 0), (height // 24,) * 2, (width // 24,) * 2, (0, 0)), mode="edge")
    resized: Images = jax.image.resize(padded, images.shape, "bilinear")
    return resized


def _with_mirror(views: tuple[View, ...]) -> tuple[View, ...]:
    def mirrored(view: View) -> View:
        return lambda images: _mirror(view(images))

    return (*views, *map(mirrored, views))


_SHIFTS = (_keep, _shift(1, 0), _shift(-1, 0), _shift(0, 1), _shift(0, -1))
# The image, and what is an eleventh larger and a thirteenth smaller: training's zooms go on both sides too.
_SHIFTS_ZOOMS = (*_SHIFTS, _crop(0.5, 0.5), _shrink)
# The centre and the four corners, as in Krizhevsky et al. 2012's ten views.
_CROPS = (_crop(0.5, 0.5), _crop(0.0, 0.0), _crop(0.0, 1.0), _crop(1.0, 0.0), _crop(1.0, 1.0))

# By name: the views whose probabilities are averaged. 'none' is the image as it is.
VIEWS: Mapping[str, tuple[View, ...]] = MappingProxyType(
    {
        "none": (_keep,),
        "mirror": (_keep, _mirror),
        "shifts": _SHIFTS,
        "crops": _CROPS,
        "mirror_shifts": _with_mirror(_SHIFTS),
        "mirror_crops": _with_mirror(_CROPS),
        "mirror_shifts_zooms": _with_mirror(_SHIFTS_ZOOMS),
    }
)


def average_views(logits: Sequence[Float[Array, "b k"]]) -> Float[Array, "b k"]:
    """Return the logarithm of the mean of the views' probabilities.

    These can be given to a loss as logits: their softmax is the mean probabilities.
    """
    return jax.nn.logsumexp(jax.nn.log_softmax(jnp.stack(logits)), axis=0) - math.log(len(logits))
