"""How a report's files are written: text that appears whole or not at all, and columns as CSV."""

import pathlib
from collections.abc import Mapping

from ferjax.files import replacing


def to_csv(columns: Mapping[str, object]) -> str:
    """Named columns of equal length as CSV, numbers with every digit."""
    import pandas as pd  # here, since its import takes as long as jax's and only the end of a run needs it

    return pd.DataFrame(columns).to_csv(index=False, lineterminator="\n")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file as UTF-8, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")
