"""What the published files name each tensor of a VGG: one rename table a source, derived from the network's depths."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ferjax.networks.vgg import DEPTHS, WIDTHS

_PLAIN, _NORMED = tuple(DEPTHS), tuple(f"{name}_bn" for name in DEPTHS)

# The networks that each source publishes ImageNet weights of.
PUBLISHED: Mapping[str, tuple[str, ...]] = {
    "keras": ("vgg16", "vgg19"),
    "torchvision": (*_PLAIN, *_NORMED),
    "timm": (*_PLAIN, *_NORMED),
}
# What each source's weights were trained on, as ferjax.preprocess has it. Where Keras's take blue, green, red, so does
# the network here: 'imagenet_caffe' puts the channels in that order, and the kernels are used as they are.
SCALINGS: Mapping[str, str] = {"keras": "imagenet_caffe", "torchvision": "imagenet_torch", "timm": "imagenet_torch"}

# Caffe's weights (Simonyan & Zisserman 2014) go round in torchvision's layout too, known by the start of their SHA-256:
# J. Johnson's take what Keras's do, torchvision's IMAGENET1K_FEATURES red, green, blue in a scaling of their own.
OTHER_SCALINGS: Mapping[str, str | None] = {
    "00b39a1b": "imagenet_caffe",
    "d01eb7cb": "imagenet_caffe",
    "88682ab5": None,
}

# The dense layers that a VGG here does without, and batch norm's count of batches, which only its training reads.
_NO_PLACE: Mapping[str, re.Pattern[str]] = {
    "keras": re.compile(r"(fc1|fc2|predictions)/(kernel|bias)"),
    "torchvision": re.compile(r"classifier\..+|features\.\d+\.num_batches_tracked"),
    "timm": re.compile(r"(pre_logits|head)\..+|features\.\d+\.num_batches_tracked"),
}
_TORCH_CONV = {"weight": "kernel", "bias": "bias"}
_TORCH_NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a tensor belongs in a network's variables, and the shape that it has in the published file."""

    collection: str
    layer: str
    parameter: str
    published_shape: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.layer}/{self.parameter}"

    def from_published(self, array: np.ndarray, source: str) -> np.ndarray:
        """The tensor in the network's layout: HWIO kernels, which torch has as OIHW."""
        if source != "keras" and self.parameter == "kernel":
            array = array.transpose(2, 3, 1, 0)
        return np.ascontiguousarray(array, np.float32)


def rename_table(source: str, model: str) -> dict[str, Place]:
    """Every tensor of `model` outside its head, by the name that it has in a file of `source`.

    Keras's names are the layer's and 'kernel' or 'bias', whatever a Keras of which year called the dataset; torch's
    count convolutions, batch norms, ReLUs and pools alike (`features.7.weight`).
    """
    return dict(_walk_keras(model) if source == "keras" else _walk_torch(model))


def has_no_place(source: str, name: str) -> bool:
    """Whether a published file may hold a tensor that no network here has."""
    return _NO_PLACE[source].fullmatch(name) is not None


def recognise(source: str, names: Iterable[str]) -> str | None:
    """The network whose tensors these are, by their names, or None if they are of none here."""
    present = {name for name in names if not has_no_place(source, name)}
    models = _PLAIN if source == "keras" else (*_PLAIN, *_NORMED)
    return next((model for model in models if rename_table(source, model).keys() == present), None)


def _walk_layers(model: str) -> Iterator[tuple[int, int, int, int]]:
    """Block, layer in the block, channels in and channels out of every convolution."""
    channels = 3
    for block, (depth, width) in enumerate(zip(DEPTHS[model.removesuffix("_bn")], WIDTHS, strict=True), start=1):
        for layer in range(1, depth + 1):
            yield block, layer, channels, width
            channels = width


def _walk_keras(model: str) -> Iterator[tuple[str, Place]]:
    for block, layer, channels, width in _walk_layers(model):
        name = f"block{block}_conv{layer}"
        for parameter, shape in {"kernel": (3, 3, channels, width), "bias": (width,)}.items():
            yield f"{name}/{parameter}", Place("params", name, parameter, shape)


def _walk_torch(model: str) -> Iterator[tuple[str, Place]]:
    normed, number, last_block = model.endswith("_bn"), 0, 1
    for block, layer, channels, width in _walk_layers(model):
        number += block - last_block  # the pool between two blocks
        last_block = block
        for key, parameter in _TORCH_CONV.items():
            shape = (width, channels, 3, 3) if parameter == "kernel" else (width,)
            yield f"features.{number}.{key}", Place("params", f"block{block}_conv{layer}", parameter, shape)
        number += 1
        if normed:
            for key, parameter in _TORCH_NORM.items():
                collection = "batch_stats" if parameter in ("mean", "var") else "params"
                yield f"features.{number}.{key}", Place(collection, f"block{block}_norm{layer}", parameter, (width,))
            number += 1
        number += 1  # the ReLU
