"""Which rows are for training, which choose the epoch, and which are read once at the end."""

import numpy as np
from jaxtyping import Int64

from ferjax.data.rows import UNLABELLED, USAGES, Rows
from ferjax.errors import UserError

SPLITS = ("train", "validation", "test")
MODES = ("official", "stratified")

Splits = dict[str, Int64[np.ndarray, "_"]]


def split(rows: Rows, mode: str = "official", seed: int = 0) -> Splits:
    """Row numbers of 'train', 'validation' and 'test', increasing, disjoint, and together every labelled row.

    'official' follows Usage: Training, PublicTest, PrivateTest; 'test' may be empty. 'stratified' holds out a tenth and
    a tenth of those rows: each class's share of each split, and each total, is within one row of exact; the same seed
    gives the same rows for good. Raises UserError if nothing is left to train or to validate on.
    """
    if mode == "official":
        found = {
            name: np.flatnonzero((rows.usage == code) & (rows.emotion != UNLABELLED))
            for code, name in enumerate(SPLITS)
        }
        for code, name in enumerate(SPLITS[:2]):
            if not len(found[name]):
                raise UserError(
                    f"The data set has no {USAGES[code]} rows, so there is no {name} split: "
                    "use a complete file, or --config.data.split=stratified"
                )
        return found
    if mode == "stratified":
        found = _hold_out(rows, seed)
        if not len(found["train"]):
            raise UserError(f"The data set has {len(rows)} rows, too few to split: use a complete file")
        return found
    raise UserError(f"data.split is '{mode}': choose one of {', '.join(MODES)}")


def select(splits: Splits, name: str) -> Int64[np.ndarray, "_"]:
    """The row numbers of one split; raises UserError, with the remedy, if it has none."""
    if not len(splits[name]):
        lack = "PrivateTest" if name == "test" else name
        raise UserError(
            f"The data set has no {lack} rows to evaluate on: "
            "use --config.eval.split=validation, or --config.data.split=stratified"
        )
    return splits[name]


def _hold_out(rows: Rows, seed: int) -> Splits:
    """Systematic sampling: shuffle each class, lay the classes end to end, hold out every tenth row, twice.

    A run of consecutive rows, so each class and the whole, then holds its tenths to one row; the two tenths lie five
    apart so that together they are right to one row as well, which keeps the training share exact.
    """
    # RandomState's stream is frozen by NumPy's promise; the newer Generator's permutations may change with a release.
    random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    in_order = np.concatenate(
        [random.permutation(np.flatnonzero(rows.emotion == label)) for label in range(len(rows.classes))]
    )
    place = np.arange(len(in_order)) % 10
    return {
        "train": np.sort(in_order[(place != 0) & (place != 5)]),
        "validation": np.sort(in_order[place == 0]),
        "test": np.sort(in_order[place == 5]),
    }
