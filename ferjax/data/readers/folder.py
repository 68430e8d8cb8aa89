"""FER-2013 as images in class folders: `train/<class>/Training_N.jpg`, `test/<class>/PublicTest_N.jpg` and the like."""

import collections
import dataclasses
import io
import re

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ferjax.data.readers.archive import Tree
from ferjax.data.readers.csv_file import SKIP_HINT
from ferjax.data.rows import EMOTIONS, SIDE_PX, USAGES, Rows
from ferjax.data.threads import map_ahead
from ferjax.errors import UserError

_SYNONYMS = {
    "angry": ("anger",),
    "disgust": ("disgusted",),
    "fear": ("fearful", "afraid"),
    "happy": ("happiness",),
    "sad": ("sadness",),
    "surprise": ("surprised",),
    "neutral": (),
}
_CLASS_CODES = {
    name: code for code, emotion in enumerate(EMOTIONS) for name in (emotion, *_SYNONYMS[emotion], str(code))
}
_USAGE_FOLDERS = {
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "publictest": 1,
    "test": 2,
    "testing": 2,
    "privatetest": 2,
}
_MIXED_FOLDERS = {"test", "testing"}  # Kaggle's test folder holds PublicTest and PrivateTest together


@dataclasses.dataclass(frozen=True)
class _Place:
    """What an image's path says of it; `assumed` if nothing but a folder called test says PrivateTest."""

    emotion: int
    usage: int
    assumed: bool = False


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """A decoded image and what had to be changed about it, or the reason why there is none."""

    name: str
    pixels: UInt8[np.ndarray, "48 48"] | None = None
    resized_from: str = ""
    mode: str = "L"
    reason: str = ""


def read_images(tree: Tree, names: list[str], on_bad_row: str) -> Rows:
    """Read the named images of a folder or archive, in order of the numbers in their names, else of their paths.

    Raises UserError at the first image that cannot be read or placed, unless rows may be skipped.
    """
    places: dict[str, _Place] = {}
    reasons: dict[str, str] = {}
    for name in names:
        place = _place(name)
        if isinstance(place, str):
            reasons[name] = place
            _raise_unless_skipped(tree, name, place, on_bad_row)
        else:
            places[name] = place
    images: dict[str, _Decoded] = {}
    for image in map_ahead(lambda item: _decode(*item), tree.contents(places)):
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
    return Rows(
        pixels=np.stack([image for image in pixels if image is not None]),
        emotion=np.array([places[name].emotion for name in ordered], np.int32),
        usage=np.array([places[name].usage for name in ordered], np.uint8),
        skipped=tuple(f"{name}: {reasons[name]}" for name in sorted(reasons)),
        notes=(note, *_describe([images[name] for name in ordered], [places[name] for name in ordered])),
    )


def _raise_unless_skipped(tree: Tree, name: str, reason: str, on_bad_row: str) -> None:
    if on_bad_row == "error":
        raise UserError(f"{tree.label}, {name}: {reason}; mend or remove it, or leave such images out with {SKIP_HINT}")


def _place(name: str) -> _Place | str:
    """Class and usage from folder and file names; the reason if they don't say."""
    *folders, file = name.split("/")
    parent = folders[-1] if folders else ""
    emotion = _CLASS_CODES.get(parent.lower())
    if emotion is None:
        if not parent:
            return f"not in a class folder ({', '.join(EMOTIONS)})"
        return f"'{parent}' is no class folder ({', '.join(EMOTIONS)})"
    prefix = next((code for code, usage in enumerate(USAGES) if file.lower().startswith(usage.lower() + "_")), None)
    for folder in reversed(folders[:-1]):
        key = re.sub("[^a-z]", "", folder.lower())
        if key in _MIXED_FOLDERS:
            return _Place(emotion, 2, assumed=True) if prefix is None else _Place(emotion, prefix)
        if key in _USAGE_FOLDERS:
            return _Place(emotion, _USAGE_FOLDERS[key])
    if prefix is None:
        return "neither under a train, validation or test folder nor named Training_, PublicTest_ or PrivateTest_"
    return _Place(emotion, prefix)


def _decode(name: str, data: bytes) -> _Decoded:
    """Decode one image to 48x48 gray."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            size, mode = image.size, image.mode
            gray = _to_gray(image)
            if size != (SIDE_PX, SIDE_PX):
                gray = gray.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
            resized_from = "" if size == (SIDE_PX, SIDE_PX) else f"{size[0]}x{size[1]}"
            return _Decoded(name, pixels=np.array(gray, np.uint8), resized_from=resized_from, mode=mode)
    except Exception as error:  # Pillow's decoders raise nearly anything on broken bytes
        if not data:
            return _Decoded(name, reason="an empty file, not an image")
        detail = "unknown format" if isinstance(error, Image.UnidentifiedImageError) else str(error).rstrip(".")
        return _Decoded(name, reason=f"not a readable image ({detail})")


def _to_gray(image: Image.Image) -> Image.Image:
    """Gray levels 0..255; deeper images, which Pillow's own conversion clips, by their range."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.int64) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        levels = np.asarray(image).astype(np.float64)
        if not (np.isfinite(levels).all() and levels.min() >= 0 and levels.max() <= 65535):
            raise ValueError(f"its levels go from {levels.min():g} to {levels.max():g}, not within 0..65535")
        # The format does not say which range is meant: 0..1, 8 bits or 16 bits, whichever holds all levels.
        top = 1.0 if image.mode == "F" and levels.max() <= 1 else 255.0 if levels.max() <= 255 else 65535.0
        return Image.fromarray(np.rint(levels * (255.0 / top)).astype(np.uint8))
    return image.convert("L")


def _in_order(names: list[str]) -> tuple[list[str], str]:
    """File order: the original's, if each name carries its own number."""
    numbers = {name: re.findall(r"\d+", name.rsplit("/", 1)[-1]) for name in names}
    if all(numbers.values()):
        last = {name: int(found[-1]) for name, found in numbers.items()}
        if len(set(last.values())) == len(names):
            return sorted(names, key=last.__getitem__), "rows are in order of the numbers in the file names"
    return sorted(names), "rows are in order of the file paths"


def _describe(images: list[_Decoded], places: list[_Place]) -> list[str]:
    """What a person should know of images that were not 48x48 gray, or whose usage was guessed."""
    notes = []
    sizes = collections.Counter(image.resized_from for image in images if image.resized_from)
    if sizes:
        most = sizes.most_common(1)[0][0]
        notes.append(f"resized {sizes.total()} images to {SIDE_PX}x{SIDE_PX}, most of them from {most}")
    modes = collections.Counter(image.mode for image in images if image.mode != "L")
    if modes:
        notes.append(f"turned {modes.total()} images gray, most of them from mode {modes.most_common(1)[0][0]}")
    assumed = sum(place.assumed for place in places)
    if assumed:
        notes.append(f"took {assumed} images in a test folder, whose names don't say which test, for PrivateTest")
    return notes
