"""The data sets by name. To add one, write a file with a function `read` here and give it a line in DATASETS."""

import dataclasses
import types
from collections.abc import Callable, Mapping

from ferjax.data.datasets import fer2013, ferplus, folder, synthetic
from ferjax.data.rows import Rows
from ferjax.data.splits import Splits
from ferjax.keys import Keys


@dataclasses.dataclass(frozen=True)
class DataSet:
    """How a data set is read.

    `read(path, on_bad_row, **own)` gives the rows, where `own` are the values of `keys`: the config keys of group
    "data" that only this data set reads. A data set whose labels depend on such a key, or that keeps some rows out of
    some splits, also has `relabel(rows, split, **own)`, which gives the rows under those labels and their splits;
    `split(rows)` divides rows as the config says. `licence` says in a sentence or two under which terms the images are
    given out, and `labels` in a few words where the labels come from, both for the model cards of networks trained on
    them; with empty `labels` the card has the value of the key data.labels.
    """

    read: Callable[..., Rows]
    keys: Keys = dataclasses.field(default_factory=dict)
    relabel: Callable[..., tuple[Rows, Splits]] | None = None
    licence: str = ""
    labels: str = "its own"


DATASETS: Mapping[str, DataSet] = types.MappingProxyType(
    {
        "fer2013": DataSet(fer2013.read, ferplus.KEYS, ferplus.relabel, fer2013.LICENCE, labels=""),
        "folder": DataSet(folder.read, licence=folder.LICENCE, labels="the names of its folders"),
        "synthetic": DataSet(synthetic.read, synthetic.KEYS, licence=synthetic.LICENCE),
    }
)
