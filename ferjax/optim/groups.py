"""Which parameters train, how fast, and from which epoch: an ordered list of patterns, the first match wins."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import flax.traverse_util
import numpy as np
from jaxtyping import PyTree

from ferjax.documents.words import list_first
from ferjax.keys import Anything, Key, Keys

FROZEN = "frozen"
KEYS: Keys = {
    "groups": Key(
        ((".*", 1.0),),
        Anything(),
        "which parameters train and how fast: a list of (pattern of a parameter's name, factor on the "
        "learning rate or 'frozen'[, epochs to freeze it first]); the first match counts",
    )
}

# Parameters by name, like 'block3_conv2/kernel'. Those that do not train are not there: no gradient, no moments.
Named: TypeAlias = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Group:
    """The parameters that `pattern` matches first; `start_epoch` counts the epochs before they train, inf is never."""

    pattern: str
    multiplier: float
    start_epoch: int | float

    def __str__(self) -> str:
        if self.start_epoch == math.inf:
            return FROZEN
        rate = "the learning rate" if self.multiplier == 1 else f"{self.multiplier:g} times the learning rate"
        return f"{rate} after {self.start_epoch} frozen epochs" if self.start_epoch else rate


@dataclasses.dataclass(frozen=True)
class Groups:
    """An ordered list of groups that together cover every parameter of a network.

    Parameters may be given by their shapes: nothing here needs a device.
    """

    rules: tuple[Group, ...]

    @property
    def starts(self) -> tuple[int, ...]:
        """The epochs at which parameters begin to train, increasing."""
        return tuple(sorted({int(rule.start_epoch) for rule in self.rules if rule.start_epoch < math.inf}))

    def phase(self, epoch: int) -> int:
        """Return the last of `starts` up to this epoch, or the first of all: what trains is the same until the next."""
        return max((start for start in self.starts if start <= epoch), default=self.starts[0])

    def assign(self, names: Iterable[str]) -> dict[str, Group]:
        """Find the group of every parameter; raises ValueError that names the parameters that no pattern matches."""
        found = {name: next((rule for rule in self.rules if re.fullmatch(rule.pattern, name)), None) for name in names}
        if uncovered := [name for name, rule in found.items() if rule is None]:
            raise ValueError(
                f"optim.groups has no pattern for {list_first(uncovered, 3)}: patterns are matched with whole "
                "names, so end the list with ('.*', 1.0)."
            )
        return {name: rule for name, rule in found.items() if rule is not None}

    def split(self, params: PyTree, epoch: int) -> tuple[Named, Named]:
        """Return the parameters that train in this epoch, and the others; raises ValueError where nothing trains."""
        named = flatten(params)
        rules = self.assign(named)
        trained = {name: leaf for name, leaf in named.items() if rules[name].start_epoch <= epoch}
        if not trained:
            raise ValueError(f"optim.groups trains nothing in epoch {epoch + 1}: unfreeze a part of the network.")
        return trained, {name: leaf for name, leaf in named.items() if name not in trained}

    def frozen_layers(self, params: PyTree, epoch: int) -> frozenset[str]:
        """Return the paths of the layers none of whose parameters trains in this epoch, such as 'head/output'.

        A layer's path is the name of its parameters without the last part, so nested layers are told apart.
        """
        trained, frozen = self.split(params, epoch)
        layers = {name.rpartition("/")[0] for name in trained}
        return frozenset(name.rpartition("/")[0] for name in frozen) - layers

    def describe(self, params: PyTree) -> list[tuple[Group, int]]:
        """Return every group in order with the number of its parameters."""
        sizes = dict.fromkeys(self.rules, 0)
        named = flatten(params)
        for name, rule in self.assign(named).items():
            sizes[rule] += int(np.prod(named[name].shape))
        return list(sizes.items())


def flatten(params: PyTree) -> Named:
    """Return the parameters by name."""
    named: Named = flax.traverse_util.flatten_dict(params, sep="/")
    return named


def join(*parts: Mapping[str, Any]) -> PyTree:
    """Return the tree of parameters that these parts, by name, make up together."""
    return flax.traverse_util.unflatten_dict({name: leaf for part in parts for name, leaf in part.items()}, sep="/")


def parse(entries: Any) -> Groups:
    """Read the config's `optim.groups`: (pattern, multiplier or 'frozen'[, epochs frozen first]) in order.

    A multiplier scales the learning rate (discriminative learning rates, Howard & Ruder 2018, arXiv 1801.06146), and so
    also the decoupled weight decay. A third entry freezes the group for that many epochs first (gradual unfreezing,
    same paper). Raises ValueError with the entry that is wrong.
    """
    if not isinstance(entries, tuple | list):
        raise ValueError(f"optim.groups is {entries!r}; it must be a list of (pattern, multiplier > 0 or 'frozen').")
    rules = []
    for number, entry in enumerate(entries, start=1):
        wrong = (
            f"optim.groups, entry {number}, is {entry!r}; it must be (pattern, multiplier > 0 or 'frozen'), with the "
            "number of epochs to freeze it first as a third part where it is to train later."
        )
        if isinstance(entry, str) or not isinstance(entry, Sequence) or len(entry) not in (2, 3):
            raise ValueError(wrong)
        pattern, value, *rest = entry
        epochs = rest[0] if rest else 0
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0 or (rest and value == FROZEN):
            raise ValueError(wrong)
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(f"optim.groups, entry {number}: {pattern!r} is no regular expression ({error}).") from None
        if value == FROZEN:
            rules.append(Group(pattern, 0.0, math.inf))
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(wrong)
        else:
            rules.append(Group(pattern, float(value), epochs))
    if all(rule.start_epoch == math.inf for rule in rules):
        raise ValueError("optim.groups trains nothing: end the list with ('.*', 1.0).")
    return Groups(tuple(rules))
