"""Folders that tensorflow-datasets prepared, of ArrayRecord files, read without TensorFlow."""

import json
import pathlib
from typing import Any

import numpy as np

from ferjax.data.form import Form
from ferjax.data.rows import Rows
from ferjax.errors import UserError

_READ_AT_ONCE = 1024


def import_tfds() -> Any:
    """Import tensorflow-datasets; raises UserError, with the remedy, where it is missing.

    It takes seconds, and is not installed everywhere, so that only those who need it call this.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UserError(
            f"tensorflow-datasets is missing ({error}): install it with pip install 'ferjax[tfds]'"
        ) from error
    return tensorflow_datasets


def read_prepared(folder: pathlib.Path, form: Form) -> Rows:
    """Read a prepared folder (the one with dataset_info.json) to rows in the order of the original file.

    Every example has an image, a label, a usage and a row, as those of ferjax/data/tfds_builder.py have. Raises
    UserError for a folder of another data set or another file format, and for a damaged one.
    """
    tfds = import_tfds()
    try:
        about = json.loads((folder / "dataset_info.json").read_text())
    except ValueError as error:
        raise UserError(f"{folder}/dataset_info.json is damaged ({error}): prepare the folder again") from error
    if about.get("name") != form.name or about.get("fileFormat") != "array_record":
        raise UserError(
            f"{folder} holds the tensorflow-datasets set '{about.get('name')}' as {about.get('fileFormat')} files: "
            "prepare it with python -m ferjax.data.tfds_builder"
        )
    examples: list[dict[str, Any]] = []
    try:
        builder = tfds.builder_from_directory(folder)
        for name in builder.info.splits:
            source = builder.as_data_source(name)
            for start in range(0, len(source), _READ_AT_ONCE):
                examples += source.__getitems__(list(range(start, min(start + _READ_AT_ONCE, len(source)))))
    except Exception as error:  # the reader raises nearly anything on broken bytes
        raise UserError(f"{folder} cannot be read ({str(error).splitlines()[0]}): prepare the folder again") from error
    examples.sort(key=lambda example: example["row"])
    return form.create_rows(
        images=np.stack([example["image"] for example in examples]),
        labels=np.array([example["label"] for example in examples], np.int32),
        usage=np.array([example["usage"] for example in examples], np.uint8),
    )
