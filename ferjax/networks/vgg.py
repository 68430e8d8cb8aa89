"""VGG (Simonyan & Zisserman 2014, arXiv 1409.1556) without its three dense layers, ending in a global pool.

ImageNet weights are published by Keras, torchvision and timm. torchvision's file names end in the first eight digits
of the file's SHA-256, and Keras's MD5s are those of `keras.applications`. For timm's files no digest is known in
advance.
"""

import functools
import re
import types
from collections.abc import Iterator, Mapping
from typing import ClassVar

import flax.linen as nn
from jaxtyping import Array, Float

from ferjax.networks.base import INFERENCE, Classifier, Context, Entry, check_side
from ferjax.networks.head import Head
from ferjax.networks.layers.conv import Conv3x3, scale_width
from ferjax.networks.layers.norm import BatchNorm
from ferjax.networks.layers.pool import max_pool2x2
from ferjax.networks.layers.relu import relu
from ferjax.networks.sources import File, Place, RenameTable, Source, keras_conv, torch_batch_norm, torch_conv

# The channels of the convolutions of each block.
WIDTHS = (64, 128, 256, 512, 512)
# How many convolutions each of the five blocks has; every block ends in a 2x2 max pool.
DEPTHS: Mapping[str, tuple[int, ...]] = types.MappingProxyType(
    {
        "vgg11": (1, 1, 2, 2, 2),
        "vgg13": (2, 2, 2, 2, 2),
        "vgg16": (2, 2, 3, 3, 3),
        "vgg19": (2, 2, 4, 4, 4),
    }
)


class VGG(Classifier):
    """Five blocks of 3x3 convolutions and ReLU, a global pool, and the dense head.

    Layers are named as in Keras (`block3_conv2`), with `block3_norm2` beside them where `batch_norm` is on.
    """

    in_channels: ClassVar[int] = 3
    depths: tuple[int, ...]
    batch_norm: bool

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], context: Context = INFERENCE) -> Float[Array, "b k"]:
        check_side(images, halvings=len(WIDTHS))
        x = images
        for block, (depth, width) in enumerate(zip(self.depths, WIDTHS, strict=True), start=1):
            for layer in range(1, depth + 1):
                features, name = scale_width(width, self.width), f"block{block}_conv{layer}"
                x = Conv3x3(features, dtype=self.dtype, exact=self.exact_convolution, name=name)(x)
                if self.batch_norm:
                    x = BatchNorm(self.dtype, name=f"block{block}_norm{layer}")(x, context)
                x = relu(x)
            x = max_pool2x2(x)
        head = Head(self.num_classes, self.pool, self.hidden, self.dropout, self.dtype, name="head")
        return head(x, context)


_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_KERAS_MD5 = {
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5": "6d6bbae143d832006294945121d1f1fc",
    "vgg16_weights_tf_dim_ordering_tf_kernels.h5": "64373286793e3c8b2b4e3219cbf3544b",
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5": "253f8cb515780f3b799900260a226db6",
    "vgg19_weights_tf_dim_ordering_tf_kernels.h5": "cbe5617147190e668d6c5d5026f83318",
}
_TORCHVISION = "https://download.pytorch.org/models"
_TORCHVISION_SHA256 = {
    "vgg11": "8a719046",
    "vgg13": "19584684",
    "vgg16": "397923af",
    "vgg19": "dcbb9e9d",
    "vgg11_bn": "6002323d",
    "vgg13_bn": "abd245e5",
    "vgg16_bn": "6c64b313",
    "vgg19_bn": "c79401a0",
}
_TIMM = "https://huggingface.co/timm"
# The authors' own weights, from Caffe, exist in torchvision's layout too: J. Johnson's two files take the input that
# Keras's do, and torchvision's IMAGENET1K_FEATURES takes red, green, blue in a scaling of its own.
_OTHER_SCALINGS: Mapping[str, str | None] = types.MappingProxyType(
    {"00b39a1b": "imagenet_caffe", "d01eb7cb": "imagenet_caffe", "88682ab5": None}
)
# The published dense layers, which the network here does not have, and torch's count of batches.
_KERAS_TOP = re.compile(r"(fc1|fc2|predictions)/(kernel|bias)")
_TORCHVISION_TOP = re.compile(r"classifier\..+|features\.\d+\.num_batches_tracked")
_TIMM_TOP = re.compile(r"(pre_logits|head)\..+|features\.\d+\.num_batches_tracked")


def _walk_layers(depths: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    """Yield block, layer in the block, channels in and channels out of every convolution."""
    channels = 3
    for block, (depth, width) in enumerate(zip(depths, WIDTHS, strict=True), start=1):
        for layer in range(1, depth + 1):
            yield block, layer, channels, width
            channels = width


def _create_keras_table(depths: tuple[int, ...]) -> RenameTable:
    """Return where the tensors of Keras's files belong: Keras has the layers' names from the authors, as VGG here."""
    table: dict[str, Place] = {}
    for block, layer, channels, width in _walk_layers(depths):
        name = f"block{block}_conv{layer}"
        table |= keras_conv(name, name, (3, 3, channels, width))
    return types.MappingProxyType(table)


def _create_torch_table(depths: tuple[int, ...], batch_norm: bool) -> RenameTable:
    """Return where the tensors of torchvision's and timm's files belong.

    Both number convolutions, batch norms, ReLUs and pools in one row: `features.7.weight`.
    """
    table: dict[str, Place] = {}
    number, last_block = 0, 1
    for block, layer, channels, width in _walk_layers(depths):
        number += block - last_block  # the pool between two blocks
        last_block = block
        table |= torch_conv(f"features.{number}", f"block{block}_conv{layer}", (3, 3, channels, width))
        number += 1
        if batch_norm:
            table |= torch_batch_norm(f"features.{number}", f"block{block}_norm{layer}", width)
            number += 1
        number += 1  # the ReLU
    return types.MappingProxyType(table)


def _list_keras_files(name: str) -> tuple[File, ...]:
    """Return Keras's files, first the one without the dense layers, which are six sevenths of the other."""
    return tuple(
        File(file, f"{_KERAS}/{name}/{file}", ("md5", md5))
        for file, md5 in _KERAS_MD5.items()
        if file.startswith(f"{name}_")
    )


def _create_entry(name: str, batch_norm: bool) -> Entry:
    depths = DEPTHS[name]
    published: dict[str, Source] = {}
    if not batch_norm:  # Keras has no VGG with batch norm
        keras_table = _create_keras_table(depths)
        published["keras"] = Source("keras", keras_table, _KERAS_TOP, "imagenet_caffe", _list_keras_files(name))
    name = f"{name}_bn" if batch_norm else name
    torch_table, sha256 = _create_torch_table(depths, batch_norm), _TORCHVISION_SHA256[name]
    file = File(f"{name}-{sha256}.pth", f"{_TORCHVISION}/{name}-{sha256}.pth", ("sha256", sha256))
    published["torchvision"] = Source(
        "torch", torch_table, _TORCHVISION_TOP, "imagenet_torch", (file,), _OTHER_SCALINGS
    )
    address = f"{_TIMM}/{name}.tv_in1k/resolve/main/model.safetensors"
    file = File(f"{name}.tv_in1k.safetensors", address, None)
    published["timm"] = Source("safetensors", torch_table, _TIMM_TOP, "imagenet_torch", (file,), _OTHER_SCALINGS)
    return Entry(
        functools.partial(VGG, depths=depths, batch_norm=batch_norm), published=types.MappingProxyType(published)
    )


NETWORKS: Mapping[str, Entry] = types.MappingProxyType(
    {name: _create_entry(name, batch_norm=False) for name in DEPTHS}
    | {f"{name}_bn": _create_entry(name, batch_norm=True) for name in DEPTHS}
)
