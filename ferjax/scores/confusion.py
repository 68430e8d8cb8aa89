"""The confusion matrix, and what follows from it alone: shares of one class and of all, equal to scikit-learn's.

A matrix has a row for each true class and a column for each answer. The functions take matrices of numpy or of jax,
with any leading axes, such as one for the seeds.
"""

from typing import Any, TypeAlias, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Float64, Int, Int32, Int64, Num

Confusion: TypeAlias = Num[Array, "*seeds k k"] | Num[np.ndarray, "*seeds k k"]
PerClass: TypeAlias = Num[Array, "*seeds k"] | Num[np.ndarray, "*seeds k"]


def confusion_matrix(
    labels: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], num_classes: int
) -> Int64[np.ndarray, "k k"]:
    """Count every (true, predicted) pair on the host.

    Raises ValueError where a label or prediction is outside 0..num_classes-1.
    """
    for name, values in (("labels", labels), ("predicted", predicted)):
        if values.size and not 0 <= values.min() <= values.max() < num_classes:
            raise ValueError(f"{name} holds a class outside 0..{num_classes - 1}")
    # Widened first: an int8 label times the class count would wrap.
    pairs = labels.astype(np.int64) * num_classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def count_answers(
    labels: Int32[Array, " b"],
    predicted: Int32[Array, " b"],
    mask: Bool[Array, " b"] | None,
    num_classes: int,
) -> Float32[Array, "k k"]:
    """Count every (true, predicted) pair of a batch on the device; rows that `mask` leaves out count nowhere.

    A product of zeros and ones is exact on every backend, and so are their sums up to 2**24.
    """
    truth, answers = (jax.nn.one_hot(classes, num_classes, dtype=jnp.float32) for classes in (labels, predicted))
    if mask is not None:
        truth = jnp.where(mask[:, None], truth, 0.0)
    return truth.T @ answers


def count_right(confusion: Confusion) -> Any:
    """Return how many answers are right."""
    return _find_hits(confusion).sum(axis=-1)


def count_all(confusion: Confusion) -> Any:
    """Return how many answers there are."""
    return confusion.sum(axis=(-2, -1))


def find_support(confusion: Confusion) -> PerClass:
    """Return how many images each class has."""
    return confusion.sum(axis=-1)


def find_precision(confusion: Confusion) -> PerClass:
    """Return each class's share of right ones among its answers, 0 where it was never answered."""
    return _divide(_find_hits(confusion), confusion.sum(axis=-2))


def find_recall(confusion: Confusion) -> PerClass:
    """Return each class's share of right answers among its images, 0 where it has none."""
    return _divide(_find_hits(confusion), find_support(confusion))


def find_f1(confusion: Confusion) -> PerClass:
    """Return each class's harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN), and 0 where that is 0 / 0."""
    return _divide(2 * _find_hits(confusion), find_support(confusion) + confusion.sum(axis=-2))


def find_accuracy(confusion: Confusion) -> Any:
    """Return the share of right answers."""
    return count_right(confusion) / count_all(confusion)


def average_macro(values: PerClass) -> Any:
    """Return the mean over all classes; absent classes count as 0."""
    return values.mean(axis=-1)


def average_weighted(values: PerClass, confusion: Confusion) -> Any:
    """Return the mean over the classes, each weighted by its images."""
    return (values * find_support(confusion)).sum(axis=-1) / count_all(confusion)


class ClassScores(TypedDict):
    """One value a class, in class order; shares are in 0..1."""

    precision: Float64[np.ndarray, " k"]
    recall: Float64[np.ndarray, " k"]
    f1: Float64[np.ndarray, " k"]
    support: Int64[np.ndarray, " k"]


def score_classes(confusion: Int[np.ndarray, "k k"]) -> ClassScores:
    """Return the scores of each class, equal to sklearn.metrics.precision_recall_fscore_support(zero_division=0)."""
    return {
        "precision": np.asarray(find_precision(confusion)),
        "recall": np.asarray(find_recall(confusion)),
        "f1": np.asarray(find_f1(confusion)),
        "support": np.asarray(find_support(confusion)).astype(np.int64),
    }


def _find_hits(confusion: Confusion) -> PerClass:
    return confusion.diagonal(axis1=-2, axis2=-1)


def _divide(part: PerClass, whole: PerClass) -> PerClass:
    """Return part / whole, and 0 where there is nothing to divide by: such a part is 0 too."""
    return part / whole.clip(min=1)
