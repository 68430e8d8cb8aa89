"""A tensor that is still in its file."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


class Unreadable(Exception):  # noqa: N818 - of a file, not of the program
    """A file cannot be used; the message is half a sentence that says why, to be put after the file's name."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor's shape and type as the file states them; `read` reads the values."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], np.ndarray]
