"""A data set in, rows and their splits out: every data set of the table DATASETS, from whatever file holds it."""

from ferjax.data.datasets import DATASETS, DataSet
from ferjax.data.duplicates import copied_rows
from ferjax.data.loading import KEYS, load, read
from ferjax.data.rows import UNLABELLED, Rows
from ferjax.data.splits import Splits, select, split

__all__ = [
    "DATASETS",
    "KEYS",
    "UNLABELLED",
    "DataSet",
    "Rows",
    "Splits",
    "copied_rows",
    "load",
    "read",
    "select",
    "split",
]
