"""Adam."""

import optax

from ferjax.keys import POSITIVE, Key, Keys, Range

KEYS: Keys = {
    "b1": Key(0.9, Range(0, 0.9999), "adam's decay of the first moment"),
    "b2": Key(0.999, Range(0, 0.999999), "adam's decay of the second moment"),
    "eps": Key(1e-7, POSITIVE, "added to adam's root of the second moment; Keras's default"),
}


def create(*, b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """Make Adam without its learning rate: Kingma & Ba 2015, arXiv 1412.6980, algorithm 1.

    Moments are bias-corrected and `eps` is outside the root; Keras adds it before the correction, which differs while
    gradients are near it.
    """
    return optax.scale_by_adam(b1=b1, b2=b2, eps=eps)
