"""One score: how it is computed, which way is better, and how it is shown."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Bool, Float32

from ferjax.scores.sums import Sums


@dataclasses.dataclass(frozen=True)
class Score:
    """A score of sums; `of` takes those of numpy and of jax, with any leading axes, which its result then has too.

    `unit` is '%' for a share of 0..1, which is shown in percent, and '' for a plain number. `of_loss_function` says
    that the score depends on the loss that a run trains by, so that runs with other losses cannot be compared by it.
    """

    title: str
    of: Callable[[Sums], Any]
    higher_is_better: bool = True
    unit: str = "%"
    of_loss_function: bool = False

    @property
    def worst(self) -> float:
        """The value that every other is better than."""
        return -math.inf if self.higher_is_better else math.inf

    @property
    def factor(self) -> float:
        """The factor by which a value is multiplied to be shown in its unit."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def label(self) -> str:
        """The title with the unit, if there is one."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def is_better(self, one: Float32[Array, "..."], other: Float32[Array, "..."]) -> Bool[Array, "..."]:
        """Return whether `one` is better than `other`; never, where one of them is NaN."""
        return one > other if self.higher_is_better else one < other

    def rank(self, value: float) -> float:
        """Return a number that sorts values, the best one first."""
        return -value if self.higher_is_better else value

    def format(self, value: float) -> str:
        """Return a value as text, with its unit where that is '%'."""
        return f"{value:.2%}" if self.unit == "%" else f"{value:.4f}"
