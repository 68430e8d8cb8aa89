"""The spread of a score over seeds, and tests of whether a difference from a baseline is more than chance."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import scipy.special  # type: ignore[import-untyped]  # scipy.stats has more, and takes a second to import
from jaxtyping import Float32, Float64, Int, UInt8

CONFIDENCE = 0.95
RESAMPLES = 10_000
# Fewer of the macro F1, since each of them takes as many confusion matrices as there are networks.
RESAMPLES_F1 = 2_000
_AT_ONCE = 200  # resamples computed together, which bounds the memory
# Differences of accuracies that are equal on paper differ by rounding. One image of ten million weighs 1e-7.
_SAME = 1e-12


@dataclasses.dataclass(frozen=True)
class Description:
    """A score over seeds; what one seed alone does not have is None. Deviations divide by n - 1."""

    n: int
    max: float
    min: float
    std: float | None
    variance: float | None
    mean: float
    standard_error: float | None
    t95_low: float | None
    t95_high: float | None


def describe(values: Float64[np.ndarray, " n"]) -> Description:
    """Compute maximum, minimum, sample deviation and variance, mean, its standard error and its 95 % t interval.

    Raises ValueError where there are no values.
    """
    if not len(values):
        raise ValueError("there are no values to describe")
    n, highest, lowest, mean = len(values), float(values.max()), float(values.min()), float(values.mean())
    if n == 1:
        return Description(n, highest, lowest, None, None, mean, None, None, None)
    variance = float(values.var(ddof=1))
    error = math.sqrt(variance / n)
    return Description(n, highest, lowest, math.sqrt(variance), variance, mean, error, *_t_interval(mean, error, n))


def _t_interval(mean: float, standard_error: float, n: int) -> tuple[float, float]:
    reach = float(scipy.special.stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * standard_error
    return mean - reach, mean + reach


@dataclasses.dataclass(frozen=True)
class Difference:
    """The mean of n paired differences from the baseline, with its 95 % interval; `note` says why one is None."""

    n: int
    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    p_corrected: float | None = None
    note: str = ""


def compare_seeds(ours: Float64[np.ndarray, " n"], baseline: Float64[np.ndarray, " n"]) -> Difference:
    """Test over seeds by the paired t test: entry i of both is of the same seed."""
    if not len(ours):
        return Difference(0, None, None, None, None, note="no seed in common: no test")
    differences = ours - baseline
    n, mean = len(differences), float(differences.mean())
    if n < 2:
        return Difference(n, mean, None, None, None, note="one common seed: no test")
    if float(np.ptp(differences)) < _SAME:
        return Difference(n, mean, None, None, None, note="the same difference at every seed: no test")
    error = math.sqrt(float(differences.var(ddof=1)) / n)
    low, high = _t_interval(mean, error, n)
    p = 2 * float(scipy.special.stdtr(n - 1, -abs(mean / error)))  # of Student's t distribution, both tails
    return Difference(n, mean, low, high, p)


def compare_images(
    ours: Float64[np.ndarray, " n"], baseline: Float64[np.ndarray, " n"], *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Test over images by the paired bootstrap: entry i of both is the share of the seeds that got image i right.

    The interval is that of the percentiles. The two-sided p is twice the smaller share of resampled differences on
    either side of zero, with one added to both counts so that it is never 0 (Efron and Tibshirani 1993, An Introduction
    to the Bootstrap, chapter 13; Davison and Hinkley 1997, section 4.2). Raises ValueError where there are no images.
    """
    if not len(ours):
        raise ValueError("there are no images to compare")
    differences = ours - baseline
    n = len(differences)
    # Few distinct values occur (k seeds of m), and the mean of a resample depends only on how often each is drawn.
    # They are rounded, because 2/3 - 1/3 and 1/3 - 0 are one value.
    values, counts = np.unique(np.round(differences, 12), return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples)
    return _describe_resampled(n, float(differences.mean()), drawn @ values / n)


def compare_macro_f1(
    labels: Int[np.ndarray, " n"],
    ours: Int[np.ndarray, "seeds n"],
    baseline: Int[np.ndarray, "other n"],
    num_classes: int,
    *,
    resamples: int = RESAMPLES_F1,
    seed: int = 0,
) -> Difference:
    """Test the macro F1, its mean over the seeds, over images by the paired bootstrap.

    `ours` and `baseline` hold the predicted classes, a row for each seed. A resample draws images, each with its true
    class and what every network of both settings answered; interval and p are as in compare_images. Raises ValueError
    where there are no images.
    """
    n = len(labels)
    if not n:
        raise ValueError("there are no images to compare")
    predicted, classes = np.concatenate([ours, baseline]), np.arange(num_classes)
    truth = labels[:, None] == classes  # n c
    answers = predicted[:, :, None] == classes  # seeds n c
    # For each seed and class twice the true positives, and images plus answers of that class: F1 is their quotient, and
    # both are sums over images.
    twice = (2 * (answers & truth)).transpose(1, 0, 2).reshape(n, -1).astype(np.float32)
    whole = (answers.astype(np.int64) + truth).transpose(1, 0, 2).reshape(n, -1).astype(np.float32)

    def measure(drawn: Float32[np.ndarray, "r n"]) -> Float64[np.ndarray, " r"]:
        part, total = ((drawn @ sums).astype(np.float64) for sums in (twice, whole))
        f1 = np.divide(part, total, out=np.zeros_like(part), where=total != 0)
        macro = f1.reshape(len(drawn), len(predicted), num_classes).mean(axis=2)
        difference: Float64[np.ndarray, " r"] = macro[:, : len(ours)].mean(axis=1) - macro[:, len(ours) :].mean(axis=1)
        return difference

    drawn = _draw_resamples(n, resamples, seed)
    # Counts of images are exact in float32.
    found = [measure(drawn[i : i + _AT_ONCE].astype(np.float32)) for i in range(0, resamples, _AT_ONCE)]
    return _describe_resampled(n, float(measure(np.ones((1, n), np.float32))[0]), np.concatenate(found))


@functools.lru_cache(maxsize=1)  # all comparisons of a study with one baseline are over the same images
def _draw_resamples(n: int, resamples: int, seed: int) -> UInt8[np.ndarray, "r n"]:
    """Draw how often each of n images is in each resample; to be read only.

    Bytes hold that: of n draws of n images none hits one image 256 times.
    """
    rng = np.random.default_rng(seed)
    drawn = np.empty((resamples, n), np.uint8)
    for row in drawn:
        row[:] = np.bincount(rng.integers(n, size=n), minlength=n)
    return drawn


def _describe_resampled(n: int, mean: float, resampled: Float64[np.ndarray, " r"]) -> Difference:
    low, high = np.quantile(resampled, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    tail = min(int((resampled <= _SAME).sum()), int((resampled >= -_SAME).sum()))
    p = min(1.0, 2 * (tail + 1) / (len(resampled) + 1))
    return Difference(n, mean, float(low), float(high), p)


def correct_holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p values for their number; None, where there was no test, stays None and does not count.

    Holm 1979, A simple sequentially rejective multiple test procedure: the k-th smallest of m is multiplied by
    m - k + 1, and no corrected value may be below that of a smaller one.
    """
    corrected: list[float | None] = [None] * len(p_values)
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    largest = 0.0
    for rank, (p, i) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        corrected[i] = largest
    return corrected
