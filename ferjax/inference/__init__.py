"""Using a network: pictures of every kind in, a row for each face out. docs/predict.md is what it promises."""

from typing import TYPE_CHECKING, Any

from ferjax.inference.answers import CONTRACT, Answer, Face, list_columns, to_frame, to_rows
from ferjax.inference.faces import Classifier
from ferjax.inference.fusion import fit_weight, fuse
from ferjax.inference.layouts import LAYOUTS, to_layout
from ferjax.inference.pipeline import Options, stream
from ferjax.inference.sources import Counts, Source

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CONTRACT",
    "LAYOUTS",
    "Answer",
    "Counts",
    "Face",
    "Options",
    "Source",
    "fit_weight",
    "fuse",
    "list_columns",
    "predict",
    "stream",
    "to_frame",
    "to_layout",
    "to_rows",
]


def predict(network: Classifier, source: Source, **options: Any) -> "pd.DataFrame":
    """Return a row for each face of a source, or one for a picture without; `options` are the fields of Options.

    The columns are list_columns(network.classes). `attrs` of the table say how many frames of each video there were
    and how many were skipped.
    """
    counts = Counts()
    rows = (
        row
        for answer in stream(network, source, Options(**options), counts=counts)
        for row in to_rows(answer, network.classes, network.unsure_below)
    )
    frame = to_frame(rows, network.classes)
    frame.attrs.update(contract=CONTRACT, frames=dict(counts.frames), skipped=dict(counts.skipped))
    return frame
