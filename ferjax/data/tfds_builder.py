"""FER-2013 for tensorflow-datasets, without TensorFlow.

Use: `python -m ferjax.data.tfds_builder --manual_dir=IN --data_dir=OUT`.
The folder it prepares is itself a data set for ferjax: --config.data.path=OUT.
"""

import argparse
import json
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ferjax.data.rows import EMOTIONS, SIDE_PX, USAGES, Rows
from ferjax.errors import UserError

try:
    import tensorflow_datasets as tfds
except ImportError as error:
    raise UserError(f"tensorflow-datasets is missing ({error}): install it with pip install 'ferjax[tfds]'") from error

logger = logging.getLogger("ferjax")

_SPLITS = ("train", "validation", "test")  # of the codes of USAGES
_READ_AT_ONCE = 1024


class Fer2013(tfds.core.GeneratorBasedBuilder):
    """48x48 gray faces, seven emotions; `row` is the place in the original file."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 (tfds wants a plain class attribute)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put what Kaggle gives (fer2013.csv, icml_face_data.csv, the image folders, "
        "or the archive of any) into manual_dir."
    )

    def _info(self) -> Any:
        return tfds.core.DatasetInfo(
            builder=self,
            description="FER-2013: Challenges in Representation Learning, Facial Expression Recognition Challenge.",
            features=tfds.features.FeaturesDict(
                {
                    # features.Image cannot encode without TensorFlow.
                    "image": tfds.features.Tensor(shape=(SIDE_PX, SIDE_PX, 1), dtype=np.uint8, encoding="zlib"),
                    "label": tfds.features.ClassLabel(names=list(EMOTIONS)),
                    "usage": tfds.features.ClassLabel(names=list(USAGES)),
                    "row": tfds.features.Scalar(np.int64),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        from ferjax.data.reading import read

        rows = read(str(dl_manager.manual_dir))
        return {name: self._generate_examples(rows, code) for code, name in enumerate(_SPLITS) if code in rows.usage}

    def _generate_examples(self, rows: Rows, usage: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for row in np.flatnonzero(rows.usage == usage).tolist():
            yield (
                row,
                {"image": rows.pixels[row, :, :, None], "label": int(rows.emotion[row]), "usage": usage, "row": row},
            )


def prepare(manual_dir: str, data_dir: str) -> pathlib.Path:
    """Write the data set in manual_dir to data_dir as ArrayRecord files; the prepared folder."""
    from ferjax.data.reading import read

    if pathlib.Path(manual_dir).is_file():
        raise UserError(f"{manual_dir} is a file: give the folder that it is in")
    read(manual_dir)  # here, so that whatever is wrong is said in one sentence; the builder finds the rows in the cache
    builder = Fer2013(data_dir=data_dir, file_format="array_record")
    if pathlib.Path(builder.data_path).exists():
        logger.warning("%s is prepared already and stays as it is", builder.data_path)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return pathlib.Path(builder.data_path)


def read_prepared(folder: pathlib.Path) -> Rows:
    """Read a folder that `prepare` wrote (the one with dataset_info.json) back to rows in the original order."""
    try:
        about = json.loads((folder / "dataset_info.json").read_text())
    except ValueError as error:
        raise UserError(f"{folder}/dataset_info.json is damaged ({error}): prepare the folder again") from error
    if about.get("name") != "fer2013" or about.get("fileFormat") != "array_record":
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
        raise UserError(f"{folder} can't be read ({str(error).splitlines()[0]}): prepare the folder again") from error
    examples.sort(key=lambda example: example["row"])
    return Rows(
        pixels=np.stack([example["image"][:, :, 0] for example in examples]),
        emotion=np.array([example["label"] for example in examples], np.int32),
        usage=np.array([example["usage"] for example in examples], np.uint8),
    )


def main() -> None:
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
