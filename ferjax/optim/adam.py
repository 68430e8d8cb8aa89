"""Adam."""

import optax

from ferjax.keys import POSITIVE, Key, Keys, Range

KEYS: Keys = {
    "b1": Key(0.9, Range(0, 0.9999), "adam's decay of its mean of gradients, at each step"),
    "b2": Key(0.999, Range(0, 0.999999), "adam's decay of its mean of squared gradients, at each step"),
    "eps": Key(
        1e-7,
        POSITIVE,
        "added to the root of adam's mean of squared gradients, by which a step is divided; 1e-7 is Keras's default",
    ),
}


def create(*, b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Make Adam without its learning rate: Kingma & Ba 2015, arXiv 1412.6980, algorithm 1.

    Moments are bias-corrected and `eps` is outside the root; Keras adds it before the correction, which differs while
    gradients are near it.
    """
    return optax.scale_by_adam(b1=b1, b2=b2, eps=eps)
