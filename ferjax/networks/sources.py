"""How a network's file describes the weights that others publish of it: the files, and where each tensor belongs.

`ferjax.networks.weights` finds, reads and merges weights by these descriptions, and knows no network by name.
"""

import dataclasses
import re
import types
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float32

# How a file stores its tensors: HDF5 as Keras writes it, torch's pickles (.pth), or .safetensors with torch's layouts.
Form: TypeAlias = Literal["keras", "torch", "safetensors"]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a published tensor belongs in the variables of a network.

    `collection` is 'params' or 'batch_stats', and `path` is the tensor's name in it, such as 'block3_conv2/kernel'.
    `axes` is the order of the published axes in the network; None leaves them as they are.
    """

    collection: str
    path: str
    published_shape: tuple[int, ...]
    axes: tuple[int, ...] | None = None

    def convert(self, array: np.ndarray) -> Float32[np.ndarray, "..."]:
        """Return the published tensor in the network's layout, as float32."""
        return np.ascontiguousarray(array if self.axes is None else array.transpose(self.axes), np.float32)


# Every published tensor that the network has, by the name that it has in a file.
RenameTable: TypeAlias = Mapping[str, Place]


@dataclasses.dataclass(frozen=True)
class File:
    """A published file: its name on this machine, its address, and what is known in advance of its digest.

    `digest` is an algorithm of hashlib and the first digits, or None where no digest is known.
    """

    name: str
    address: str
    digest: tuple[str, str] | None


@dataclasses.dataclass(frozen=True)
class Source:
    """What one source publishes of one network.

    - `form`: what its files usually are. Files of the other torch form are read too.
    - `table`: the place of every tensor that the network takes, which is every one outside its head.
    - `no_place`: the names of tensors that a file may hold and that the network does not take.
    - `scaling`: the input that the weights were trained on, one of `ferjax.preprocess.SCALINGS`.
    - `files`: the files that hold these weights; the first one is downloaded. Without any, a file of this layout can
      still be named by its path.
    - `other_scalings`: scalings of known files that differ, by the first eight digits of the file's SHA-256; None is a
      scaling that ferjax does not have.
    """

    form: Form
    table: RenameTable
    no_place: re.Pattern[str]
    scaling: str
    files: tuple[File, ...] = ()
    other_scalings: Mapping[str, str | None] = dataclasses.field(default_factory=lambda: types.MappingProxyType({}))

    def has_no_place(self, name: str) -> bool:
        """Return whether a published file may hold a tensor of this name that the network does not take."""
        return self.no_place.fullmatch(name) is not None


def keras_conv(name: str, path: str, shape: tuple[int, int, int, int]) -> dict[str, Place]:
    """Return the places of a Keras convolution and its bias; `shape` is the kernel's (height, width, in, out)."""
    return {
        f"{name}/kernel": Place("params", f"{path}/kernel", shape),
        f"{name}/bias": Place("params", f"{path}/bias", shape[3:]),
    }


def torch_conv(name: str, path: str, shape: tuple[int, int, int, int], bias: bool = True) -> dict[str, Place]:
    """Return the places of a torch convolution; `shape` is the kernel's as here: (height, width, in / groups, out)."""
    height, width, channels, features = shape
    published = features, channels, height, width
    places = {f"{name}.weight": Place("params", f"{path}/kernel", published, axes=(2, 3, 1, 0))}
    return places | ({f"{name}.bias": Place("params", f"{path}/bias", (features,))} if bias else {})


def torch_batch_norm(name: str, path: str, channels: int) -> dict[str, Place]:
    """Return the places of a torch batch norm's parameters and statistics.

    Torch also counts batches, which only torch's training reads: `num_batches_tracked` is for `Source.no_place`.
    """
    return {
        f"{name}.weight": Place("params", f"{path}/scale", (channels,)),
        f"{name}.bias": Place("params", f"{path}/bias", (channels,)),
        f"{name}.running_mean": Place("batch_stats", f"{path}/mean", (channels,)),
        f"{name}.running_var": Place("batch_stats", f"{path}/var", (channels,)),
    }
