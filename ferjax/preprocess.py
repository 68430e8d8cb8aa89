"""From stored gray levels to what a model eats: the one place, for training and for serving."""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

SCALINGS = ("minmax", "none", "imagenet_caffe", "imagenet_torch")

# Of ImageNet: blue, green, red in 0..255 for the VGG weights that came from Caffe (Simonyan & Zisserman 2014), and red,
# green, blue in 0..1 for torchvision's and timm's.
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_TORCH_MEAN_RGB, _TORCH_STD_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def preprocess(
    images: UInt8[Array, "*b 48 48 1"] | Float[Array, "*b 48 48 1"],
    *,
    scaling: str,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "*b 48 48 c"]:
    """Scale gray levels 0..255 and copy the gray channel to `channels` channels.

    `scaling` is 'none' (0..255), 'minmax' (0..1), or what ImageNet weights were trained with: 'imagenet_caffe' (0..255
    less each channel's mean, the channels being blue, green, red, as Keras's VGG) or 'imagenet_torch' (0..1 less each
    channel's mean, over its standard deviation; red, green, blue). One channel takes the mean over the three channels
    of mean and deviation.

    `images` are uint8 as stored, or float gray levels 0..255 as augmentation leaves them. The range of min-max is that
    of the format, not of the image, so that an image's result does not depend on its neighbours. The scaling is done in
    float32 and rounded once to `dtype`. Raises ValueError for another scaling, and for an ImageNet scaling of other
    than one or three channels.
    """
    factor, shift = _affine(scaling, channels)
    gray = jnp.broadcast_to(images.astype(jnp.float32), (*images.shape[:-1], channels))
    if scaling == "minmax":
        gray = gray / 255.0  # not a product with the reciprocal, which rounds 255 to a number below 1
    elif scaling != "none":
        gray = gray * factor + shift
    return gray.astype(dtype)


def _affine(scaling: str, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Factor and shift of each channel that take a gray level 0..255 to what the model eats."""
    if scaling not in SCALINGS:
        raise ValueError(f"data.scaling {scaling!r} is not one of {', '.join(SCALINGS)}.")
    if scaling == "imagenet_caffe":
        mean, std = np.array(_CAFFE_MEAN_BGR), np.ones(3)
    elif scaling == "imagenet_torch":
        mean, std = 255.0 * np.array(_TORCH_MEAN_RGB), 255.0 * np.array(_TORCH_STD_RGB)
    else:
        return np.ones(channels, np.float32), np.zeros(channels, np.float32)
    if channels == 1:
        mean, std = mean.mean(keepdims=True), std.mean(keepdims=True)
    if len(mean) != channels:
        raise ValueError(f"data.scaling {scaling!r} is for one or three channels, not {channels}.")
    return (1.0 / std).astype(np.float32), (-mean / std).astype(np.float32)
