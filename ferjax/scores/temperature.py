"""Temperature scaling: one number, fitted on validation, that makes confidences say how often answers are right."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from ferjax.scores.calibration import calibrate, find_adaptive_error
from ferjax.scores.folds import split_folds

_LEAST, _MOST = 0.1, 10.0


@dataclasses.dataclass(frozen=True)
class Fit:
    """What validation says of a network's confidences.

    Probabilities to the power 1 / `temperature`, made to sum to one again, are the calibrated ones. Answers whose
    calibrated confidence is below `unsure_below` were wrong at least every second time. The expected calibration errors
    are in equal bins of confidence, and `adaptive_...` in bins of equally many answers, of `n` images of `split`; those
    after scaling are cross-fitted: each fifth of the images is scaled by the temperature of the others.
    """

    temperature: float
    unsure_below: float
    error_before: float
    error_after: float
    adaptive_error_before: float
    adaptive_error_after: float
    split: str
    n: int


def fit_calibration(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n c"], split: str) -> Fit:
    """Fit a temperature, and the confidence below which an answer is unsure, to answers of `split`.

    Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599. Raises ValueError for no images.
    """
    if not len(labels):
        raise ValueError("there is no image, so nothing to fit a temperature to")
    temperature = _fit(labels, probabilities)
    held_out = np.array(probabilities, np.float64)
    for rest, own in split_folds(len(labels)):
        held_out[own] = scale(probabilities[own], _fit(labels[rest], probabilities[rest]) if rest.any() else 1.0)
    return Fit(
        temperature=temperature,
        unsure_below=_find_threshold(labels, scale(probabilities, temperature)),
        error_before=calibrate(labels, probabilities).error,
        error_after=calibrate(labels, held_out).error,
        adaptive_error_before=find_adaptive_error(labels, probabilities),
        adaptive_error_after=find_adaptive_error(labels, held_out),
        split=split,
        n=len(labels),
    )


def scale(probabilities: Float[np.ndarray, "n c"], temperature: float) -> Float[np.ndarray, "n c"]:
    """Return the probabilities as the softmax of their logits over `temperature` would be; 1 leaves them alone."""
    if temperature == 1:
        return probabilities
    logits = _log(probabilities) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    scaled: Float[np.ndarray, "n c"] = (powers / powers.sum(1, keepdims=True)).astype(probabilities.dtype)
    return scaled


def _fit(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n c"]) -> float:
    """Return the temperature in 0.1..10 with the least mean negative log-likelihood, which is convex in 1 / it."""
    # Imported here because a run needs it at its end only.
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    logits = _log(probabilities)
    rows = np.arange(len(labels))

    def find_loss(inverse: float) -> float:
        scaled = logits * inverse
        most = scaled.max(1)
        totals = most + np.log(np.exp(scaled - most[:, None]).sum(1))
        return float((totals - scaled[rows, labels]).mean())

    return 1.0 / float(minimize_scalar(find_loss, bounds=(1 / _MOST, 1 / _LEAST), method="bounded").x)


def _log(probabilities: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    return np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))


def _find_threshold(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n c"]) -> float:
    """Return the confidence from which on more answers are right than wrong; 0 where that holds for all, 1 for none.

    The share of right answers at a confidence is that of the isotonic regression on it (Zadrozny & Elkan 2002).
    """
    from scipy.optimize import isotonic_regression

    confidence = probabilities.max(1)
    order = np.argsort(confidence, kind="stable")
    share = isotonic_regression((probabilities.argmax(1) == labels)[order].astype(np.float64)).x
    first = int(np.searchsorted(share, 0.5, side="right"))
    if first == 0:
        return 0.0
    return float(confidence[order[first]]) if first < len(labels) else 1.0
