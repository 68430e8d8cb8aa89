"""Copies of an image elsewhere in the data set: exact ones, and near ones by normalised correlation.

FER-2013 was gathered by an image search, so the same photograph comes again rescaled, recompressed, cropped a little
differently, with another watermark or, seldom, mirrored. Two images count as near copies if the one correlates at
THRESHOLD or more with the other or with the other's mirror image.
"""

import dataclasses
import hashlib
import logging

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from ferjax.data import cache
from ferjax.data.rows import Rows
from ferjax.data.splits import Splits
from ferjax.errors import UserError

DEDUP = ("none", "exact", "near")
# Set by looking at pairs of FER-2013's 32,298 Training and PublicTest rows. 0.94 down to 0.92: 60 of 60 drawn pairs are
# the same photograph. 0.92 to 0.90: 7 of 60 are different people, alike in light and pose. 0.90 to 0.88: a third are.
# Pairs that are most alike when one is mirrored confirm this: 13 reach 0.92 (12 of them mirrored photographs), 48 reach
# 0.90 and 250 reach 0.88, nearly all of different people. Very different crops of one photograph correlate less, and
# are not found.
THRESHOLD = 0.92
FLOOR = 0.88  # pairs down to here are found and kept too, for the audit to show what lies below the threshold
FORMAT = 2  # increase it when the search would find other pairs

# Chosen for speed at FER-2013's 48 pixels; any number finds the same pairs in images of any size.
_FREQUENCIES = 20  # of each axis
_BLOCK_IMAGES = 1024
_ROUNDING = 1e-4  # far more than float32 loses in a sum of some thousand products

logger = logging.getLogger("ferjax")


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Rows `first` < `second` of different images, their correlation (up to 1), and whether one is mirrored."""

    first: Int64[np.ndarray, " p"]
    second: Int64[np.ndarray, " p"]
    correlation: Float32[np.ndarray, " p"]
    mirrored: Bool[np.ndarray, " p"]

    def __len__(self) -> int:
        return len(self.first)

    def select(self, chosen: Bool[np.ndarray, " p"] | Int64[np.ndarray, " q"]) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(self.first[chosen], self.second[chosen], self.correlation[chosen], self.mirrored[chosen])


def number_images(images: UInt8[np.ndarray, "n side side channels"]) -> Int64[np.ndarray, " n"]:
    """Return for each row the first row with the same pixels: equal numbers are exact copies."""
    first: dict[bytes, int] = {}
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    return np.array(
        [first.setdefault(hashlib.blake2b(row.data, digest_size=16).digest(), i) for i, row in enumerate(rows)],
        np.int64,
    )


def find_near(images: UInt8[np.ndarray, "n side side channels"]) -> Pairs:
    """Find every pair of distinct images that correlate at FLOOR or more; what is found is kept in the cache.

    Exact copies are searched once, under the first of their rows; flat images correlate with nothing.
    """
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    name = f"near-{digest.hexdigest()}-v{FORMAT}.npz"
    if kept := cache.load_arrays(name):
        return Pairs(**kept)
    distinct = np.unique(number_images(images))
    logger.info("Comparing %d distinct images for near copies; what is found is kept for the next time", len(distinct))
    found = search(images[distinct])
    found = Pairs(distinct[found.first], distinct[found.second], found.correlation, found.mirrored)
    cache.save_arrays(name, dataclasses.asdict(found))
    return found


def search(images: UInt8[np.ndarray, "n side side channels"], floor: float = FLOOR) -> Pairs:
    """Find every pair of images that correlate at `floor` or more, in order of their rows; 10 s for 31,000 faces.

    Colour images are compared by the mean of their channels. Of the orthonormal cosine transform of a normalised image,
    the low frequencies P and what remains Q give x·y = Px·Py + Qx·Qy <= Px·Py + |Qx||Qy| (Cauchy-Schwarz), so that a
    product of 400 + 1 numbers instead of 2,304 (for 48 pixels) rules out nearly all pairs and never one that belongs.
    Mirroring an image changes the sign of its odd horizontal frequencies and of nothing else, so the even and the odd
    ones' products, added and subtracted, give both views.
    """
    gray = _to_gray(images)
    even, odd = _low_frequencies(gray)
    blocks = [slice(start, start + _BLOCK_IMAGES) for start in range(0, len(gray), _BLOCK_IMAGES)]
    found = []
    for i, rows in enumerate(blocks):
        for columns in blocks[i:]:
            bound = np.abs(odd[rows] @ odd[columns].T)
            bound += even[rows] @ even[columns].T
            first, second = np.nonzero(bound >= floor - _ROUNDING)
            first, second = first + rows.start, second + columns.start
            found.append(_correlate(gray, first[first < second], second[first < second], floor))
    parts = [[getattr(pairs, field.name) for pairs in found] for field in dataclasses.fields(Pairs)]
    pairs = Pairs(*map(np.concatenate, parts))
    return pairs.select(np.lexsort((pairs.second, pairs.first)))


def group_copies(
    images: Int64[np.ndarray, " n"], pairs: Pairs, threshold: float = THRESHOLD
) -> Int64[np.ndarray, " n"]:
    """Return for each row the number of its group: rows of one image, and images joined by a chain of near copies.

    `images` are number_images's, `pairs` find_near's. Groups are numbered in order of their first rows.
    """
    # Imported here because scipy takes longer to start than most runs need for all their data.
    from scipy.sparse import coo_array  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    near = pairs.select(pairs.correlation >= threshold)
    ends = [np.concatenate([near.first, np.arange(len(images))]), np.concatenate([near.second, images])]
    links = coo_array((np.ones(len(ends[0]), bool), (ends[0], ends[1])), shape=(len(images), len(images)))
    groups: Int64[np.ndarray, " n"] = connected_components(links, directed=False)[1].astype(np.int64)
    return groups


def copied_rows(rows: Rows, splits: Splits) -> dict[str, Int64[np.ndarray, "_"]]:
    """Return the rows of 'validation' and of 'test' that have an exact copy in 'train'."""
    images = number_images(rows.images)
    trained = np.zeros(len(rows), bool)
    trained[images[splits["train"]]] = True
    return {name: splits[name][trained[images[splits[name]]]] for name in ("validation", "test")}


def drop_copies(rows: Rows, splits: Splits, dedup: str) -> tuple[Rows, Splits]:
    """Leave out of 'train' the rows that have a copy in 'validation' or 'test', and note how many they are.

    `dedup` is 'none', 'exact' or 'near', which takes whole groups of group_copies and so the exact ones as well.
    Raises UserError if no training row is left.
    """
    if dedup == "none":
        return rows, splits
    if dedup not in DEDUP:
        raise UserError(f"data.dedup is '{dedup}': choose one of {', '.join(DEDUP)}")
    group = number_images(rows.images)
    if dedup == "near":
        group = group_copies(group, find_near(rows.images))
    held_out = np.zeros(len(rows), bool)
    held_out[group[np.concatenate([splits["validation"], splits["test"]])]] = True
    train = splits["train"]
    kept = train[~held_out[group[train]]]
    what = "an exact copy" if dedup == "exact" else f"an exact or near copy (correlation {THRESHOLD} or more)"
    if not len(kept):
        raise UserError(
            f"Every one of the {len(train)} training rows has {what} in validation or test: use data.dedup 'none'"
        )
    note = f"left {len(train) - len(kept)} of {len(train)} training rows out, which have {what} in validation or test"
    return dataclasses.replace(rows, notes=(*rows.notes, note)), {**splits, "train": kept}


def _to_gray(
    images: UInt8[np.ndarray, "n side side channels"],
) -> UInt8[np.ndarray, "n side side"] | Float32[np.ndarray, "n side side"]:
    """Drop the only channel of gray images; take the mean of several."""
    return images[..., 0] if images.shape[-1] == 1 else images.mean(axis=-1, dtype=np.float32)


def _normalise(
    gray: UInt8[np.ndarray, "n side side"] | Float32[np.ndarray, "n side side"],
) -> Float32[np.ndarray, "n pixels"]:
    """Give each image zero mean and unit length; a flat image becomes zeros."""
    images = gray.reshape(len(gray), gray.shape[1] * gray.shape[2]).astype(np.float32)
    images -= images.mean(axis=1, keepdims=True)
    length = np.linalg.norm(images, axis=1, keepdims=True)
    # In float32 a flat image less its mean is not quite zero. One pixel that is one level off makes a length of 1.
    return np.where(length < 0.1, np.float32(0), images / np.maximum(length, np.float32(0.1)))


def _low_frequencies(
    gray: UInt8[np.ndarray, "n side side"] | Float32[np.ndarray, "n side side"],
) -> tuple[Float32[np.ndarray, "n e"], Float32[np.ndarray, "n o"]]:
    """Return even and odd horizontal low frequencies; the length of all the others counts as an even one."""
    # Imported here because scipy takes longer to start than most runs need for all their data.
    from scipy.fft import dctn  # type: ignore[import-untyped]

    even, odd = [], []
    for start in range(0, len(gray), _BLOCK_IMAGES):
        images = _normalise(gray[start : start + _BLOCK_IMAGES])
        all_of_them = dctn(images.reshape(-1, *gray.shape[1:]), norm="ortho", axes=(1, 2))
        low = all_of_them[:, :_FREQUENCIES, :_FREQUENCIES]
        rest = np.sqrt(np.maximum((images**2).sum(axis=1) - (low**2).sum(axis=(1, 2)), 0))
        even.append(np.concatenate([low[:, :, 0::2].reshape(len(images), -1), rest[:, None]], axis=1))
        odd.append(low[:, :, 1::2].reshape(len(images), -1))
    return np.concatenate(even), np.concatenate(odd)


def _correlate(
    gray: UInt8[np.ndarray, "n side side"] | Float32[np.ndarray, "n side side"],
    first: Int64[np.ndarray, " p"],
    second: Int64[np.ndarray, " p"],
    floor: float,
) -> Pairs:
    """Return those candidates that correlate at `floor` or more, as they are or with one of them mirrored."""
    found = []
    for start in range(0, len(first), _BLOCK_IMAGES):
        one, other = (gray[rows[start : start + _BLOCK_IMAGES]] for rows in (first, second))
        left, right, mirror = _normalise(one), _normalise(other), _normalise(other[:, :, ::-1])
        found.append(np.stack([np.einsum("pi,pi->p", left, view) for view in (right, mirror)]))
    both = np.concatenate(found, axis=1) if found else np.empty((2, 0), np.float32)
    pairs = Pairs(first, second, both.max(axis=0), both[1] > both[0])
    return pairs.select(pairs.correlation >= floor)
