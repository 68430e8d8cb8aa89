"""ResNet (He et al. 2016, arXiv 1512.03385) of basic units, with a 3x3 stem for images of about 48 pixels."""

import functools
import types
from collections.abc import Mapping
from typing import ClassVar

import flax.linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ferjax.keys import Key, Keys, Range
from ferjax.networks.base import INFERENCE, Classifier, Context, Entry, check_side
from ferjax.networks.head import Head
from ferjax.networks.layers.conv import Conv3x3, scale_width
from ferjax.networks.layers.norm import BatchNorm
from ferjax.networks.layers.relu import relu

WIDTHS = (64, 128, 256, 512)
# How many units each of the four blocks has.
DEPTHS: Mapping[str, tuple[int, ...]] = types.MappingProxyType({"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)})


class Unit(nn.Module):
    """Two 3x3 convolutions with batch norm, added to the input.

    Where the number of pixels or channels changes, the input passes a 1x1 convolution with batch norm. The last batch
    norm's scale begins at 0, so that a unit begins as nothing but that (Goyal et al. 2017, arXiv 1706.02677).
    """

    features: int
    stride: int
    dtype: DTypeLike
    exact: bool

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], context: Context) -> Float[Array, "b p q f"]:
        y = _convolve(self.features, self.stride, self.dtype, self.exact, "conv1")(x)
        y = relu(BatchNorm(self.dtype, name="norm1")(y, context))
        y = _convolve(self.features, 1, self.dtype, self.exact, "conv2")(y)
        y = BatchNorm(self.dtype, zero_scale=True, name="norm2")(y, context)
        if x.shape != y.shape:
            strides = (self.stride, self.stride)
            x = nn.Conv(self.features, (1, 1), strides, use_bias=False, dtype=self.dtype, name="shortcut_conv")(x)
            x = BatchNorm(self.dtype, name="shortcut_norm")(x, context)
        return relu(x + y)


class ResNet(Classifier):
    """A 3x3 convolution of stride `resnet_stem_stride`, then four blocks of units; each but the first halves the sides.

    At 48 pixels and stride 2 the blocks compute at 24, 12, 6 and 3 pixels. Stride 1, as networks for CIFAR's 32 pixels
    have it, costs four times as much.
    """

    in_channels: ClassVar[int] = 1
    depths: tuple[int, ...]
    resnet_stem_stride: int

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], context: Context = INFERENCE) -> Float[Array, "b k"]:
        check_side(images, halvings=len(self.depths) + self.resnet_stem_stride - 2)
        form = (self.dtype, self.exact_convolution)
        x = _convolve(scale_width(WIDTHS[0], self.width), self.resnet_stem_stride, *form, "block0_conv1")(images)
        x = relu(BatchNorm(self.dtype, name="block0_norm1")(x, context))
        for block, (depth, width) in enumerate(zip(self.depths, WIDTHS, strict=True), start=1):
            for unit in range(1, depth + 1):
                stride = 2 if block > 1 and unit == 1 else 1
                features = scale_width(width, self.width)
                x = Unit(features, stride, *form, name=f"block{block}_unit{unit}")(x, context)
        head = Head(self.num_classes, self.pool, self.hidden, self.dropout, self.dtype, name="head")
        return head(x, context)


def _convolve(features: int, stride: int, dtype: DTypeLike, exact: bool, name: str) -> nn.Module:
    """Make a 3x3 convolution without a bias: stride 1 in the fastest form for the device, others in XLA's."""
    if stride == 1:
        return Conv3x3(features, use_bias=False, dtype=dtype, exact=exact, name=name)
    start = nn.initializers.he_normal()
    return nn.Conv(features, (3, 3), (stride, stride), 1, use_bias=False, dtype=dtype, kernel_init=start, name=name)


KEYS: Keys = types.MappingProxyType(
    {"resnet_stem_stride": Key(2, Range(1, 2, whole=True), "stride of the first convolution of a resnet")}
)
NETWORKS: Mapping[str, Entry] = types.MappingProxyType(
    {name: Entry(functools.partial(ResNet, depths=depths), KEYS) for name, depths in DEPTHS.items()}
)
