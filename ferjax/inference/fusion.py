"""Late fusion: two sources' probabilities of the same classes, made one.

A weighted product of both, made to add up to 1 (the logarithmic opinion pool; Genest & Zidek 1986, "Combining
Probability Distributions"): unlike a weighted mean, a source that rules a class out is heard, and a source that knows
nothing, equal for all classes, changes nothing.
"""

import numpy as np
from jaxtyping import Float, Int

# Of a class that a source rules out: the other source alone could not bring it back otherwise.
_LEAST = 1e-6


def fuse(
    probabilities: Float[np.ndarray, "n k"], other: Float[np.ndarray, "n k"], weight: float
) -> Float[np.ndarray, "n k"]:
    """Return p^(1 - weight) * q^weight, of each row made to add up to 1; `weight` is the other source's share, 0..1.

    A row of nan in `other` stands for no opinion: the probabilities stay as they are. Raises ValueError for another
    weight, for shapes that differ and for rows that are no probabilities.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight={weight} is not within 0 and 1.")
    p, q = np.asarray(probabilities, np.float64), np.asarray(other, np.float64)
    if p.shape != q.shape or p.ndim != 2:
        raise ValueError(
            f"probabilities of shapes {list(p.shape)} and {list(q.shape)} cannot be fused: give [n, k] twice."
        )
    heard = ~np.isnan(q).any(axis=1)
    for name, rows in (("probabilities", p), ("other", q[heard])):
        if (rows < 0).any() or not np.allclose(rows.sum(axis=1), 1.0, atol=1e-3):
            raise ValueError(f"the rows of {name} must not be negative, and must add up to 1.")
    fused = p.copy()
    logs = (1 - weight) * np.log(np.maximum(p[heard], _LEAST)) + weight * np.log(np.maximum(q[heard], _LEAST))
    product = np.exp(logs - logs.max(axis=1, keepdims=True)) if len(logs) else logs
    fused[heard] = product / product.sum(axis=1, keepdims=True)
    return fused


def fit_weight(
    probabilities: Float[np.ndarray, "n k"], other: Float[np.ndarray, "n k"], labels: Int[np.ndarray, " n"]
) -> float:
    """Return the weight, to a hundredth, that makes the fused probabilities of the labels largest (least mean nats).

    Give rows that neither source was trained on. Raises ValueError as `fuse` does, and where there are no rows.
    """
    truth = np.asarray(labels)
    if not len(truth):
        raise ValueError("there are no labels to fit a weight on.")
    rows = np.arange(len(truth))

    def find_loss(weight: float) -> float:
        return float(-np.log(np.maximum(fuse(probabilities, other, weight)[rows, truth], 1e-12)).mean())

    # The loss is convex in the weight; a hundred and one values are quick, and a tie goes to the smaller weight.
    return min((step / 100 for step in range(101)), key=find_loss)
