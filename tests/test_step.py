import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.randomness import stream_key
from ferjax.scores import SCORES, Sums
from ferjax.scores.confusion import confusion_matrix
from ferjax.state import network_variables
from ferjax.step import make_finish_epoch
from tests.tiny import STILL, create_first_state, create_parts, draw_batch

SMALL = {**STILL, "model.dropout": 0.0, "optim.learning_rate": 1e-2, "optim.plateau_min_delta": 1e-4}


class Parts:
    """What a step of a small batch-normalised network needs, and its first state."""

    def __init__(self, **changed):
        parts = create_parts(**{**SMALL, "model.pool": "both", **changed})
        self.optimizer, self.train_step, self.eval_step = parts.optimizer, parts.train_step, parts.eval_step
        self.final_eval_step = parts.final_eval_step
        self.state = create_first_state(parts)

    @property
    def variables(self):
        return network_variables(self.state)


@functools.cache
def create():
    """Those of SMALL alone, which tests share: nothing changes them."""
    return Parts()


def assert_close(one, other, rtol=2e-4, atol=2e-5):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def test_pmap_equals_one_device():
    devices = 4
    parts, batch = create(), draw_batch(8)
    step = jax.jit(parts.train_step)
    pmapped = jax.pmap(functools.partial(parts.train_step, axis_name="shards"), axis_name="shards", in_axes=(None, 0))
    shards = jax.tree.map(lambda leaf: leaf.reshape(devices, 8 // devices, *leaf.shape[1:]), batch)
    alone, sums, norm = step(parts.state, batch)
    spread, spread_sums, spread_norm = jax.tree.map(lambda leaf: leaf[0], pmapped(parts.state, shards))
    assert_close((sums, norm), (spread_sums, spread_norm))
    assert_close(alone.batch_stats, spread.batch_stats)
    # Adam's first update is the sign of the gradient: compare the moments, which are the gradients themselves.
    assert_close(alone.opt_state, spread.opt_state)


def test_masked_rows_leave_loss_and_gradient_alone():
    # No batch norm here: statistics would see the padding, which training never has.
    parts = create_parts(shorter={"depths": (1, 1, 0, 0, 0)}, **{**SMALL, "model.name": "vgg11"})
    state = create_first_state(parts)
    batch = draw_batch(6)
    short = jax.tree.map(lambda leaf: leaf[:4], batch)
    padded = batch.replace(mask=jnp.arange(6) < 4)
    one, other = (jax.jit(parts.train_step)(state, rows) for rows in (short, padded))
    assert_close(one[1:], other[1:])
    assert_close(one[0].opt_state, other[0].opt_state)


def test_the_sums_count_every_row_once_in_the_confusion_matrix():
    parts, batch = create(), draw_batch(8)
    sums, probabilities = jax.jit(parts.eval_step)(parts.variables, batch)
    predicted = np.asarray(probabilities).argmax(1)
    np.testing.assert_array_equal(sums.confusion, confusion_matrix(np.asarray(batch.labels), predicted, 7))
    padded = batch.replace(mask=jnp.arange(8) < 5)
    sums = jax.jit(parts.eval_step)(parts.variables, padded)[0]
    np.testing.assert_array_equal(sums.confusion, confusion_matrix(np.asarray(batch.labels[:5]), predicted[:5], 7))
    assert (float(sums.count), float(sums.correct)) == (5, (np.asarray(batch.labels[:5]) == predicted[:5]).sum())


def test_every_step_draws_anew_and_repeatably():
    parts, batch = Parts(**{"augment.flip_prob": 0.5, "model.dropout": 0.5}), draw_batch(8)
    step = jax.jit(parts.train_step)
    losses_seen = [float(step(parts.state.replace(step=jnp.int32(n)), batch)[1].loss) for n in (0, 1, 1)]
    assert losses_seen[0] != losses_seen[1] == losses_seen[2]
    other_seed = step(parts.state.replace(seed=jnp.uint32(4)), batch)[1].loss
    assert float(other_seed) != losses_seen[0]


def test_streams_are_independent():
    keys = {
        jax.random.key_data(stream_key(jnp.uint32(seed), stream, jnp.int32(count))).tobytes()
        for seed in (0, 1)
        for stream in ("augment", "dropout", "order")
        for count in (0, 1)
    }
    assert len(keys) == 12


def test_the_plateau_scales_updates():
    parts, batch = create(), draw_batch(4)
    half = parts.state.replace(plateau=parts.state.plateau._replace(scale=jnp.float32(0.5)))
    moved = [
        jax.tree.map(lambda new, old: new - old, jax.jit(parts.train_step)(state, batch)[0].params, state.params)
        for state in (parts.state, half)
    ]
    assert_close(jax.tree.map(lambda leaf: 0.5 * leaf, moved[0]), moved[1], atol=1e-6)


def test_mirror_averages_probabilities():
    plain, mirrored, batch = create(), Parts(**{"eval.views": "mirror"}), draw_batch(4)
    turned = batch.replace(images=batch.images[:, :, ::-1])
    step = jax.jit(plain.eval_step)
    one, other = (step(plain.variables, b)[1] for b in (batch, turned))
    sums, both = jax.jit(mirrored.final_eval_step)(plain.variables, batch)
    np.testing.assert_allclose(both, (one + other) / 2, rtol=1e-4, atol=1e-6)
    expected = -np.log(np.take_along_axis(np.asarray(both), np.asarray(batch.labels)[:, None], 1)).sum()
    np.testing.assert_allclose(sums.loss, expected, rtol=1e-4)


@pytest.mark.parametrize("keep_last", [False, True])
@pytest.mark.parametrize(("metric", "best_epoch"), [("accuracy", 2), ("loss", 3)])
def test_finish_epoch_keeps_the_best_or_the_last_and_feeds_the_plateau(metric, best_epoch, keep_last):
    parts = create()
    finish = jax.jit(make_finish_epoch(parts.optimizer, metric, keep_last=keep_last))
    state = parts.state.replace(best=parts.state.best.replace(score=jnp.float32(SCORES[metric].worst)))
    for epoch, (correct, loss) in enumerate([(3.0, 20.0), (5.0, 15.0), (5.0, 10.0), (4.0, 12.0)], start=1):
        state = state.replace(params=jax.tree.map(lambda leaf, n=epoch: jnp.full_like(leaf, n), state.params))
        state, improved = finish(
            state, Sums(jnp.float32(loss), jnp.zeros((7, 7)).at[0, 0].set(correct).at[0, 1].set(10.0 - correct))
        )
        assert bool(improved) == (epoch <= best_epoch)
    kept_epoch = 4 if keep_last else best_epoch
    assert int(state.best.epoch) == kept_epoch
    assert float(state.best.score) == np.float32({"accuracy": 0.5, "loss": 1.0}[metric])
    assert {float(leaf.max()) for leaf in jax.tree.leaves(state.best.params)} == {float(kept_epoch)}
    assert int(state.epochs_since_best) == 4 - best_epoch
    assert float(state.plateau.scale) == 0.25  # patience 1: epochs 3 and 4 brought no better accuracy
