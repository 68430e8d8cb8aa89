"""Stochastic gradient descent with momentum."""

import optax

from ferjax.keys import Key, Keys, Range

KEYS: Keys = {
    "momentum": Key(
        0.9, Range(0, 0.9999), "share of the velocity that sgd keeps at each step (Nesterov's momentum); 0 is none"
    )
}


def create(*, momentum: float) -> optax.GradientTransformation:
    """Make stochastic gradient descent with Nesterov's momentum, without its learning rate.

    The velocity is v = momentum v + g and the direction g + momentum v, as in torch's SGD. Sutskever et al. 2013, On
    the importance of initialization and momentum in deep learning.
    """
    return optax.trace(decay=momentum, nesterov=True) if momentum else optax.identity()
