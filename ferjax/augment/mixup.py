"""Mixup: each image becomes a weighted mean of two, and so does its target."""

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ferjax.augment.shards import Shards, Transform
from ferjax.batch import Batch
from ferjax.keys import NOT_NEGATIVE, Key, Keys

KEYS: Keys = {
    "mixup_alpha": Key(
        0.0,
        NOT_NEGATIVE,
        "mixup: images and their targets are mixed in pairs, by a weight drawn from Beta(this, this); 0 is off",
    )
}


def create(*, mixup_alpha: float) -> Transform | None:
    """Make the transform that mixes each image and its target with another row's; None where `mixup_alpha` is 0.

    Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization, arXiv 1710.09412. One weight is drawn for a batch,
    from Beta(mixup_alpha, mixup_alpha). Labels stay those of the row's own image, so that accuracy is of them. A row's
    partner is the row before it, and the first one's is the last that is not padding: training reads its rows in
    random order, so neighbours are as random a pair as any.
    """
    if not mixup_alpha:
        return None

    def mix(key: PRNGKeyArray, batch: Batch, shards: Shards) -> Batch:
        alpha = jnp.asarray(mixup_alpha, jnp.float32)
        own = jax.random.beta(key, alpha, alpha)
        images, targets, mask = shards.gather((batch.images, batch.targets, batch.mask))
        rows = len(targets) if mask is None else mask.sum(dtype=jnp.int32)
        partner = shards.take((jnp.arange(len(targets), dtype=jnp.int32) - 1) % rows)
        return batch.replace(
            images=own * batch.images + (1.0 - own) * images[partner],
            targets=own * batch.targets + (1.0 - own) * targets[partner],
        )

    return mix
