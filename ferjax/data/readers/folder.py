"""Images in class folders: `train/<class>/Training_N.jpg`, `test/<class>/PublicTest_N.jpg`, `val/<class>/N.png` ..."""

import collections
import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ferjax.data.form import Form
from ferjax.data.readers import levels
from ferjax.data.readers.archive import Tree
from ferjax.data.readers.csv_file import SKIP_HINT
from ferjax.data.readers.image_file import NotAnImage, load_image, plain_image
from ferjax.data.readers.placing import describe, place_all
from ferjax.data.rows import Rows
from ferjax.data.threads import map_ahead
from ferjax.documents.words import count
from ferjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """A decoded image and what had to be changed about it, or the reason why there is none.

    Of a deep image, one of more than 8 bits, only `highest` is known at first, its highest level.
    """

    name: str
    pixels: UInt8[np.ndarray, "side side channels"] | None = None
    resized_from: str = ""
    mode: str = "L"
    reason: str = ""
    highest: float | None = None


def read_images(tree: Tree, names: list[str], form: Form, on_bad_row: str) -> Rows:
    """Read the named images of a folder or archive, in order of the numbers in their names, else of their paths.

    Raises UserError at the first image that cannot be read or placed, unless rows may be skipped.
    """
    names, nested = _leave_nested(tree, names)
    places, reasons = place_all(names, form)
    for name, reason in reasons.items():
        _raise_unless_skipped(tree, name, reason, on_bad_row)
    images: dict[str, _Decoded] = {}

    def take(found: Iterable[_Decoded]) -> None:
        for image in found:
            if image.reason:
                reasons[image.name] = image.reason
                _raise_unless_skipped(tree, image.name, image.reason, on_bad_row)
            else:
                images[image.name] = image

    take(map_ahead(functools.partial(_decode_item, form=form), tree.contents(places)))
    deep = {name: image for name, image in images.items() if image.highest is not None}
    ranges = []
    for real in (False, True):
        same = {name: image for name, image in deep.items() if (image.mode == "F") == real}
        if same:
            top = levels.choose_top([image.highest or 0.0 for image in same.values()], real=real)
            decode = functools.partial(_decode_item, form=form, top=top)
            take(map_ahead(decode, tree.contents(same)))
            ranges.append(
                f"took {top} for white in {count(len(same), 'image')} of more than 8 bits, whose levels end there"
            )
    if not images:
        name, reason = next(iter(reasons.items()))
        raise UserError(f"{tree.label} has no readable image among {len(names)}, the first being {name}: {reason}")
    ordered, order = _in_order(list(images))
    used = {name: places[name] for name in ordered}
    usage = [place.usage for place in used.values() if place.usage is not None]
    pixels = [images[name].pixels for name in ordered]
    return form.create_rows(
        images=np.stack([image for image in pixels if image is not None]),
        labels=np.array([place.label for place in used.values()], np.int32),
        usage=np.array(usage, np.uint8) if len(usage) == len(used) else None,
        skipped=tuple(f"{name}: {reasons[name]}" for name in sorted(reasons)),
        notes=(order, *nested, *_describe([images[name] for name in ordered], form), *ranges, *describe(used, form)),
    )


def _raise_unless_skipped(tree: Tree, name: str, reason: str, on_bad_row: str) -> None:
    if on_bad_row == "error":
        raise UserError(f"{tree.label}, {name}: {reason}; mend or remove it, or leave such images out with {SKIP_HINT}")


def _leave_nested(tree: Tree, names: list[str]) -> tuple[list[str], list[str]]:
    """Leave out images below a folder within one of the same name that are there without the second folder too.

    A well-known archive of FER-2013 has images/images/train beside images/train. Return the names that stay, and notes.
    """
    present = set(names)
    pairs = {}
    for name in names:
        parts = name.split("/")
        for i in range(len(parts) - 2):
            if parts[i] == parts[i + 1] and (once := "/".join(parts[:i] + parts[i + 1 :])) in present:
                pairs[name] = once
    if not pairs:
        return names, []
    digests = {
        name: hashlib.sha256(content).digest() for name, content in tree.contents({*pairs.keys(), *pairs.values()})
    }
    nested = {name for name, once in pairs.items() if digests[name] == digests[once]}
    note = f"left aside {count(len(nested), 'image')} there a second time in a folder within one of the same name"
    return [name for name in names if name not in nested], [note] if nested else []


def _decode_item(item: tuple[str, bytes], form: Form, top: int | None = None) -> _Decoded:
    """Decode one image to the size and the channels of the data set; `top` is the level of a deep one that is white."""
    name, data = item
    wanted = (form.side_px, form.side_px)
    try:
        image = load_image(data)
        if levels.is_deep(image) and top is None:
            return _Decoded(name, mode=image.mode, highest=_find_highest(image))
        shown = plain_image(image, top)
    except NotAnImage as error:
        return _Decoded(name, reason=str(error))
    size, shown = shown.size, shown.convert("L" if form.channels == 1 else "RGB")
    if size != wanted:
        shown = shown.resize(wanted, Image.Resampling.BILINEAR)
    resized_from = "" if size == wanted else f"{size[0]}x{size[1]}"
    pixels = np.array(shown, np.uint8).reshape(*wanted, form.channels)
    return _Decoded(name, pixels=pixels, resized_from=resized_from, mode=image.mode)


def _find_highest(image: Image.Image) -> float:
    try:
        return levels.find_highest(image)
    except ValueError as error:
        raise NotAnImage(f"not a readable image ({error})") from error


def _in_order(names: list[str]) -> tuple[list[str], str]:
    """Sort the names into file order, which is the original's if each name carries its own number; say which it is."""
    numbers = {name: re.findall(r"\d+", name.rsplit("/", 1)[-1]) for name in names}
    if all(numbers.values()):
        last = {name: int(found[-1]) for name, found in numbers.items()}
        if len(set(last.values())) == len(names):
            return sorted(names, key=last.__getitem__), "rows are in order of the numbers in the file names"
    return sorted(names), "rows are in order of the file paths"


_MOSTLY = "most of them "


def _describe(images: list[_Decoded], form: Form) -> list[str]:
    """Say what a person should know of images of another size or mode."""
    notes = []
    sizes = collections.Counter(image.resized_from for image in images if image.resized_from)
    if sizes:
        most = sizes.most_common(1)[0][0]
        to = f"to {form.side_px}x{form.side_px}, {_MOSTLY * (sizes.total() > 1)}from {most}"
        notes.append(f"resized {count(sizes.total(), 'image')} {to}")
    usual, what = ("L", "gray") if form.channels == 1 else ("RGB", "into red, green and blue")
    modes = collections.Counter(image.mode for image in images if image.mode != usual)
    if modes:
        what += f", {_MOSTLY * (modes.total() > 1)}from mode {modes.most_common(1)[0][0]}"
        notes.append(f"turned {count(modes.total(), 'image')} {what}")
    return notes
