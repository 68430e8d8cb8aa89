"""The scores of one evaluated split, as report.json holds them."""

from typing import TypedDict

import numpy as np
from jaxtyping import Bool, Float, Int

from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.scores.confusion import confusion_matrix, summarize


class Scores(TypedDict):
    """Hold the scores of one class; `support` counts its images."""

    precision: float
    recall: float
    f1: float
    support: int


class WithoutCopies(TypedDict):
    """Hold the scores of the images that training holds no exact copy of."""

    n: int
    accuracy: float
    macro_f1: float


class Report(TypedDict):
    """Hold what report.json holds; scores are in 0..1, the loss in nats, rows of the confusion are true classes."""

    split: str
    n: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    weighted_precision: float
    weighted_recall: float
    weighted_f1: float
    loss: float
    confusion: list[list[int]]
    per_class: dict[str, Scores]
    without_copies: WithoutCopies | None  # None where nobody looked for copies, or where every image is one


def create_report(
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n c"],
    split: str,
    *,
    classes: tuple[str, ...] = EMOTIONS,
    copied: Bool[np.ndarray, " n"] | None = None,
) -> Report:
    """Compute the scores of one split from the true class and the probabilities of each image.

    The loss is the mean of -log p(true class), with p kept at or above the smallest normal float32, so that one certain
    mistake costs 87 nats instead of infinity. `copied` marks the images whose pixels training holds too; without it the
    report says nothing about copies. Raises ValueError where there are no images.
    """
    probabilities = probabilities.astype(np.float32)
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, len(classes))
    summary = summarize(confusion)
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "split": split,
        "n": len(labels),
        "accuracy": summary["accuracy"],
        "macro_precision": summary["macro_precision"],
        "macro_recall": summary["macro_recall"],
        "macro_f1": summary["macro_f1"],
        "weighted_precision": summary["weighted_precision"],
        "weighted_recall": summary["weighted_recall"],
        "weighted_f1": summary["weighted_f1"],
        "loss": float(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean()),
        "confusion": confusion.tolist(),
        "per_class": {
            name: {
                "precision": float(summary["precision"][i]),
                "recall": float(summary["recall"][i]),
                "f1": float(summary["f1"][i]),
                "support": int(summary["support"][i]),
            }
            for i, name in enumerate(classes)
        },
        "without_copies": None if copied is None else _score_without(copied, labels, predicted, len(classes)),
    }


def _score_without(
    copied: Bool[np.ndarray, " n"], labels: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], num_classes: int
) -> WithoutCopies | None:
    if copied.all():
        return None
    summary = summarize(confusion_matrix(labels[~copied], predicted[~copied], num_classes))
    return {"n": int((~copied).sum()), "accuracy": summary["accuracy"], "macro_f1": summary["macro_f1"]}
