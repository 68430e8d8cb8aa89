"""The rows of a data set, however they were stored."""

import dataclasses

import numpy as np
from jaxtyping import Float32, Int32, UInt8

SPLITS = ("train", "validation", "test")
UNLABELLED = -1  # the label of a row that a labelling leaves out; such a row is in no split


@dataclasses.dataclass(frozen=True)
class Rows:
    """Labelled images in file order: square, 8 bits a channel, one channel (gray) or three (red, green, blue).

    `labels` index `classes`, or are UNLABELLED. `usage` says which split the data set's authors put a row into: 0 is
    training, 1 validation, 2 test, and `usages` are the authors' names of the three; it is None where they made no
    split. `targets` are soft targets that sum to 1, or to 0 for a row in no split.

    `digest` is a SHA-256 of the stored content, `source` the path that was read, or the name of a data set that needs
    none. `skipped` names every row that `on_bad_row='skip'` left out, and `notes` says what a person should know
    (that images were resized, for example).
    """

    images: UInt8[np.ndarray, "n side side channels"]
    labels: Int32[np.ndarray, " n"]
    classes: tuple[str, ...]
    usage: UInt8[np.ndarray, " n"] | None = None
    usages: tuple[str, str, str] = SPLITS
    targets: Float32[np.ndarray, "n c"] | None = None
    digest: str = ""
    source: str = ""
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def side_px(self) -> int:
        """The height and the width of every image."""
        return int(self.images.shape[1])

    @property
    def channels(self) -> int:
        """1 for gray images, 3 for colour."""
        return int(self.images.shape[3])
