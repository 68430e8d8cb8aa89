"""Where a network's answer comes from: a number for each pixel, and a picture of it.

A new way is a file with an `EXPLANATION` of its own and one line in the table here.
"""

import functools
import types
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int, Int32

from ferjax import arithmetic
from ferjax.explain import grad_cam, integrated_gradients
from ferjax.explain.explanation import Explainer, Explanation
from ferjax.explain.overlay import overlay
from ferjax.network import Network
from ferjax.preprocess import GivenImages, ImageArray

EXPLANATIONS: Mapping[str, Explanation] = types.MappingProxyType(
    {
        "grad_cam": grad_cam.EXPLANATION,
        "integrated_gradients": integrated_gradients.EXPLANATION,
    }
)

_LARGEST_BATCH = 32

Target: TypeAlias = int | str | Int[np.ndarray, " n"] | None


def explain(
    network: Network, images: GivenImages, method: str = "grad_cam", target: Target = None
) -> Float32[np.ndarray, "n h w"]:
    """Return for each image how much each of its pixels speaks for a class, in units of the class's logit.

    `images` are what `network` takes; the maps have the size of `network.fit(images)`. `method` is a name of
    EXPLANATIONS. `target` is the class, by its name or number, or a number for each image; by default each image's most
    probable one. Raises ValueError for an unknown method or class, and for a network that a method cannot explain.
    """
    if method not in EXPLANATIONS:
        raise ValueError(f"method={method!r} is not one of {', '.join(EXPLANATIONS)}.")
    fitted = network.fit(images)
    targets = choose_targets(network, images, target)
    with arithmetic.fixed():
        maps = list(_walk_batches(network, method, fitted, targets))
    return np.concatenate([np.zeros((0, *fitted.shape[1:3]), np.float32), *maps])


def _walk_batches(
    network: Network, method: str, fitted: ImageArray, targets: Int32[np.ndarray, " n"]
) -> Iterator[Float32[np.ndarray, "b h w"]]:
    """Yield the maps of each batch."""
    explainer = _create(network, method)
    for first in range(0, len(fitted), _LARGEST_BATCH):
        batch, own = fitted[first : first + _LARGEST_BATCH], targets[first : first + _LARGEST_BATCH]
        # Few sizes, so that few are compiled: the next power of two; rows are repeated to fill it up.
        spare = (1 << (len(batch) - 1).bit_length()) - len(batch)
        padded = np.concatenate([batch, np.repeat(batch[-1:], spare, axis=0)]).astype(np.float32)
        filled = np.concatenate([own, np.repeat(own[-1:], spare)])
        found = explainer(network.variables, jnp.asarray(padded), jnp.asarray(filled))
        yield np.asarray(found, np.float32)[: len(batch)]


def choose_targets(network: Network, images: GivenImages, target: Target = None) -> Int32[np.ndarray, " n"]:
    """Return the number of the class to explain for each image. Raises ValueError for an unknown one."""
    if target is None:
        return np.asarray(network(images).argmax(axis=1), np.int32)
    if isinstance(target, str):
        if target not in network.classes:
            raise ValueError(f"target={target!r} is not one of {', '.join(network.classes)}.")
        target = network.classes.index(target)
    targets = np.broadcast_to(np.asarray(target, np.int32), len(network.fit(images)))
    if targets.size and not 0 <= targets.min() <= targets.max() < len(network.classes):
        raise ValueError(f"target={target} is no number of a class, 0 to {len(network.classes) - 1}.")
    return targets


@functools.lru_cache(maxsize=4)
def _create(network: Network, method: str) -> Explainer:
    """Make a network's explainer once, so that it compiles once for each size of a batch."""
    return EXPLANATIONS[method].create(network)


__all__ = ["EXPLANATIONS", "Explanation", "Target", "choose_targets", "explain", "overlay"]
