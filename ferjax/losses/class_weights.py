"""Weights of the classes in the loss."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from ferjax.keys import TEXT, Key, Keys

KEYS: Keys = {
    "class_weights": Key(
        "none",
        TEXT,
        "factors on the loss of each class: 'none', 'balanced' (rows / (classes * rows of the class), so "
        "rare classes count more), or one number for each class, 'w0,w1,...'",
    )
}


def parse(text: str, counts: Sequence[int] | Int[np.ndarray, " k"]) -> tuple[float, ...] | None:
    """Read the config's `loss.class_weights`: 'none', 'balanced', or one number per class as 'w0,w1,...'.

    `counts` are the training examples of each class. 'balanced' is n / (classes * n_class), as scikit-learn's
    `compute_class_weight` has it. Raises ValueError for any other text, weights that are negative, not finite or all
    zero, and 'balanced' with a class that has no examples.
    """
    if text == "none":
        return None
    if text == "balanced":
        empty = [str(label) for label, count in enumerate(counts) if count == 0]
        if empty:
            raise ValueError(
                "loss.class_weights 'balanced' needs training examples of every class, and there are none of "
                f"class {', '.join(empty)}."
            )
        total = sum(int(count) for count in counts)
        return tuple(total / (len(counts) * int(count)) for count in counts)
    wanted = f"'none', 'balanced', or {len(counts)} numbers >= 0, not all 0, separated by commas"
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        weights = ()
    legal = len(weights) == len(counts) and all(math.isfinite(w) and w >= 0 for w in weights) and any(weights)
    if not legal:
        raise ValueError(f"loss.class_weights must be {wanted}, and is {text!r}.")
    return weights
