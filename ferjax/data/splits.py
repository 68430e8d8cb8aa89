"""Which rows are for training, which choose the epoch, and which are read once at the end."""

import dataclasses

import numpy as np
from jaxtyping import Int64

from ferjax.data.rows import SPLITS, UNLABELLED, Rows
from ferjax.errors import UserError

MODES = ("official", "stratified", "auto")

Splits = dict[str, Int64[np.ndarray, "_"]]


def split(rows: Rows, mode: str = "official", seed: int = 0) -> Splits:
    """Return the row numbers of 'train', 'validation' and 'test': increasing, disjoint, together every labelled row.

    'official' follows `rows.usage`; 'test' may be empty. 'stratified' holds out a tenth and a tenth of those rows: each
    class's share of each split, and each total, is within one row of exact; the same seed always gives the same rows.
    'auto' is 'official' as far as there is one: without any it is 'stratified', and where only validation rows are
    lacking, a tenth of each class's training rows is held out for them.
    Raises UserError if the data set has no official split, and if nothing is left to train or to validate on.
    """
    if mode == "official":
        return _follow_usage(rows)
    if mode == "stratified":
        found = _hold_out(rows, seed)
        if not len(found["train"]):
            raise UserError(f"The data set has {len(rows)} rows, too few to split: use a complete file")
        return found
    if mode == "auto":
        return split(rows, "stratified", seed) if rows.usage is None else _complete(rows, seed)
    raise UserError(f"data.split is '{mode}': choose one of {', '.join(MODES)}")


def select(splits: Splits, name: str) -> Int64[np.ndarray, "_"]:
    """Return the row numbers of one split; raises UserError, with the remedy, if it has none."""
    if not len(splits[name]):
        raise UserError(
            f"The data set has no {name} rows to evaluate on: use eval.split=validation, or data.split=stratified"
        )
    return splits[name]


def _follow_usage(rows: Rows) -> Splits:
    """Divide the rows as the authors of the data set did."""
    if rows.usage is None:
        raise UserError("The data set has no official split into train, validation and test: use data.split=stratified")
    labelled = rows.labels != UNLABELLED
    found = {name: np.flatnonzero((rows.usage == code) & labelled) for code, name in enumerate(SPLITS)}
    for code, name in enumerate(SPLITS[:2]):
        if not len(found[name]):
            raise UserError(
                f"The data set has no {rows.usages[code]} rows, so there is no {name} split: "
                "use a complete file, or data.split=stratified"
            )
    return found


def _complete(rows: Rows, seed: int) -> Splits:
    """Divide the rows as the authors did; where they made no validation rows, hold some training rows out."""
    assert rows.usage is not None
    if (rows.usage == 1).any():
        return _follow_usage(rows)
    labels = np.where(rows.usage == 0, rows.labels, UNLABELLED)
    held_out = _hold_out(dataclasses.replace(rows, labels=labels), seed)
    test = np.flatnonzero((rows.usage == 2) & (rows.labels != UNLABELLED))
    train = np.sort(np.concatenate([held_out["train"], held_out["test"]]))
    if not len(train) or not len(held_out["validation"]):
        raise UserError("The data set has too few training rows to hold validation rows out: use a complete file")
    return {"train": train, "validation": held_out["validation"], "test": test}


def _hold_out(rows: Rows, seed: int) -> Splits:
    """Hold out a tenth and another tenth of every class by systematic sampling.

    Each class is shuffled, the classes are laid end to end, and every tenth row is held out, twice. Of any consecutive
    rows, and so of each class and of the whole, the number held out then differs from a tenth by less than one row. The
    two tenths lie five rows apart, so that the same holds for both together, and for the training rows.
    """
    # RandomState's stream is frozen by NumPy's promise; the newer Generator's permutations may change with a release.
    random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    in_order = np.concatenate(
        [random.permutation(np.flatnonzero(rows.labels == label)) for label in range(len(rows.classes))]
    )
    place = np.arange(len(in_order)) % 10
    return {
        "train": np.sort(in_order[(place != 0) & (place != 5)]),
        "validation": np.sort(in_order[place == 0]),
        "test": np.sort(in_order[place == 5]),
    }
