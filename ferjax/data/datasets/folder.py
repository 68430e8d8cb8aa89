"""Anyone's own images in class folders: the classes are the folders' names, in the order of the alphabet."""

import os
from typing import Any

from ferjax import paths
from ferjax.data.form import Form
from ferjax.data.readers.archive import FolderTree, is_image_name
from ferjax.data.readers.placing import name_usage
from ferjax.data.reading import read_files
from ferjax.data.rows import SPLITS, Rows
from ferjax.errors import UserError

SIDE_PX = 48
MOST_CLASSES = 1000
LICENCE = (
    "Images of whoever trained the network, in a folder of their own; ferjax does not know under which terms they were "
    "gathered, and whether the people in them agreed (`ferjax export --data_licence` states it)."
)


def read(path: str | os.PathLike[str], on_bad_row: str, **_: Any) -> Rows:
    """Read images of any size as 48-pixel gray faces, from FOLDER/<class>/ or FOLDER/<train, val or test>/<class>/.

    Raises UserError for a path that is no folder, for fewer than two classes, and for whatever is wrong with the files.
    """
    place = paths.parse(path)
    if not place.is_dir():
        raise UserError(f"{place} is no folder: data.name=folder reads one with a folder of images for each class.")
    parents = {tuple(name.split("/")[:-1]) for name in FolderTree(place).names if is_image_name(name)}
    classes = sorted({folders[-1] for folders in parents if folders}, key=lambda name: (name.lower(), name))
    if not 2 <= len(classes) <= MOST_CLASSES:
        found = f"the class {classes[0]} alone" if classes else "no folder with images"
        raise UserError(f"{place} holds {found}: put the images of each class, of two at least, into its own folder.")
    divided = any(name_usage(above) is not None for folders in parents for above in folders[:-1])
    form = Form(
        name="folder",
        title="image folder",
        how_to_get="name a folder with a folder of images for each class as data.path=PATH",
        classes=tuple(classes),
        usages=SPLITS if divided else None,
        side_px=SIDE_PX,
    )
    return read_files(path, form, on_bad_row)
