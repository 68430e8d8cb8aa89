"""FER-2013 in, rows out: csv, image folder, archive, prepared tensorflow-datasets folder, or drawn faces."""

from ferjax.data.duplicates import copied_rows
from ferjax.data.reading import load, read
from ferjax.data.rows import EMOTIONS, USAGES, Rows
from ferjax.data.splits import select, split

__all__ = ["EMOTIONS", "USAGES", "Rows", "copied_rows", "load", "read", "select", "split"]
