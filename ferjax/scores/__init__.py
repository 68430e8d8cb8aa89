"""How good answers are: scores of a confusion matrix and a loss, and the calibration of confidences.

Every score of SCORES can select epochs, drive the plateau and rank a search, and stands in metrics.jsonl, in a run's
report and in a study. To add one: a line in SCORES.
"""

import types
from collections.abc import Mapping
from typing import Any

from ferjax.scores.confusion import (
    average_macro,
    average_weighted,
    find_accuracy,
    find_f1,
    find_precision,
    find_recall,
)
from ferjax.scores.score import Score
from ferjax.scores.sums import Sums

__all__ = ["SCORES", "Score", "Sums", "compute_scores"]

SCORES: Mapping[str, Score] = types.MappingProxyType(
    {
        "accuracy": Score("accuracy", lambda sums: find_accuracy(sums.confusion)),
        "macro_precision": Score("macro precision", lambda sums: average_macro(find_precision(sums.confusion))),
        # Also called balanced accuracy.
        "macro_recall": Score("macro recall", lambda sums: average_macro(find_recall(sums.confusion))),
        "macro_f1": Score("macro F1", lambda sums: average_macro(find_f1(sums.confusion))),
        "weighted_precision": Score(
            "weighted precision", lambda sums: average_weighted(find_precision(sums.confusion), sums.confusion)
        ),
        "weighted_recall": Score(
            "weighted recall", lambda sums: average_weighted(find_recall(sums.confusion), sums.confusion)
        ),
        "weighted_f1": Score("weighted F1", lambda sums: average_weighted(find_f1(sums.confusion), sums.confusion)),
        "loss": Score(
            "loss", lambda sums: sums.loss / sums.count, higher_is_better=False, unit="nats", of_loss_function=True
        ),
    }
)


def compute_scores(sums: Sums) -> dict[str, Any]:
    """Return every score of these sums by its name."""
    return {name: score.of(sums) for name, score in SCORES.items()}
