"""The class and the usage of an image, by the names of its folders and of its file."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from ferjax.data.form import Form
from ferjax.documents.words import count

TRAIN, VALIDATION, TEST = range(3)
_USAGE_FOLDERS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "publictest": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "privatetest": TEST,
}
_MIXED_FOLDERS = {"test", "testing"}  # Kaggle's test folder holds PublicTest and PrivateTest together


@dataclasses.dataclass(frozen=True)
class Place:
    """What an image's path says; `usage` is None where it does not say one.

    `assumed` if nothing but a folder called test says it, `overruled` if the file's name says another one.
    """

    label: int
    usage: int | None
    assumed: bool = False
    overruled: bool = False


def place_all(names: Sequence[str], form: Form) -> tuple[dict[str, Place], dict[str, str]]:
    """Return the place of every image that has one, and for the others the reason why not.

    The folder says the usage. The file's name says it where no folder does, and within a test folder without a
    validation folder beside it, which is how Kaggle has FER-2013. Where no image has a usage, that is no fault.
    """
    codes = _name_classes(form)
    places: dict[str, Place] = {}
    reasons: dict[str, str] = {}
    by_folder = {name: _find_folder_usage(name) for name in names}
    mixed = VALIDATION not in {usage for usage, _ in by_folder.values()}
    for name in names:
        label = _find_class(name, codes)
        if label is None:
            reasons[name] = _describe_class(name, form)
        elif form.usages is None:
            places[name] = Place(label, None)
        else:
            usage, may_hold_both = by_folder[name]
            places[name] = _place(label, usage, _find_name_usage(name, form), mixed and may_hold_both)
    if form.usages is not None and any(place.usage is not None for place in places.values()):
        first, second, third = form.usages
        reason = f"neither under a train, validation or test folder nor named {first}_, {second}_ or {third}_"
        reasons |= {name: reason for name, place in places.items() if place.usage is None}
        places = {name: place for name, place in places.items() if place.usage is not None}
    return places, reasons


def describe(places: Mapping[str, Place], form: Form) -> list[str]:
    """Say what a person should know of where the images' usages are from."""
    notes = []
    assumed = sum(place.assumed for place in places.values())
    if assumed and form.usages is not None and form.usages[TEST].lower() not in _MIXED_FOLDERS:
        notes.append(
            f"took {count(assumed, 'image')} in a test folder, whose names do not say which test, for "
            f"{form.usages[TEST]}"
        )
    overruled = [name for name, place in places.items() if place.overruled]
    if overruled:
        notes.append(
            f"took {count(len(overruled), 'image')} for what their folder says, not for what their name does, the "
            f"first being {overruled[0]}"
        )
    return notes


def _place(label: int, folder: int | None, name: int | None, mixed: bool) -> Place:
    if folder is None:
        return Place(label, name)
    if mixed and name in (VALIDATION, TEST):
        return Place(label, name)
    return Place(label, folder, assumed=mixed and name is None, overruled=name is not None and name != folder)


def _name_classes(form: Form) -> dict[str, int]:
    """Return every word that a class's folder may be called, in lower case, and the class's number."""
    return {
        word.lower(): code for code, name in enumerate(form.classes) for word in (name, *form.synonyms.get(name, ()))
    }


def _find_class(name: str, codes: Mapping[str, int]) -> int | None:
    """Return the class by the name of the image's own folder: a word, its number, or both, as in '0_angry'."""
    folder = name.split("/")[-2].strip().lower() if "/" in name else ""
    if folder in codes:
        return codes[folder]
    found = re.fullmatch(r"(\d{1,3})(?:[\s._-]+(.*))?", folder)
    if not found:
        return None
    if found[2]:
        return codes.get(found[2].strip())
    number = int(found[1])
    return number if number in codes.values() else None


def _describe_class(name: str, form: Form) -> str:
    *folders, _ = name.split("/")
    if not folders:
        return f"not in a class folder ({', '.join(form.classes)})"
    return f"'{folders[-1]}' is no class folder ({', '.join(form.classes)})"


def name_usage(word: str) -> int | None:
    """Return the usage that a word stands for, such as 'train' or 'Validation'; None for any other word."""
    return _USAGE_FOLDERS.get(re.sub("[^a-z]", "", word.lower()))


def _find_folder_usage(name: str) -> tuple[int | None, bool]:
    """Return the usage by the folders above the class's, and whether that folder may hold two of them."""
    for folder in reversed(name.split("/")[:-2]):
        key = re.sub("[^a-z]", "", folder.lower())
        if key in _USAGE_FOLDERS:
            return _USAGE_FOLDERS[key], key in _MIXED_FOLDERS
    return None, False


def _find_name_usage(name: str, form: Form) -> int | None:
    file = name.rsplit("/", 1)[-1].lower()
    return next((code for code, usage in enumerate(form.usages or ()) if file.startswith(f"{usage.lower()}_")), None)
