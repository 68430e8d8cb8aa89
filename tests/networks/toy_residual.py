"""A network that ferjax does not have: residual, strided, nested, with grouped convolutions and published weights.

It is written as a file of ferjax/networks would be, so that the tests show what such a file needs.
"""

import re
import types
from typing import ClassVar

import flax.linen as nn

from ferjax.config.keys import SIZE, Key
from ferjax.networks.base import INFERENCE, Classifier, Context, Entry, check_side
from ferjax.networks.head import Head
from ferjax.networks.layers.conv import scale_width
from ferjax.networks.layers.norm import BatchNorm
from ferjax.networks.sources import File, Source, torch_batch_norm, torch_conv

WIDTHS, GROUPS = (8, 16), 2


class Block(nn.Module):
    """A strided block: 3x3 and grouped 3x3 convolutions beside a 1x1 shortcut."""

    features: int
    stride: int
    dtype: object

    @nn.compact
    def __call__(self, x, context: Context):
        def conv(side, name, stride=1, groups=1):
            return nn.Conv(
                self.features, (side, side), (stride, stride), use_bias=False, feature_group_count=groups,
                dtype=self.dtype, name=name,
            )  # fmt: skip

        y = nn.relu(BatchNorm(self.dtype, name="norm1")(conv(3, "conv1", self.stride)(x), context))
        y = BatchNorm(self.dtype, name="norm2")(conv(3, "conv2", groups=GROUPS)(y), context)
        shortcut = BatchNorm(self.dtype, name="shortcut_norm")(conv(1, "shortcut", self.stride)(x), context)
        return nn.relu(y + shortcut)


class Stage(nn.Module):
    """Blocks of one width, the first of them strided."""

    features: int
    blocks: int
    dtype: object

    @nn.compact
    def __call__(self, x, context: Context):
        for number in range(self.blocks):
            x = Block(self.features, 1 if number else 2, self.dtype, name=f"block{number}")(x, context)
        return x


class ToyResidual(Classifier):
    """Two stages of residual blocks."""

    in_channels: ClassVar[int] = 3
    blocks: int

    @nn.compact
    def __call__(self, images, context: Context = INFERENCE):
        check_side(images, halvings=len(WIDTHS))
        x = images
        for number, width in enumerate(WIDTHS, start=1):
            x = Stage(scale_width(width, self.width), self.blocks, self.dtype, name=f"stage{number}")(x, context)
        head = Head(self.num_classes, self.pool, self.hidden, self.dropout, self.dtype, name="head")
        return head(x, context)


def create_table(blocks):
    """Where the tensors of the made-up files belong, which are named as torch names a ResNet's."""
    table, channels = {}, 3
    for stage, width in enumerate(WIDTHS, start=1):
        for block in range(blocks):
            here, there = f"stage{stage}/block{block}", f"layer{stage}.{block}"
            table |= torch_conv(f"{there}.conv1", f"{here}/conv1", (3, 3, channels, width), bias=False)
            table |= torch_batch_norm(f"{there}.bn1", f"{here}/norm1", width)
            table |= torch_conv(f"{there}.conv2", f"{here}/conv2", (3, 3, width // GROUPS, width), bias=False)
            table |= torch_batch_norm(f"{there}.bn2", f"{here}/norm2", width)
            table |= torch_conv(f"{there}.downsample.0", f"{here}/shortcut", (1, 1, channels, width), bias=False)
            table |= torch_batch_norm(f"{there}.downsample.1", f"{here}/shortcut_norm", width)
            channels = width
    return types.MappingProxyType(table)


NETWORKS = types.MappingProxyType(
    {
        "toy": Entry(
            ToyResidual,
            keys={"blocks": Key(1, SIZE, "residual blocks of each stage")},
            published={
                "toyhub": Source(
                    "safetensors",
                    create_table(blocks=1),
                    re.compile(r"fc\..+|.+\.num_batches_tracked"),
                    "minmax",
                    (File("toy.safetensors", "http://127.0.0.1:9/toy.safetensors", None),),
                )
            },
        )
    }
)
