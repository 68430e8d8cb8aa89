"""The scores of one evaluated split, as report.json holds them."""

from typing import TypedDict, cast

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.scores import Sums, compute_scores
from ferjax.scores.confusion import confusion_matrix, score_classes


class Scores(TypedDict):
    """The scores of one class; `support` counts its images."""

    precision: float
    recall: float
    f1: float
    support: int


class WithoutCopies(TypedDict):
    """The scores of the images that training holds no exact copy of."""

    n: int
    accuracy: float
    macro_f1: float


class Report(TypedDict):
    """What report.json holds: every score of `ferjax.scores.SCORES`, of which those that are read by name stand here.

    Shares are in 0..1, the loss in nats; rows of the confusion are true classes.
    """

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
    without_copies: WithoutCopies | None  # None where copies are unknown, or where every image is one


def create_report(
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n c"],
    split: str,
    *,
    classes: tuple[str, ...] = EMOTIONS,
    copied: Bool[np.ndarray, " n"] | None = None,
) -> Report:
    """Make the report of one split from its true classes and the probabilities of each image.

    The loss is the mean of -log p(true class), with p kept at or above the smallest normal float32, so that one certain
    mistake costs 87 nats instead of infinity. `copied` marks the images whose pixels training holds too; without it the
    report says nothing about copies. Raises ValueError where there are no images.
    """
    if not len(labels):
        raise ValueError("there is no image, so there are no scores")
    probabilities = probabilities.astype(np.float32)
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses = -np.log(np.maximum(of_truth, np.finfo(np.float32).tiny))
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, len(classes))
    by_class = score_classes(confusion)
    report = {
        "split": split,
        "n": len(labels),
        **_score(losses, confusion),
        "confusion": confusion.tolist(),
        "per_class": {
            name: {
                "precision": float(by_class["precision"][i]),
                "recall": float(by_class["recall"][i]),
                "f1": float(by_class["f1"][i]),
                "support": int(by_class["support"][i]),
            }
            for i, name in enumerate(classes)
        },
        "without_copies": None,
    }
    if copied is not None and not copied.all():
        rest = _score(losses[~copied], confusion_matrix(labels[~copied], predicted[~copied], len(classes)))
        report["without_copies"] = {"n": int((~copied).sum())} | {key: rest[key] for key in ("accuracy", "macro_f1")}
    return cast(Report, report)  # a table's names are no literals


def _score(losses: Float64[np.ndarray, " n"], confusion: Int[np.ndarray, "c c"]) -> dict[str, float]:
    """Return every score by its name, in float64."""
    return {name: float(value) for name, value in compute_scores(Sums(np.asarray(losses.sum()), confusion)).items()}
