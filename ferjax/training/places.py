"""The places in training at which a run is saved, and the folders that are called by them."""

import dataclasses
import pathlib
import re


@dataclasses.dataclass(frozen=True, order=True)
class Place:
    """The place in training that a checkpoint was saved at; later places compare as greater.

    At an epoch's end there is a place before validation and another one after it. `current` is False for checkpoints
    of earlier versions, whose `step` counts steps and validated epochs together.
    """

    current: bool
    step: int
    validated: bool

    @property
    def name(self) -> str:
        """The checkpoint's folder."""
        if not self.current:
            return str(self.step)
        return f"step_{self.step}{'_validated' if self.validated else ''}"


def parse_place(name: str) -> Place | None:
    """Read a folder's name; None where it is no checkpoint's."""
    if re.fullmatch(r"\d+", name):
        return Place(False, int(name), False)
    found = re.fullmatch(r"step_(\d+)(_validated)?", name)
    return Place(True, int(found[1]), found[2] is not None) if found else None


def list_places(folder: pathlib.Path) -> list[Place]:
    """Return the complete checkpoints in a folder, the oldest first."""
    if not folder.is_dir():
        return []
    places = (parse_place(path.name) for path in folder.iterdir())
    return sorted(place for place in places if place is not None)
