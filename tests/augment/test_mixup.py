"""Mixup against its formula, and its targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.augment import mixup
from ferjax.augment.shards import Shards
from ferjax.batch import Batch

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 5, 5, 1)).astype(np.float32)
LABELS = np.array([0, 1, 2, 1, 0, 2], np.int32)
TARGETS = np.eye(3, dtype=np.float32)[LABELS]


def mix(seed=0, mask=None, alpha=0.4):
    batch = Batch(jnp.asarray(IMAGES), jnp.asarray(LABELS), jnp.asarray(TARGETS), mask)
    transform = mixup.create(mixup_alpha=alpha)
    return jax.jit(lambda key: transform(key, batch, Shards(6)))(jax.random.key(seed))


@pytest.mark.parametrize("rows", [6, 4])
def test_images_and_targets_are_mixed_with_one_weight_and_labels_stay(rows):
    mixed = mix(mask=None if rows == 6 else jnp.arange(6) < rows)
    # Rows 1 and 0 have other classes, so the mass on row 1's own is the weight.
    own = float(mixed.targets[1, 1])
    assert 0 < own < 1
    partner = [rows - 1, *range(rows - 1)]
    for name, values in (("images", IMAGES), ("targets", TARGETS)):
        expected = own * values[:rows] + (1 - own) * values[partner]
        np.testing.assert_allclose(getattr(mixed, name)[:rows], expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(mixed.targets.sum(axis=1), 1, rtol=1e-6)
    assert float(mixed.targets.min()) >= 0
    np.testing.assert_array_equal(mixed.labels, LABELS)


def test_the_weight_is_of_the_beta_distribution():
    transform = mixup.create(mixup_alpha=0.4)
    batch = Batch(jnp.asarray(IMAGES[:2]), jnp.asarray(LABELS[:2]), jnp.asarray(TARGETS[:2]))
    draw = jax.vmap(lambda key: transform(key, batch, Shards(2)).targets[1, 1])
    weights = np.asarray(jax.jit(draw)(jax.random.split(jax.random.key(1), 3000)))
    assert abs(weights.mean() - 0.5) < 0.03
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
    assert abs(weights.var() - 1 / (4 * 1.8)) < 0.01


def test_off_it_is_no_transform():
    assert mixup.create(mixup_alpha=0.0) is None
