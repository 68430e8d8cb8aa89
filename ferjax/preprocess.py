"""From images to a network's input, the same for training and for everything that predicts."""

from types import MappingProxyType
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Num, UInt8
from PIL import Image

from ferjax.data.readers.levels import choose_top, find_highest, is_real
from ferjax.keys import Choice, Key, Keys

# What a user may give, and what `fit_images` makes of it.
GivenImages: TypeAlias = Bool[np.ndarray, "..."] | Num[np.ndarray, "..."]
ImageArray: TypeAlias = UInt8[np.ndarray, "..."] | Float[np.ndarray, "..."]

# No image is so narrow: a last side like this is one of channels, though perhaps of a number that no image has.
NARROWEST_PX = 8

SCALINGS = ("minmax", "none", "imagenet_caffe", "imagenet_torch")

KEYS: Keys = MappingProxyType(
    {
        "scaling": Key(
            "minmax",
            Choice(SCALINGS),
            "how the pixel values 0..255 are scaled for the network: 'minmax' to 0..1, 'none' not at all, "
            "'imagenet_caffe' as the weights of Keras's VGG were trained, 'imagenet_torch' as those of "
            "torchvision and timm were",
        )
    }
)

# Of ImageNet: blue, green, red in 0..255 for the VGG weights that came from Caffe (Simonyan & Zisserman 2014), and red,
# green, blue in 0..1 for torchvision's and timm's.
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_TORCH_MEAN_RGB, _TORCH_STD_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# How much of a gray level each of red, green and blue makes: ITU-R BT.601, as in Pillow's conversion to 'L'.
_LUMA_RGB = (0.299, 0.587, 0.114)


def preprocess(
    images: UInt8[Array, "*b h w s"] | Float[Array, "*b h w s"],
    *,
    scaling: str,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "*b h w c"]:
    """Scale pixel values 0..255 and make them `channels` channels.

    A gray image is copied to every channel; red, green and blue become one channel by their luma, or stay as they are.
    `scaling` is 'none' (0..255), 'minmax' (0..1), or what ImageNet weights were trained with: 'imagenet_caffe' (0..255
    less each channel's mean, the channels being blue, green, red, as Keras's VGG) or 'imagenet_torch' (0..1 less each
    channel's mean, over its standard deviation; red, green, blue). One channel takes the mean over the three channels
    of mean and deviation.

    `images` are uint8 as stored, or float values 0..255 as augmentation leaves them. The range of min-max is that of
    the format, not of the image, so that an image's result does not depend on its neighbours. The scaling is done in
    float32 and rounded once to `dtype`. Raises ValueError for another scaling, for an ImageNet scaling of other than
    one or three channels, and for channels that cannot be made of the images'.
    """
    factor, shift = _affine(scaling, channels)
    values = _choose_channels(images.astype(jnp.float32), channels)
    if scaling == "minmax":
        values = values / 255.0  # not a product with the reciprocal, which rounds 255 to a number below 1
    elif scaling != "none":
        if scaling == "imagenet_caffe" and images.shape[-1] == channels == 3:
            values = values[..., ::-1]
        values = values * factor + shift
    return values.astype(dtype)


def _choose_channels(values: Float[Array, "*b h w s"], channels: int) -> Float[Array, "*b h w c"]:
    stored = values.shape[-1]
    if stored == channels:
        return values
    if stored == 1:
        return jnp.broadcast_to(values, (*values.shape[:-1], channels))
    if stored == 3 and channels == 1:
        return (values * jnp.asarray(_LUMA_RGB, jnp.float32)).sum(-1, keepdims=True)
    raise ValueError(f"Images of {stored} channels cannot become the {channels} that the network takes.")


def _affine(scaling: str, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return each channel's factor and shift, which turn a value 0..255 into the network's input."""
    if scaling not in SCALINGS:
        raise ValueError(f"input.scaling {scaling!r} is not one of {', '.join(SCALINGS)}.")
    if scaling == "imagenet_caffe":
        mean, std = np.array(_CAFFE_MEAN_BGR), np.ones(3)
    elif scaling == "imagenet_torch":
        mean, std = 255.0 * np.array(_TORCH_MEAN_RGB), 255.0 * np.array(_TORCH_STD_RGB)
    else:
        return np.ones(channels, np.float32), np.zeros(channels, np.float32)
    if channels == 1:
        mean, std = mean.mean(keepdims=True), std.mean(keepdims=True)
    if len(mean) != channels:
        raise ValueError(f"input.scaling {scaling!r} is for one or three channels, not {channels}.")
    return (1.0 / std).astype(np.float32), (-mean / std).astype(np.float32)


def fit_images(images: GivenImages, image_shape: tuple[int, int, int]) -> ImageArray:
    """Return images as [n, height, width, channels] of `image_shape`, values 0..255.

    Images of another size are scaled by Pillow's bilinear filter, and colour becomes gray by its luma, as the readers
    of training images do it. What is not uint8 is scaled by the smallest usual range that holds all of the images
    (ferjax.data.readers.levels): floats up to 1 are fractions of white. Raises ValueError for an array that holds no
    images, and for levels outside of 0..65535.
    """
    array = np.asarray(images)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] < NARROWEST_PX):
        array = array[None]
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or 0 in array.shape[1:]:
        raise ValueError(
            f"images of shape {list(np.shape(images))} are none: give [n, h, w] or [n, h, w, c], c being 1 or 3."
        )
    if array.dtype != np.uint8:
        top = 1 if array.dtype == np.bool_ else choose_top([find_highest(array)], real=is_real(array))
        array = array.astype(np.float32) * np.float32(255 / top)
    height, width, channels = image_shape
    if array.shape[1:] == (height, width, channels):
        return array
    fitted = [_fit_one(image, height, width, channels) for image in array]
    return np.stack(fitted) if fitted else np.zeros((0, height, width, channels), array.dtype)


def _fit_one(image: ImageArray, height: int, width: int, channels: int) -> ImageArray:
    if channels == 1 and image.shape[-1] == 3 and image.dtype == np.uint8:
        image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    elif channels == 1 and image.shape[-1] == 3:
        image = (image * np.array(_LUMA_RGB, np.float32)).sum(-1, keepdims=True, dtype=np.float32)
    elif image.shape[-1] != channels:
        image = np.repeat(image, channels, axis=-1)
    if image.shape[:2] == (height, width):
        return image
    planes = [Image.fromarray(np.ascontiguousarray(image[..., i])) for i in range(channels)]
    scaled = [np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in planes]
    return np.stack(scaled, axis=-1)
