"""Columns of numbers and words as CSV."""

from collections.abc import Mapping


def to_csv(columns: Mapping[str, object]) -> str:
    """Write named columns of equal length as CSV, numbers with every digit."""
    # Imported here, because pandas takes as long to import as jax, and only the end of a run needs it.
    import pandas as pd

    return pd.DataFrame(columns).to_csv(index=False, lineterminator="\n")
