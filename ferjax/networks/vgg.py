"""VGG (Simonyan & Zisserman 2014, arXiv 1409.1556) without its three dense layers, ending in a global pool."""

import flax.linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from ferjax.networks.head import Head
from ferjax.networks.layers.conv import Conv3x3, scale_width
from ferjax.networks.layers.norm import BatchNorm
from ferjax.networks.layers.pool import max_pool2x2

WIDTHS = (64, 128, 256, 512, 512)
# Convolutions in each of the five blocks; every block ends in a 2x2 max pool.
DEPTHS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}


class VGG(nn.Module):
    """Five blocks of 3x3 convolutions and ReLU, a global pool, and the dense head.

    Layers are named as in Keras (`block3_conv2`), with `block3_norm2` beside them where `batch_norm` is on. The batch
    norm of `frozen_layers` normalises by its running statistics in training too, and leaves them as they are.
    """

    depths: tuple[int, ...]
    batch_norm: bool
    num_classes: int
    pool: str
    hidden: tuple[int, ...]
    dropout: float
    width: float
    dtype: DTypeLike
    axis_name: str | None = None
    frozen_layers: frozenset[str] = frozenset()
    exact_convolution: bool = False
    in_channels: int = 3

    @nn.compact
    def __call__(
        self, x: Float[Array, "b 48 48 3"], *, train: bool, mask: Bool[Array, " b"] | None = None
    ) -> Float[Array, "b k"]:
        for block, (depth, width) in enumerate(zip(self.depths, WIDTHS, strict=True), start=1):
            for layer in range(1, depth + 1):
                features, name = scale_width(width, self.width), f"block{block}_conv{layer}"
                x = Conv3x3(features, dtype=self.dtype, exact=self.exact_convolution, name=name)(x)
                if self.batch_norm:
                    name = f"block{block}_norm{layer}"
                    x = BatchNorm(self.dtype, self.axis_name, name=name)(
                        x, train=train and name not in self.frozen_layers, mask=mask
                    )
                x = nn.relu(x)
            x = max_pool2x2(x)
        head = Head(self.num_classes, self.pool, self.hidden, self.dropout, self.dtype, self.axis_name, name="head")
        return head(x, train=train)
