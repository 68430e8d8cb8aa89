"""Confusion matrix -> accuracy, precision, recall and F1, equal to scikit-learn's; and how true the confidences are."""

import dataclasses
from typing import TypedDict

import numpy as np
from jaxtyping import Float, Float64, Int, Int64


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


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Answers by confidence, the probability of the most probable class, in equal bins of 0..1, upper edges included.

    All are sums, so that the calibrations of several splits or seeds merge by addition.
    """

    count: Int64[np.ndarray, " bins"]
    confidence: Float64[np.ndarray, " bins"]
    correct: Int64[np.ndarray, " bins"]

    def __add__(self, other: "Calibration") -> "Calibration":
        return Calibration(self.count + other.count, self.confidence + other.confidence, self.correct + other.correct)

    @property
    def error(self) -> float:
        """Expected calibration error, 0..1: the bins' mean |accuracy - confidence|, weighed by their answers.

        Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599, equation 3.
        """
        return float(np.abs(self.correct - self.confidence).sum() / self.count.sum())


def calibrate(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n c"], bins: int = 15) -> Calibration:
    """Counts the answers of each bin of confidence. Raises ValueError for no images."""
    if not len(labels):
        raise ValueError("there is no image, so there is no calibration")
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    # Bin m holds (m / bins, (m + 1) / bins]; probabilities may sum to a little more than one.
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return Calibration(
        np.bincount(index, minlength=bins).astype(np.int64),
        np.bincount(index, weights=confidence, minlength=bins),
        np.bincount(index[correct], minlength=bins).astype(np.int64),
    )
