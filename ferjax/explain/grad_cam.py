"""Grad-CAM: Selvaraju et al. 2017, Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017.

arXiv 1610.02391, equations 1 and 2: each channel of the last feature map is weighted by the mean of the logit's
gradient over its pixels, and what is below 0 of their sum is left out.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from ferjax.explain.explanation import Explainer, Explanation, Images, Maps, Targets
from ferjax.explain.feature_map import cut
from ferjax.network import Network


def create(network: Network) -> Explainer:
    """Make the function of a batch; it raises ValueError for a network without a feature map of some size.

    A map has the size of the images, interpolated from that of the feature map, and is in units of the logit.
    """

    @jax.jit
    def explain(variables: PyTree, images: Images, targets: Targets) -> Maps:
        leaves, structure = jax.tree.flatten(variables)
        unflatten: Callable[..., PyTree] = structure.unflatten  # type: ignore[attr-defined]
        parts = cut(lambda *inputs: network.compute_logits(unflatten(inputs[:-1]), inputs[-1]), *leaves, images)
        feature_map, *others = parts.below(*leaves, images)

        def sum_logits(feature_map: Images) -> jax.Array:
            (logits,) = parts.above(feature_map, *others)
            # Each image's own gradient, since no image's logits depend on another's.
            return jnp.take_along_axis(logits, targets[:, None], axis=1).sum()

        weights = jax.grad(sum_logits)(feature_map).mean((1, 2), keepdims=True)
        coarse = jax.nn.relu((weights * feature_map).sum(-1).astype(jnp.float32))
        resize = functools.partial(jax.image.resize, shape=images.shape[:3], method="linear")
        maps: Maps = resize(coarse)
        return maps

    return explain


EXPLANATION = Explanation(create, "which parts of the picture speak for the class, coarsely (Grad-CAM)", signed=False)
