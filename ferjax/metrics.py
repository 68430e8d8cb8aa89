"""Confusion matrix -> accuracy, precision, recall and F1, equal to scikit-learn's."""

from typing import TypedDict

import numpy as np
from jaxtyping import Float64, Int, Int64


class Summary(TypedDict):
    """Scores in 0..1; the arrays hold one value a class, in class order."""

    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    weighted_precision: float
    weighted_recall: float
    weighted_f1: float
    precision: Float64[np.ndarray, " c"]
    recall: Float64[np.ndarray, " c"]
    f1: Float64[np.ndarray, " c"]
    support: Int64[np.ndarray, " c"]


def confusion_matrix(
    labels: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], num_classes: int
) -> Int64[np.ndarray, "c c"]:
    """Counts of every (true, predicted) pair: rows are true classes, columns predicted ones.

    Raises ValueError where a label or prediction is outside 0..num_classes-1.
    """
    for name, values in (("labels", labels), ("predicted", predicted)):
        if values.size and not 0 <= values.min() <= values.max() < num_classes:
            raise ValueError(f"{name} holds a class outside 0..{num_classes - 1}")
    # Widened first: an int8 label times the class count would wrap.
    pairs = labels.astype(np.int64) * num_classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def summarize(confusion: Int[np.ndarray, "c c"]) -> Summary:
    """Scores of a confusion matrix (rows true, columns predicted).

    Equal to sklearn.metrics.precision_recall_fscore_support(..., labels=range(c), zero_division=0): a class never
    predicted has precision 0, a class without images has recall 0, one with neither has F1 0, and the macro mean is
    over all c classes, so that absent ones pull it down. The weighted mean weighs a class by its images. Raises
    ValueError for a matrix that counts nothing.
    """
    total = int(confusion.sum())
    if total == 0:
        raise ValueError("the confusion matrix counts no image, so it has no scores")
    hits = np.diagonal(confusion)
    support = confusion.sum(axis=1)
    guesses = confusion.sum(axis=0)
    precision = _divide(hits, guesses)
    recall = _divide(hits, support)
    f1 = _divide(2 * hits, support + guesses)  # the harmonic mean of the two: 2 TP / (2 TP + FP + FN)
    return {
        "accuracy": float(hits.sum() / total),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "weighted_precision": float(precision @ support / total),
        "weighted_recall": float(recall @ support / total),
        "weighted_f1": float(f1 @ support / total),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "support": support.astype(np.int64),
    }


def _divide(part: Int[np.ndarray, " c"], whole: Int[np.ndarray, " c"]) -> Float64[np.ndarray, " c"]:
    """part / whole, and 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole != 0)
