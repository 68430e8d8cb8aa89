"""Calibration: whether answers are right as often as their confidence says."""

import dataclasses

import numpy as np
from jaxtyping import Float, Float64, Int, Int64


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
        """Return the expected calibration error, 0..1: the bins' mean |accuracy - confidence|, weighted by answers.

        Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599, equation 3.
        """
        return float(np.abs(self.correct - self.confidence).sum() / self.count.sum())


def calibrate(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n c"], bins: int = 15) -> Calibration:
    """Count the answers of each bin of confidence. Raises ValueError for no images."""
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


def find_adaptive_error(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n c"], bins: int = 15
) -> float:
    """Return the calibration error, 0..1, over bins of equally many answers in the order of their confidence.

    Nixon et al. 2019, Measuring Calibration in Deep Learning, arXiv 1904.01685, of the most probable class alone.
    Unlike equal bins of confidence, none of these holds but a few answers. Raises ValueError for no images.
    """
    if not len(labels):
        raise ValueError("there is no image, so there is no calibration")
    confidence = probabilities.max(axis=1).astype(np.float64)
    gaps = (probabilities.argmax(axis=1) == labels) - confidence
    parts = np.array_split(gaps[np.argsort(confidence, kind="stable")], min(bins, len(labels)))
    return float(sum(abs(part.sum()) for part in parts) / len(labels))
