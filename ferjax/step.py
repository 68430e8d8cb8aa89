"""The pure train and eval steps: no devices, no loops, no config."""

import functools
from collections.abc import Callable

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float32, PyTree

from ferjax.augment import Augment
from ferjax.batch import Batch
from ferjax.losses import LossFn
from ferjax.networks.base import Context
from ferjax.optim import Optimizer
from ferjax.optim.groups import Named, join
from ferjax.optim.shares import Shares
from ferjax.randomness import stream_key
from ferjax.scores import SCORES, Sums
from ferjax.scores.confusion import count_answers
from ferjax.state import Best, TrainState, learning_rate, network_variables
from ferjax.views import VIEWS, average_views


class Diagnostics(flax.struct.PyTreeNode):
    """What a step reports: its learning rate, and the norm of its update, finite only in a healthy run."""

    learning_rate: Float32[Array, "..."] | Float32[np.ndarray, "..."]
    update_norm: Float32[Array, "..."] | Float32[np.ndarray, "..."]


def make_train_step(
    network: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFn,
    augment: Augment,
    preprocess: Callable[[Array], Array],
) -> Callable[..., tuple[TrainState, Sums, Diagnostics]]:
    """Bind the parts; the result is `train_step(state, batch, *, axis_name=None, epoch=0, shares=None)`.

    It returns (state, sums, diagnostics).
    """

    def train_step(
        state: TrainState, batch: Batch, *, axis_name: str | None = None, epoch: int = 0, shares: Shares | None = None
    ) -> tuple[TrainState, Sums, Diagnostics]:
        """Take one update.

        Under a mapped axis `axis_name` gradients, sums, batch statistics and random draws are those of all shards.
        `epoch`, a Python number, says which groups of parameters are frozen. The gradient of frozen parameters is not
        computed, and layers whose parameters are all frozen compute as at inference. With `shares` the devices divide
        what each of them would compute of the update.
        """
        dropout_key = stream_key(state.seed, "dropout", state.step)
        total = functools.partial(_sum_over, axis_name=axis_name)
        count = total(_count(batch))
        batch = augment(state.seed, state.step, batch, axis_name=axis_name)
        inputs = preprocess(batch.images)
        trained, frozen = optimizer.groups.split(state.params, epoch)
        frozen_layers = optimizer.groups.frozen_layers(state.params, epoch)
        context = Context(train=True, mask=batch.mask, axis_name=axis_name, frozen=frozen_layers)

        def mean_loss(trained: Named) -> tuple[Float32[Array, ""], tuple[PyTree, Sums]]:
            variables = {"params": join(trained, frozen), "batch_stats": state.batch_stats}
            logits, updated = network.apply(
                variables, inputs, context, mutable=["batch_stats"], rngs={"dropout": dropout_key}
            )
            sums = _measure(logits, batch, loss_fn)
            # This shard's part of the mean over all shards; the parts of the gradient are added up below.
            return sums.loss / count, (updated.get("batch_stats", {}), sums)

        gradients, (batch_stats, sums) = jax.grad(mean_loss, has_aux=True)(trained)
        gradients, sums = total((gradients, sums))
        updates, opt_state = optimizer.find_updates(gradients, state.opt_state, trained, shares)
        rate = learning_rate(state, optimizer)
        updates = jax.tree.map(lambda update: update * rate, updates)
        last = {"params": join(optax.apply_updates(trained, updates), frozen), "batch_stats": batch_stats}
        new_state = state.replace(
            step=state.step + 1,
            **last,
            average=optimizer.averaging.update(state.average, last, state.step),
            opt_state=opt_state,
            epoch_sums=state.epoch_sums.merge(sums),
            window_sums=state.window_sums.merge(sums),
        )
        diagnostics = Diagnostics(learning_rate=rate, update_norm=optax.tree.norm(updates))
        return new_state, sums, diagnostics

    return train_step


def make_eval_step(
    network: nn.Module, loss_fn: LossFn, preprocess: Callable[[Array], Array], views: str = "none"
) -> Callable[[PyTree, Batch], tuple[Sums, Float32[Array, "b k"]]]:
    """Bind the parts; the result is `eval_step(variables, batch) -> (sums, probabilities)`.

    The probabilities are the mean over the `views` of each image (a name of VIEWS), and the sums are of them.
    """

    def eval_step(variables: PyTree, batch: Batch) -> tuple[Sums, Float32[Array, "b k"]]:
        images = batch.images.astype(jnp.float32)
        logits: list[Array] = [network.apply(variables, preprocess(view(images))) for view in VIEWS[views]]  # type: ignore[misc]
        averaged = average_views(logits)
        return _measure(averaged, batch, loss_fn), jnp.exp(averaged)

    return eval_step


def make_finish_epoch(
    optimizer: Optimizer, best_metric: str, *, keep_last: bool = False
) -> Callable[[TrainState, Sums], tuple[TrainState, Bool[Array, ""]]]:
    """Bind the parts; the result is `finish_epoch(state, validation_sums) -> (state, improved)`.

    It feeds the plateau rule, keeps the best variables by `best_metric`, a name of SCORES, and opens the next epoch.
    With `keep_last` it keeps the variables of every epoch until the next one; `best.score` is the best one still, by
    which an early stop goes.
    """
    score = SCORES[best_metric]

    def finish_epoch(state: TrainState, validation: Sums) -> tuple[TrainState, Bool[Array, ""]]:
        value = score.of(validation)
        improved = score.is_better(value, state.best.score)
        candidate = Best(**network_variables(state), epoch=state.epoch + 1, score=value)
        kept = jnp.logical_or(improved, keep_last)
        best = jax.tree.map(lambda new, old: jnp.where(kept, new, old), candidate, state.best)
        best = best.replace(score=jnp.where(improved, value, state.best.score))
        new_state = state.replace(
            epoch=state.epoch + 1,
            plateau=optimizer.update_plateau(state.plateau, validation),
            epoch_sums=jax.tree.map(jnp.zeros_like, state.epoch_sums),
            best=best,
            epochs_since_best=jnp.where(improved, 0, state.epochs_since_best + 1),
        )
        return new_state, improved

    return finish_epoch


def _count(batch: Batch) -> Float32[Array, ""]:
    return jnp.float32(len(batch.labels)) if batch.mask is None else batch.mask.astype(jnp.float32).sum()


def _measure(logits: Float32[Array, "b k"], batch: Batch, loss_fn: LossFn) -> Sums:
    losses = loss_fn(logits, batch.targets)
    if batch.mask is not None:
        # `where`, not a product: what a padded row computes may be NaN and still must not count.
        losses = jnp.where(batch.mask, losses, 0.0)
    predicted = logits.argmax(-1).astype(jnp.int32)
    return Sums(losses.sum(), count_answers(batch.labels, predicted, batch.mask, logits.shape[-1]))


def _sum_over(tree: PyTree, axis_name: str | None) -> PyTree:
    return tree if axis_name is None else jax.lax.psum(tree, axis_name)
