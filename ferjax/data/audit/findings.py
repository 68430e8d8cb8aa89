"""The flaws of a data set, counted: copies, copies across usages, contradicting labels and flat images."""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ferjax.data.duplicates import THRESHOLD, Pairs, find_near, group_copies, number_images
from ferjax.data.rows import USAGES, Rows


@dataclasses.dataclass(frozen=True)
class Audit:
    """Rows and their copies: equal numbers in `images` are exact copies, in `groups` exact or near ones.

    `flat` are the rows of a single gray level. Rows are numbered from 0, in file order.
    """

    rows: Rows
    images: Int64[np.ndarray, " n"]
    groups: Int64[np.ndarray, " n"]
    pairs: Pairs
    flat: Int64[np.ndarray, " f"]


def examine(rows: Rows) -> Audit:
    """Find the copies and the flat images."""
    images, pairs = number_images(rows.pixels), find_near(rows.pixels)
    flat = np.flatnonzero(rows.pixels.min(axis=(1, 2)) == rows.pixels.max(axis=(1, 2)))
    return Audit(rows, images, group_copies(images, pairs), pairs, flat)


def count_classes(rows: Rows) -> dict[str, list[int]]:
    """Rows of each class, for each usage that the data set has."""
    return {
        usage: np.bincount(rows.emotion[rows.usage == code], minlength=len(rows.classes)).tolist()
        for code, usage in enumerate(USAGES)
        if (rows.usage == code).any()
    }


def find_contradictory(groups: Int64[np.ndarray, " n"], rows: Rows) -> Bool[np.ndarray, " n"]:
    """Whether a row's group carries more than one label."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    differs = rows.emotion != rows.emotion[first][group]
    return np.bincount(group, differs)[group] > 0


def count_copies(audit: Audit) -> list[tuple[str, int, int]]:
    """(what, how many by exact copies alone, how many by exact or near copies)."""
    usage = audit.rows.usage
    measures: dict[str, Callable[[Int64[np.ndarray, " n"]], int]] = {
        "distinct images": lambda groups: len(np.unique(groups)),
        "groups of copies": lambda groups: len(np.unique(groups[has_copy(groups)])),
        "rows in them": lambda groups: int(has_copy(groups).sum()),
        "groups with contradicting labels": lambda groups: len(
            np.unique(groups[find_contradictory(groups, audit.rows)])
        ),
    }
    found = [(what, measure(audit.images), measure(audit.groups)) for what, measure in measures.items()]
    for one, other in itertools.permutations(np.unique(usage).tolist(), 2):
        exact, near = (
            int(np.isin(groups[usage == one], groups[usage == other]).sum()) for groups in (audit.images, audit.groups)
        )
        found.append((f"{USAGES[one]} rows with a copy in {USAGES[other]}", exact, near))
    return found


def has_copy(groups: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Whether another row is of the same group."""
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return counts[group] > 1


def best_correlation(audit: Audit) -> Float64[np.ndarray, " n"]:
    """Each row's highest correlation with a near copy; 0 without one."""
    best = np.zeros(len(audit.rows))
    near = audit.pairs.select(audit.pairs.correlation >= THRESHOLD)
    for end in (near.first, near.second):
        np.maximum.at(best, end, near.correlation.astype(np.float64))
    return best[audit.images]
