"""A tensor in a file that is not read yet."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


class Unreadable(Exception):  # noqa: N818 - of a file, not of the program
    """Half a sentence on what is wrong with a file, to stand behind its name."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Shape and type as the file says; `read` gives the values."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], np.ndarray]
