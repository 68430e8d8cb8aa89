"""All augmentations together: order, streams, and one batch on one device as on many."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from ferjax import augment
from ferjax.augment.shards import Shards
from ferjax.batch import Batch
from ferjax.ingredients import Ingredient, complete
from ferjax.parallel import create_layout
from ferjax.randomness import stream_key
from tests.tiny import STILL

OFF = {key.removeprefix("augment."): value for key, value in STILL.items()}
# Those that change an image by itself, and then those that mix rows too.
ON = {**OFF, "flip_prob": 0.5, "shift_fraction": 0.1, "shear_deg": 10.0, "erase_prob": 0.7, "erase_px": 12}
ALL_ON = {**ON, "mixup_alpha": 0.4}
RNG = np.random.default_rng(0)
SEED, STEP = jnp.uint32(3), jnp.int32(5)
FIRST = ["affine", "erasing", "mixup"]  # others may stand anywhere between them


def draw_batch(rows=8, mask=None):
    labels = RNG.integers(0, 7, rows)
    return Batch(
        jnp.asarray(RNG.integers(0, 256, (rows, 48, 48, 1)), jnp.uint8),
        jnp.asarray(labels, jnp.int32),
        jnp.asarray(np.eye(7)[labels], jnp.float32),
        mask,
    )


def test_all_off_is_a_cast_and_traces_nothing_else():
    batch, change = draw_batch(), augment.create(**OFF)
    changed = jax.jit(change)(SEED, STEP, batch)
    assert changed.images.dtype == jnp.float32
    np.testing.assert_array_equal(changed.images, batch.images)
    text = jax.jit(lambda images: change(SEED, STEP, batch.replace(images=images)).images).lower(batch.images)
    assert "gather" not in text.compile().as_text()
    assert "xor" not in text.compile().as_text()  # the random generator's


def test_it_is_its_parts_in_order_each_with_a_stream_of_its_own():
    batch = draw_batch()
    changed = jax.jit(augment.create(**ALL_ON))(SEED, STEP, batch)
    expected = batch.replace(images=batch.images.astype(jnp.float32))
    values = complete(augment.KEYS, ALL_ON)
    assert [name for name in augment.AUGMENTATIONS if name in FIRST] == FIRST
    for name, augmentation in augment.AUGMENTATIONS.items():
        transform = augmentation.create_from(values)
        if transform is not None:
            expected = jax.jit(lambda key, batch, change=transform: change(key, batch, Shards(8)))(
                stream_key(SEED, f"augment/{name}", STEP), expected
            )
    # Fused arithmetic rounds elsewhere; noise turns 1e-5 of a pixel into a hundredth of a gray level.
    np.testing.assert_allclose(changed.images, expected.images, atol=2e-2)
    np.testing.assert_allclose(changed.targets, expected.targets, atol=1e-6)


def test_switching_one_on_or_adding_one_leaves_the_others_draws(monkeypatch):
    batch = draw_batch()
    moved = jax.jit(augment.create(**{**ON, "erase_prob": 0.0}))(SEED, STEP, batch).images
    both = jax.jit(augment.create(**ON))(SEED, STEP, batch).images
    erased = ~np.isclose(both, moved, atol=2e-2)
    assert 0 < erased.mean() < 0.1  # squares of 12 x 12
    alone = jax.jit(augment.create(**{**OFF, "erase_prob": 0.7, "erase_px": 12}))(SEED, STEP, batch).images
    np.testing.assert_array_equal(np.asarray(both)[erased], np.asarray(alone)[erased])
    added = {"darker": Ingredient(lambda: lambda key, batch, shards: batch.replace(images=batch.images * 0.5))}
    monkeypatch.setattr(augment, "AUGMENTATIONS", types.MappingProxyType({**added, **augment.AUGMENTATIONS}))
    darker = jax.jit(augment.create(**{**ON, "erase_prob": 0.0}))(SEED, STEP, batch).images
    np.testing.assert_allclose(darker, np.asarray(moved) / 2, atol=2e-2)


def test_seeds_and_steps_draw_anew():
    batch, change = draw_batch(), jax.jit(augment.create(**ON))
    first = change(SEED, STEP, batch).images
    np.testing.assert_array_equal(first, change(SEED, STEP, batch).images)
    for other in (change(SEED, STEP + 1, batch), change(SEED + jnp.uint32(1), STEP, batch)):
        assert not np.array_equal(first, other.images)


@pytest.mark.parametrize("rows", [8, 6])
def test_a_batch_changes_on_many_devices_as_on_one(rows):
    # Six rows are eight on four devices, of which the last two only pad.
    batch = draw_batch(8, jnp.arange(8) < rows)
    change = augment.create(**ALL_ON)
    short = jax.tree.map(lambda leaf: leaf[:rows], batch)
    alone = jax.jit(change)(SEED, STEP, short.replace(mask=None))
    mesh, spread = create_layout("pmap", 4).mesh, PartitionSpec("shards")
    sharded = functools.partial(change, axis_name="shards")
    by_hand = jax.shard_map(
        lambda batch: sharded(SEED, STEP, batch), mesh=mesh, in_specs=spread, out_specs=spread, check_vma=False
    )
    by_xla = jax.jit(lambda batch: change(SEED, STEP, jax.lax.with_sharding_constraint(batch, spread_over(mesh))))
    for many in (jax.jit(by_hand)(batch), by_xla(batch)):
        np.testing.assert_allclose(many.images[:rows], alone.images, atol=2e-2)
        np.testing.assert_allclose(many.targets[:rows], alone.targets, atol=1e-6)
        np.testing.assert_array_equal(many.labels[:rows], alone.labels)


def spread_over(mesh):
    return jax.sharding.NamedSharding(mesh, PartitionSpec("shards"))
