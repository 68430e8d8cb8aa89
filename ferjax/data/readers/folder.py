"""Images in class folders: `train/<class>/Training_N.jpg`, `test/<class>/PublicTest_N.jpg`, `val/<class>/N.png` ..."""

import collections
import dataclasses
import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ferjax.data.form import Form
from ferjax.data.readers.archive import Tree
from ferjax.data.readers.csv_file import SKIP_HINT
from ferjax.data.readers.image_file import NotAnImage, open_image
from ferjax.data.rows import Rows
from ferjax.data.threads import map_ahead
from ferjax.errors import UserError

_TRAIN, _VALIDATION, _TEST = range(3)
# By the name in lower case, of letters alone.
USAGE_FOLDERS = {
    "train": _TRAIN,
    "training": _TRAIN,
    "val": _VALIDATION,
    "valid": _VALIDATION,
    "validation": _VALIDATION,
    "publictest": _VALIDATION,
    "test": _TEST,
    "testing": _TEST,
    "privatetest": _TEST,
}
_MIXED_FOLDERS = {"test", "testing"}  # Kaggle's test folder holds PublicTest and PrivateTest together


@dataclasses.dataclass(frozen=True)
class _Place:
    """What an image's path says; `assumed` if nothing but a folder called test says which usage it is of."""

    label: int
    usage: int
    assumed: bool = False


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """A decoded image and what had to be changed about it, or the reason why there is none."""

    name: str
    pixels: UInt8[np.ndarray, "side side channels"] | None = None
    resized_from: str = ""
    mode: str = "L"
    reason: str = ""


def read_images(tree: Tree, names: list[str], form: Form, on_bad_row: str) -> Rows:
    """Read the named images of a folder or archive, in order of the numbers in their names, else of their paths.

    Raises UserError at the first image that cannot be read or placed, unless rows may be skipped.
    """
    places: dict[str, _Place] = {}
    reasons: dict[str, str] = {}
    codes = _name_folders(form)
    for name in names:
        place = _place(name, form, codes)
        if isinstance(place, str):
            reasons[name] = place
            _raise_unless_skipped(tree, name, place, on_bad_row)
        else:
            places[name] = place
    images: dict[str, _Decoded] = {}
    for image in map_ahead(lambda item: _decode(*item, form), tree.contents(places)):
        if image.reason:
            reasons[image.name] = image.reason
            _raise_unless_skipped(tree, image.name, image.reason, on_bad_row)
        else:
            images[image.name] = image
    if not images:
        name, reason = next(iter(reasons.items()))
        raise UserError(f"{tree.label} has no readable image among {len(names)}, the first being {name}: {reason}")
    ordered, note = _in_order(list(images))
    pixels = [images[name].pixels for name in ordered]
    return form.create_rows(
        images=np.stack([image for image in pixels if image is not None]),
        labels=np.array([places[name].label for name in ordered], np.int32),
        usage=np.array([places[name].usage for name in ordered], np.uint8),
        skipped=tuple(f"{name}: {reasons[name]}" for name in sorted(reasons)),
        notes=(note, *_describe([images[name] for name in ordered], [places[name] for name in ordered], form)),
    )


def _raise_unless_skipped(tree: Tree, name: str, reason: str, on_bad_row: str) -> None:
    if on_bad_row == "error":
        raise UserError(f"{tree.label}, {name}: {reason}; mend or remove it, or leave such images out with {SKIP_HINT}")


def _name_folders(form: Form) -> dict[str, int]:
    """Return every name that a class's folder may have, in lower case, and the class's number."""
    return {
        word.lower(): code
        for code, name in enumerate(form.classes)
        for word in (name, *form.synonyms.get(name, ()), str(code))
    }


def _place(name: str, form: Form, codes: Mapping[str, int]) -> _Place | str:
    """Return class and usage by the names of folders and file; the reason if they do not say."""
    *folders, file = name.split("/")
    parent = folders[-1] if folders else ""
    label = codes.get(parent.lower())
    if label is None:
        if not parent:
            return f"not in a class folder ({', '.join(form.classes)})"
        return f"'{parent}' is no class folder ({', '.join(form.classes)})"
    if form.usages is None:
        return _Place(label, _TRAIN)
    prefix = next(
        (code for code, usage in enumerate(form.usages) if file.lower().startswith(usage.lower() + "_")), None
    )
    for folder in reversed(folders[:-1]):
        key = re.sub("[^a-z]", "", folder.lower())
        if key in _MIXED_FOLDERS:
            return _Place(label, _TEST, assumed=True) if prefix is None else _Place(label, prefix)
        if key in USAGE_FOLDERS:
            return _Place(label, USAGE_FOLDERS[key])
    if prefix is None:
        first, second, third = form.usages
        return f"neither under a train, validation or test folder nor named {first}_, {second}_ or {third}_"
    return _Place(label, prefix)


def _decode(name: str, data: bytes, form: Form) -> _Decoded:
    """Decode one image to the size and the channels of the data set."""
    wanted = (form.side_px, form.side_px)
    try:
        image, mode = open_image(data)
    except NotAnImage as error:
        return _Decoded(name, reason=str(error))
    size, levels = image.size, image.convert("L" if form.channels == 1 else "RGB")
    if size != wanted:
        levels = levels.resize(wanted, Image.Resampling.BILINEAR)
    resized_from = "" if size == wanted else f"{size[0]}x{size[1]}"
    pixels = np.array(levels, np.uint8).reshape(*wanted, form.channels)
    return _Decoded(name, pixels=pixels, resized_from=resized_from, mode=mode)


def _in_order(names: list[str]) -> tuple[list[str], str]:
    """Sort the names into file order, which is the original's if each name carries its own number; say which it is."""
    numbers = {name: re.findall(r"\d+", name.rsplit("/", 1)[-1]) for name in names}
    if all(numbers.values()):
        last = {name: int(found[-1]) for name, found in numbers.items()}
        if len(set(last.values())) == len(names):
            return sorted(names, key=last.__getitem__), "rows are in order of the numbers in the file names"
    return sorted(names), "rows are in order of the file paths"


def _describe(images: list[_Decoded], places: list[_Place], form: Form) -> list[str]:
    """Say what a person should know of images of another size or mode, or whose usage was guessed."""
    notes = []
    sizes = collections.Counter(image.resized_from for image in images if image.resized_from)
    if sizes:
        most = sizes.most_common(1)[0][0]
        notes.append(f"resized {sizes.total()} images to {form.side_px}x{form.side_px}, most of them from {most}")
    usual, what = ("L", "gray") if form.channels == 1 else ("RGB", "into red, green and blue")
    modes = collections.Counter(image.mode for image in images if image.mode != usual)
    if modes:
        notes.append(f"turned {modes.total()} images {what}, most of them from mode {modes.most_common(1)[0][0]}")
    assumed = sum(place.assumed for place in places)
    if assumed and form.usages is not None and form.usages[_TEST].lower() not in _MIXED_FOLDERS:
        notes.append(
            f"took {assumed} images in a test folder, whose names do not say which test, for {form.usages[_TEST]}"
        )
    return notes
