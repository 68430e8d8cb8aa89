"""What every network shares: how it is called, what it is made from, and its entry in the table of networks."""

import dataclasses
import types
from collections.abc import Callable, Mapping
from typing import ClassVar

import flax.linen as nn
import flax.struct
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from ferjax.keys import Keys
from ferjax.networks.sources import Source


class Context(flax.struct.PyTreeNode):
    """What one call of a network is for; the network passes it on to its blocks and layers.

    - `train`: batch norm measures its batch, and dropout drops.
    - `mask`: False for rows that only fill up the batch; batch norm leaves them out. None counts every row.
    - `axis_name`: the mapped axis (`pmap`, `shard_map`) whose devices share the batch, or None.
    - `frozen`: the paths of layers that do not train, such as 'block1_norm1'. They compute as at inference.
    """

    train: bool = flax.struct.field(pytree_node=False, default=False)
    mask: Bool[Array, " b"] | None = None
    axis_name: str | None = flax.struct.field(pytree_node=False, default=None)
    frozen: frozenset[str] = flax.struct.field(pytree_node=False, default=frozenset())

    def trains(self, path: tuple[str, ...]) -> bool:
        """Return whether the layer at `path`, which is a module's `self.path`, trains in this call."""
        return self.train and "/".join(path) not in self.frozen


INFERENCE = Context()


class Classifier(nn.Module):
    """The fields of every network, which `networks.create` sets, and the call that every network answers.

    `width` multiplies the channels of every convolution. `dtype` is the type of the computation; parameters stay
    float32. `exact_convolution` leaves out the rounding of Winograd's convolution. `in_channels` says what images the
    network takes: 1 is gray, 3 is color.
    """

    num_classes: int
    pool: str
    hidden: tuple[int, ...]
    dropout: float
    width: float
    dtype: DTypeLike
    exact_convolution: bool
    in_channels: ClassVar[int]

    def __call__(self, images: Float[Array, "b h w c"], context: Context = INFERENCE) -> Float[Array, "b k"]:
        """Compute the logits of images of any size. Raises ValueError where they are too small for the network."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Entry:
    """One network of the table: how it is made, its own config keys, and who publishes weights of it.

    `create` takes the fields of `Classifier` and the entry's own `keys` by name. `published` has a `Source` by the word
    that the config names it with, such as 'torchvision'.
    """

    create: Callable[..., Classifier]
    keys: Keys = dataclasses.field(default_factory=lambda: types.MappingProxyType({}))
    published: Mapping[str, Source] = dataclasses.field(default_factory=lambda: types.MappingProxyType({}))


def check_side(images: Float[Array, "b h w c"], halvings: int) -> None:
    """Raise ValueError for images of which nothing is left when a network has halved their sides so many times."""
    least_px, (height, width) = 2**halvings, images.shape[1:3]
    if min(height, width) < least_px:
        raise ValueError(
            f"This network halves the sides of its images {halvings} times, so they need at least "
            f"{least_px}x{least_px} pixels; these have {height}x{width}."
        )
