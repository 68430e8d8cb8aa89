"""Integrated gradients: Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks, ICML 2017, arXiv 1703.01365.

The gradient of the logit by each pixel, averaged over the straight way from a black image to the image, times the way.
By the fundamental theorem of calculus the pixels' shares add up to the logit's difference between the two images.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, PyTree

from ferjax.explain.explanation import Explainer, Explanation, Images, Maps, Targets
from ferjax.network import Network

# Steps are doubled from the first number up to the last, until the shares of each image add up.
FIRST_STEPS, MOST_STEPS = 32, 1024
# How far the sum may be off: this share of the difference, or this many logits where the difference is small.
TOLERANCE, LEAST_TOLERANCE = 0.01, 0.01


def create(network: Network) -> Explainer:
    """Make the function of a batch, whose maps are in units of the logit and add up to its difference from black."""

    def find_logits(variables: PyTree, images: Images, targets: Targets) -> Float32[Array, " b"]:
        logits = network.compute_logits(variables, images)
        return jnp.take_along_axis(logits, targets[:, None], axis=1)[:, 0]

    @jax.jit
    def find_gradient(variables: PyTree, images: Images, targets: Targets, part: Float32[Array, ""]) -> Images:
        gradient: Images = jax.grad(lambda x: find_logits(variables, x, targets).sum())(images * part)
        return gradient

    @jax.jit
    def find_difference(variables: PyTree, images: Images, targets: Targets) -> Float32[Array, " b"]:
        black = find_logits(variables, jnp.zeros_like(images), targets)
        return find_logits(variables, images, targets) - black

    def explain(variables: PyTree, images: Images, targets: Targets) -> Maps:
        expected = find_difference(variables, images, targets)
        steps = FIRST_STEPS
        while True:
            # A Python loop: within `scan` XLA's convolutions are slow on CPU.
            total = jnp.zeros_like(images)
            for step in range(steps):
                total = total + find_gradient(variables, images, targets, jnp.float32((step + 0.5) / steps))
            maps: Maps = (images * total / steps).sum(-1)
            if steps >= MOST_STEPS or bool(_adds_up(maps, expected).all()):
                return maps
            steps *= 2

    return explain


def _adds_up(maps: Maps, expected: Float32[Array, " b"]) -> Bool[Array, " b"]:
    error = jnp.abs(maps.sum((1, 2)) - expected)
    return error <= jnp.maximum(TOLERANCE * jnp.abs(expected), LEAST_TOLERANCE)


EXPLANATION = Explanation(create, "how much each pixel adds to the class's logit (integrated gradients)", signed=True)
