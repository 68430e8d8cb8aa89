"""The rows of a FER-2013 data set, however they were stored."""

import dataclasses

import numpy as np
from jaxtyping import Float32, Int32, UInt8

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
USAGES = ("Training", "PublicTest", "PrivateTest")
SIDE_PX = 48
UNLABELLED = -1  # the emotion of a row that a labelling leaves out; such a row is in no split


@dataclasses.dataclass(frozen=True)
class Rows:
    """Labelled 48x48 gray images in file order.

    `emotion` indexes `classes`, or is UNLABELLED; `usage` indexes USAGES. `targets` are soft targets that sum to 1, or
    to 0 for a row in no split. `digest` is a SHA-256 of the stored content, `skipped` names every row that
    `on_bad_row='skip'` left out and `notes` says what a person should know (resized images, for one).
    """

    pixels: UInt8[np.ndarray, "n 48 48"]
    emotion: Int32[np.ndarray, " n"]
    usage: UInt8[np.ndarray, " n"]
    digest: str = ""
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = EMOTIONS
    targets: Float32[np.ndarray, "n c"] | None = None

    def __len__(self) -> int:
        return len(self.emotion)
