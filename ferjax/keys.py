"""A config key: its default, its legal range, what it means, and whether a resumed run may change it."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

_MOST_WHOLE, _MOST_REAL = 2**31 - 1, 3.4028234e38


@dataclasses.dataclass(frozen=True)
class Range:
    """Finite numbers from `low` to `high`, whole ones if `whole`; an `open` range leaves `low` itself out.

    Without a `high` it ends where the devices' numbers do, int32's and float32's.
    """

    low: int | float
    high: int | float = math.inf
    open: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return math.isfinite(value) and (value > self.low if self.open else value >= self.low) and value <= self.most

    @property
    def most(self) -> int | float:
        """The largest number that is legal."""
        return self.high if self.high < math.inf else _MOST_WHOLE if self.whole else _MOST_REAL

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"{'>' if self.open else '>='} {self.low}"
        return f"{self.low}..{self.high}"


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.words

    def __str__(self) -> str:
        quoted = [f"'{word}'" for word in self.words]
        return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


@dataclasses.dataclass(frozen=True)
class Each:
    """A tuple of members of a range."""

    member: Range

    def __contains__(self, value: object) -> bool:
        return isinstance(value, tuple | list) and all(item in self.member for item in value)

    def __str__(self) -> str:
        return f"a tuple of numbers, each {self.member}"


@dataclasses.dataclass(frozen=True)
class Anything:
    """Any value of a kind; whoever reads it says what else is wrong with it."""

    kind: type = object

    def __contains__(self, value: object) -> bool:
        return isinstance(value, self.kind)

    def __str__(self) -> str:
        return {str: "text", bool: "True or False"}.get(self.kind, "anything")


FRACTION, NOT_NEGATIVE, POSITIVE = Range(0, 1), Range(0), Range(0, open=True)
COUNT, SIZE, SEED = Range(0, whole=True), Range(1, whole=True), Range(0, 2**32 - 1, whole=True)
TEXT, FLAG = Anything(str), Anything(bool)

# May a run that is resumed differ in this key? "free": always, since nothing of it changes what is trained. "ask": only
# with --allow_config_change. "never": a checkpoint's place in the data, or what it has gathered, depends on it.
Resume: TypeAlias = Literal["free", "ask", "never"]


@dataclasses.dataclass(frozen=True)
class Key:
    """One config key. `text` says in one line what it is, with its unit; the legal range is printed beside it."""

    default: Any
    legal: Range | Choice | Each | Anything
    text: str
    resume: Resume = "ask"


# By the key's name without its group.
Keys: TypeAlias = Mapping[str, Key]
