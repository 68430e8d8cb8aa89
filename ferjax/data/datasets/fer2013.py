"""FER-2013: 48-pixel gray faces with one of seven emotions, from a csv, an image folder, an archive or a tfds folder.

Goodfellow et al. 2013, arXiv 1307.0414: "Challenges in Representation Learning".
"""

import os
import types
from typing import Any

from ferjax.data.form import Form
from ferjax.data.reading import read_files
from ferjax.data.rows import Rows

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
USAGES = ("Training", "PublicTest", "PrivateTest")
SIDE_PX = 48
LICENCE = (
    "FER-2013 was gathered by an image search and given out for research, for the challenge of Goodfellow et al. 2013; "
    "no licence of the photographs' owners comes with it."
)

FORM = Form(
    name="fer2013",
    title="FER-2013",
    how_to_get=(
        "get Kaggle's 'Challenges in Representation Learning: Facial Expression Recognition Challenge' or "
        "msambare/fer2013, put it there or name it with data.path=PATH; to try ferjax without it, run "
        "bash scripts/quickstart.sh"
    ),
    classes=EMOTIONS,
    usages=USAGES,
    side_px=SIDE_PX,
    synonyms=types.MappingProxyType(
        {
            "angry": ("anger",),
            "disgust": ("disgusted",),
            "fear": ("fearful", "afraid", "scared"),
            "happy": ("happiness",),
            "sad": ("sadness",),
            "surprise": ("surprised", "suprise", "suprised"),
            "neutral": ("neutrality",),
        }
    ),
)


def read(path: str | os.PathLike[str], on_bad_row: str, **_: Any) -> Rows:
    """Read FER-2013 under its own labels, in file order; raises UserError for whatever is wrong with the files."""
    return read_files(path, FORM, on_bad_row)
