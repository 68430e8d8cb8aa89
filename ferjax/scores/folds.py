"""Cross-fitting: what was fitted to answers is applied to answers that it was not fitted to."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

FOLDS = 5


def split_folds(count: int) -> Iterator[tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]]:
    """Yield, for each fifth of `count` rows, which rows are the others and which are its own.

    Every fifth row is held out in turn; training's copies and the order of classes are spread by that. Fewer rows than
    FOLDS are held out one by one, and of a single row there are no others.
    """
    fold = np.arange(count) % FOLDS
    for number in range(min(FOLDS, count)):
        yield fold != number, fold == number
