"""Counting the flaws of a data set: copies, copies across usages, contradicting labels and flat images."""

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ferjax.data.duplicates import THRESHOLD, Pairs, find_near, group_copies, number_images
from ferjax.data.rows import Rows


@dataclasses.dataclass(frozen=True)
class Audit:
    """Rows and their copies: equal numbers in `images` are exact copies, in `groups` exact or near ones.

    `flat` are the rows of a single gray level or colour. Rows are numbered from 0, in file order.
    """

    rows: Rows
    images: Int64[np.ndarray, " n"]
    groups: Int64[np.ndarray, " n"]
    pairs: Pairs
    flat: Int64[np.ndarray, " f"]


def examine(rows: Rows) -> Audit:
    """Find the copies and the flat images."""
    images, pairs = number_images(rows.images), find_near(rows.images)
    flat = np.flatnonzero((rows.images.min(axis=(1, 2)) == rows.images.max(axis=(1, 2))).all(axis=1))
    return Audit(rows, images, group_copies(images, pairs), pairs, flat)


def list_usages(rows: Rows) -> dict[str, Bool[np.ndarray, " n"]]:
    """Return the rows of each usage that the data set has; without an official split they are all 'unsplit'."""
    if rows.usage is None:
        return {"unsplit": np.ones(len(rows), bool)}
    masks = {usage: rows.usage == code for code, usage in enumerate(rows.usages)}
    return {usage: mask for usage, mask in masks.items() if mask.any()}


def count_classes(rows: Rows) -> dict[str, list[int]]:
    """Count the rows of each class, for each usage that the data set has."""
    return {
        usage: np.bincount(rows.labels[mask], minlength=len(rows.classes)).tolist()
        for usage, mask in list_usages(rows).items()
    }


def find_contradictory(groups: Int64[np.ndarray, " n"], rows: Rows) -> Bool[np.ndarray, " n"]:
    """Return whether a row's group carries more than one label."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    differs = rows.labels != rows.labels[first][group]
    return np.bincount(group, differs)[group] > 0


def count_copies(audit: Audit) -> list[tuple[str, int, int]]:
    """Return lines (what, how many by exact copies alone, how many by exact or near copies)."""
    measures: dict[str, Callable[[Int64[np.ndarray, " n"]], int]] = {
        "distinct images": lambda groups: len(np.unique(groups)),
        "groups of copies": lambda groups: len(np.unique(groups[has_copy(groups)])),
        "rows in them": lambda groups: int(has_copy(groups).sum()),
        "groups with contradicting labels": lambda groups: len(
            np.unique(groups[find_contradictory(groups, audit.rows)])
        ),
    }
    found = [(what, measure(audit.images), measure(audit.groups)) for what, measure in measures.items()]
    for (one, own), (other, others) in itertools.permutations(list_usages(audit.rows).items(), 2):
        exact, near = (int(np.isin(groups[own], groups[others]).sum()) for groups in (audit.images, audit.groups))
        found.append((f"{one} rows with a copy in {other}", exact, near))
    return found


def has_copy(groups: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Return whether another row is of the same group."""
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return counts[group] > 1


def best_correlation(audit: Audit) -> Float64[np.ndarray, " n"]:
    """Return each row's highest correlation with a near copy; 0 without one."""
    best = np.zeros(len(audit.rows))
    near = audit.pairs.select(audit.pairs.correlation >= THRESHOLD)
    for end in (near.first, near.second):
        np.maximum.at(best, end, near.correlation.astype(np.float64))
    return np.take(best, audit.images)
