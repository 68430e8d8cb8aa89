"""Fewer classes made of a data set's own: some are put together, and those that nobody names are left out."""

import dataclasses
import re

import numpy as np

from ferjax.data.rows import UNLABELLED, Rows
from ferjax.data.splits import Splits
from ferjax.documents.words import count
from ferjax.errors import UserError

_EXAMPLE = "positive=happy+surprise,negative=angry+disgust+fear+sad"


def regroup(rows: Rows, splits: Splits, text: str) -> tuple[Rows, Splits]:
    """Return rows under the classes that `text` makes of theirs, and their splits; empty text leaves both alone.

    `text` is like 'positive=happy+surprise,negative=sad', new class by new class; a class that keeps its name may stand
    alone ('happy,other=sad+fear'). Rows of a class that is not named are in no split any more, and a note counts them.
    Soft targets are added up, and what lay on classes that are left out is spread over the others in proportion. Raises
    UserError for text that cannot be read, for unknown classes, and for one that is named twice.
    """
    if not text:
        return rows, splits
    groups = _parse(text, rows.classes)
    owner = np.full(len(rows.classes) + 1, UNLABELLED, np.int32)  # the last entry is that of UNLABELLED, which is -1
    for number, members in enumerate(groups.values()):
        owner[[rows.classes.index(name) for name in members]] = number
    labels = owner[rows.labels]
    targets = rows.targets
    if targets is not None:
        sums = np.stack([targets[:, owner[:-1] == number].sum(1) for number in range(len(groups))], axis=1)
        mass = sums.sum(1, keepdims=True)
        targets = np.divide(sums, mass, out=np.zeros_like(sums), where=mass > 0)
    left_out = [name for number, name in enumerate(rows.classes) if owner[number] == UNLABELLED]
    kept = {name: index[labels[index] != UNLABELLED] for name, index in splits.items()}
    lost = sum(map(len, splits.values())) - sum(map(len, kept.values()))
    notes = rows.notes
    if left_out:
        notes = (
            *notes,
            f"left out {count(lost, 'row')} of the classes that data.classes does not name: {', '.join(left_out)}",
        )
    for name in ("train", "validation"):
        if not len(kept[name]):
            raise UserError(f"data.classes='{text}' leaves no {name} rows: name more of {', '.join(rows.classes)}.")
    return dataclasses.replace(rows, labels=labels, targets=targets, classes=tuple(groups), notes=notes), kept


def _parse(text: str, classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return the members of each new class, in the order of the text."""
    groups: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        name, equals, members = (piece.strip() for piece in part.partition("="))
        chosen = tuple(member.strip() for member in members.split("+")) if equals else (name,)
        if not name or not all(chosen) or not re.fullmatch(r"[^=+]+", name):
            raise UserError(f"data.classes='{text}' cannot be read at '{part.strip()}': write it like {_EXAMPLE}.")
        for member in chosen:
            if member not in classes:
                raise UserError(f"data.classes='{text}' names the class {member}; there are {', '.join(classes)}.")
        if name in groups:
            raise UserError(f"data.classes='{text}' makes the class {name} twice: give each a name of its own.")
        groups[name] = chosen
    named = [member for members in groups.values() for member in members]
    if twice := sorted({member for member in named if named.count(member) > 1}):
        raise UserError(f"data.classes='{text}' names {', '.join(twice)} twice: each class belongs to one new class.")
    if len(groups) < 2:
        raise UserError(f"data.classes='{text}' makes one class, and there must be two at least: like {_EXAMPLE}.")
    return groups
