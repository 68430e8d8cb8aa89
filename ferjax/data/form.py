"""The form of a data set's files: what a reader must know and a file format does not say."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int32, UInt8

from ferjax.data.rows import SPLITS, Rows


@dataclasses.dataclass(frozen=True)
class Form:
    """The description of a data set's stored images and labels, for the readers.

    `name` is the data set's name in the table of data sets, under which the cache keeps its rows; `title` is what a
    sentence calls it, and `how_to_get` completes "There is no data set at PATH: ...". A csv file must hold images of
    `side_px` and `channels`; images in folders are brought to them. `synonyms` are further names of a class's folder.
    `usages` are the authors' names of the training, validation and test rows, or None if they made no split.
    """

    name: str
    title: str
    how_to_get: str
    classes: tuple[str, ...]
    usages: tuple[str, str, str] | None
    side_px: int
    channels: int = 1
    synonyms: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def create_rows(
        self,
        images: UInt8[np.ndarray, "n side side channels"],
        labels: Int32[np.ndarray, " n"],
        usage: UInt8[np.ndarray, " n"] | None,
        *,
        skipped: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Rows:
        """Return what a reader found as rows of this data set; `usage` is None where there is no split."""
        return Rows(
            images=images,
            labels=labels,
            classes=self.classes,
            usage=None if self.usages is None else usage,
            usages=self.usages or SPLITS,
            skipped=skipped,
            notes=notes,
        )
