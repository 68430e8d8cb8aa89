"""What a drill is: a function that makes accidents in a folder, and says what it saw."""

import dataclasses
import pathlib
import random
from collections.abc import Callable, Iterator


class Failed(Exception):  # noqa: N818 - of what is drilled
    """Something did not hold; the message says what, and how to see it again."""


class Skipped(Exception):  # noqa: N818
    """This machine cannot make the accident; the message says what it lacks."""


@dataclasses.dataclass(frozen=True)
class Drill:
    """A drill: `run(folder, cases, chance)` makes `cases` accidents, drawn from `chance`, and yields what was seen.

    `cases` is how many it makes where nobody says how many. `run` raises Failed, or Skipped.
    """

    about: str
    cases: int
    run: Callable[[pathlib.Path, int, random.Random], Iterator[str]]


def expect(condition: object, message: str) -> None:
    """Raise Failed unless the condition holds."""
    if not condition:
        raise Failed(message)
