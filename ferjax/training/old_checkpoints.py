"""Checkpoints as ferjax wrote them before its sums carried a confusion matrix, and how a run goes on from one.

They hold accuracy and loss of the best epoch where there is now the one score that it was chosen by, and of their sums
the number of examples and of right answers where there is now the confusion matrix.
"""

import functools
import logging
from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32

logger = logging.getLogger("ferjax")

_SUMS = ("epoch_sums", "window_sums")
_SCORES = ("accuracy", "loss")


def is_old(names: Collection[str]) -> bool:
    """Return whether the leaves of these names are an old checkpoint's."""
    return "best.accuracy" in names


def describe(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what an old checkpoint holds in the place of these parts, given by the shapes of their leaves."""
    described = {part: dict(leaves) for part, leaves in parts.items()}
    state, best = described["state"], described["best"]
    score = best.pop("best.score")
    best |= {f"best.{name}": score for name in _SCORES}
    for sums in _SUMS:
        del state[f"{sums}.confusion"]
        state |= {f"{sums}.{name}": state[f"{sums}.loss"] for name in ("correct", "count")}
    return described


def convert(saved: Mapping[str, Array], like: Mapping[str, Array], best_metric: str) -> dict[str, Array]:
    """Turn an old checkpoint's leaves into those of today's state, of which `like` has the shapes and the devices.

    The loss, the accuracy and the number of examples of the epoch under way stay exact. Which classes were taken for
    which is not known of what it has seen so far: all right answers count for the first class, and all wrong ones as
    its images that were taken for the second. `best_metric` is 'accuracy' or 'loss', since there was no other.
    """
    leaves = dict(saved)
    scores = {name: leaves.pop(f"best.{name}") for name in _SCORES}
    leaves["best.score"] = scores[best_metric]
    if leaves["epoch_sums.count"] > 0:
        logger.warning(
            "This checkpoint is of an older ferjax, and in the middle of an epoch: of that epoch's training scores in "
            "metrics.jsonl only loss and accuracy are right."
        )
    for sums in _SUMS:
        confusion = like[f"{sums}.confusion"]
        place = jax.jit(functools.partial(_place_counts, len(confusion)), out_shardings=confusion.sharding)
        leaves[f"{sums}.confusion"] = place(leaves.pop(f"{sums}.correct"), leaves.pop(f"{sums}.count"))
    return leaves


def _place_counts(num_classes: int, correct: Float32[Array, ""], count: Float32[Array, ""]) -> Float32[Array, "k k"]:
    return jnp.zeros((num_classes, num_classes)).at[0, 0].set(correct).at[0, 1].set(count - correct)
