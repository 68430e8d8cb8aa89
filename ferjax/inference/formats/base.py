"""What a writer of answers is."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ferjax.inference.answers import Answer, Row


@runtime_checkable
class Writer(Protocol):
    """Writes answers as they come, and what is left at the end; it does not close its file."""

    def add(self, answer: Answer, rows: Sequence[Row]) -> None:
        """Write a picture's rows."""

    def close(self) -> None:
        """Write what makes the file complete."""
