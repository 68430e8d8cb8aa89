"""Per-example losses over logits, and the class weights that go with them."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

Labels = Int[Array, " b"] | Float[Array, "b c"]
LossFn = Callable[[Float[Array, "b c"], Labels], Float32[Array, " b"]]


def make_loss(
    *,
    name: str,
    gamma: float,
    alpha: float,
    label_smoothing: float,
    class_weights: Sequence[float] | Float[np.ndarray, " c"] | None,
) -> LossFn:
    """Make `loss_fn(logits, labels)`, which returns one float32 loss per example whatever the logits' dtype.

    `labels` are class numbers, or soft targets: each example's distribution over the classes, of which a one-hot one
    means its class.

    `name` is 'cross_entropy', -sum_k y_k log p_k, or 'focal' (Lin et al. 2017, arXiv 1708.02002), -alpha sum_k y_k (1 -
    p_k)^gamma log p_k, summed over the smoothed target as Keras's `CategoricalFocalCrossentropy` does; `gamma` and
    `alpha` are read by 'focal' alone, and `alpha` 0 means no alpha. `label_smoothing` is the mass spread evenly over
    all classes (Szegedy et al. 2016, arXiv 1512.00567). `class_weights`, one per class or None, multiply an example's
    loss by the weight of its label, as Keras's `class_weight` does, or by the mean weight under its soft target; a mean
    over examples is then still a mean over their number.

    Value and gradient are finite for logits of any size whose differences float32 can hold. Raises ValueError for
    another name.
    """
    if name not in ("cross_entropy", "focal"):
        raise ValueError(f"Loss {name!r} is not one of 'cross_entropy' and 'focal'.")
    weights = None if class_weights is None else np.asarray(class_weights, np.float32)

    def loss_fn(logits: Float[Array, "b c"], labels: Labels) -> Float32[Array, " b"]:
        logits = logits.astype(jnp.float32)
        classes = logits.shape[-1]
        soft = labels.ndim == 2
        given = labels.astype(jnp.float32) if soft else jax.nn.one_hot(labels, classes, dtype=jnp.float32)
        target = given * (1.0 - label_smoothing) + label_smoothing / classes
        terms = -target * jax.nn.log_softmax(logits)
        if name == "focal":
            if gamma:
                # A power taken as exp(gamma log(1 - p)) keeps its gradient finite at p = 1 for every gamma.
                terms = terms * jnp.exp(gamma * _log_complement(logits))
            if alpha:
                terms = terms * alpha
        losses = terms.sum(axis=-1)
        return losses if weights is None else losses * (given * weights).sum(axis=-1)

    return loss_fn


def parse_class_weights(text: str, counts: Sequence[int] | Int[np.ndarray, " c"]) -> tuple[float, ...] | None:
    """Read the config's `class_weights`: 'none', 'balanced', or one number per class as 'w0,w1,...'.

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


def _log_complement(logits: Float32[Array, "b c"]) -> Float32[Array, "b c"]:
    """log(1 - p_k) of every class: the log-sum-exp of the other classes less that of all.

    Taken from 1 - p it would be log(0) as soon as p rounds to 1.
    """
    others = ~np.eye(logits.shape[-1], dtype=bool)
    rest = jax.nn.logsumexp(
        jnp.broadcast_to(logits[:, None, :], (*logits.shape, logits.shape[-1])), axis=-1, where=others
    )
    return rest - jax.nn.logsumexp(logits, axis=-1, keepdims=True)
