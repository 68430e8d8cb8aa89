"""What a way to explain an answer is, for the table."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

from jaxtyping import Array, Float32, Int32, PyTree

from ferjax.network import Network

Images: TypeAlias = Float32[Array, "b h w c"]
Targets: TypeAlias = Int32[Array, " b"]
Maps: TypeAlias = Float32[Array, "b h w"]
# explainer(variables, images, targets): the maps of a batch.
Explainer: TypeAlias = Callable[[PyTree, Images, Targets], Maps]


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A way to say where an answer comes from, with a number for each pixel of an image.

    `create(network)` makes the function of a batch, compiled. A `signed` map has numbers below 0 where a pixel speaks
    against the class; others have none.
    """

    create: Callable[[Network], Explainer]
    text: str
    signed: bool
