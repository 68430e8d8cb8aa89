"""FER-2013 for tensorflow-datasets, without TensorFlow.

Use: `python -m ferjax.data.tfds_builder --manual_dir=IN --data_dir=OUT`.
The folder it prepares is itself a data set for ferjax: data.path=OUT.
"""

import argparse
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ferjax import paths
from ferjax.data.datasets import fer2013
from ferjax.data.readers.tfds import import_tfds
from ferjax.data.rows import SPLITS, Rows
from ferjax.errors import UserError

tfds = import_tfds()
_Builder: Any = tfds.core.GeneratorBasedBuilder

logger = logging.getLogger("ferjax")


class Fer2013(_Builder):  # type: ignore[misc]  # tensorflow_datasets has no types
    """Build 48x48 gray faces of seven emotions; `row` is the place in the original file."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 (tfds wants a plain class attribute)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put what Kaggle gives (fer2013.csv, icml_face_data.csv, the image folders, "
        "or the archive of any) into manual_dir."
    )

    def _info(self) -> Any:
        side = fer2013.SIDE_PX
        return tfds.core.DatasetInfo(
            builder=self,
            description="FER-2013: Challenges in Representation Learning, Facial Expression Recognition Challenge.",
            features=tfds.features.FeaturesDict(
                {
                    # features.Image cannot encode without TensorFlow.
                    "image": tfds.features.Tensor(shape=(side, side, 1), dtype=np.uint8, encoding="zlib"),
                    "label": tfds.features.ClassLabel(names=list(fer2013.EMOTIONS)),
                    "usage": tfds.features.ClassLabel(names=list(fer2013.USAGES)),
                    "row": tfds.features.Scalar(np.int64),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        rows = fer2013.read(str(dl_manager.manual_dir), "error")
        present = set() if rows.usage is None else set(rows.usage.tolist())
        return {name: self._generate_examples(rows, code) for code, name in enumerate(SPLITS) if code in present}

    def _generate_examples(self, rows: Rows, usage: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for row in np.flatnonzero(rows.usage == usage).tolist():
            yield row, {"image": rows.images[row], "label": int(rows.labels[row]), "usage": usage, "row": row}


def prepare(manual_dir: str, data_dir: str) -> pathlib.Path:
    """Write the data set in manual_dir to data_dir as ArrayRecord files; give the prepared folder."""
    manual_dir, data_dir = str(paths.parse(manual_dir)), str(paths.parse(data_dir))
    if pathlib.Path(manual_dir).is_file():
        raise UserError(f"{manual_dir} is a file: give the folder that it is in")
    # Read here, so that whatever is wrong is said in one sentence; the builder finds the rows in the cache.
    fer2013.read(manual_dir, "error")
    builder = Fer2013(data_dir=data_dir, file_format="array_record")
    if pathlib.Path(builder.data_path).exists():
        logger.warning("%s is prepared already and stays as it is", builder.data_path)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return pathlib.Path(builder.data_path)


def main() -> None:
    """Run the command line; exits with 1 after a mistake that the user can mend."""
    parser = argparse.ArgumentParser(
        description="Prepare FER-2013 as a tensorflow-datasets folder, without TensorFlow."
    )
    parser.add_argument("--manual_dir", required=True, help="folder with Kaggle's files")
    parser.add_argument("--data_dir", required=True, help="where to put the prepared data set")
    arguments = parser.parse_args()
    try:
        print(prepare(arguments.manual_dir, arguments.data_dir))
    except UserError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
