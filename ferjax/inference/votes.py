"""Another source's votes on pictures, from a csv: a column `source`, one for each class, and perhaps a label.

    source,frame,angry,disgust,fear,happy,sad,surprise,neutral,label
    talk.mp4,0,0,0,0,3,0,0,1,
    talk.mp4,25,0,1,0,0,2,0,0,sad

Votes are counts or probabilities; a line's votes are divided by their sum. `source` is what the answers' column has, or
the file's name alone; `frame` and `face` may be missing or empty, and then a line is for all of them. Lines with a
label, the name of a class, serve to choose how much the votes count.
"""

import csv
import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ferjax.documents.words import count
from ferjax.errors import UserError
from ferjax.inference.answers import Answer, Face
from ferjax.inference.fusion import fit_weight, fuse

# With fewer labels the weight is mostly chance.
FEW_LABELS = 30

logger = logging.getLogger("ferjax")

Place = tuple[str, int | None, int | None]  # source, frame, face


@dataclasses.dataclass(frozen=True)
class Votes:
    """The probabilities by place, and the numbers of the labels that some of the places have."""

    path: pathlib.Path
    rows: Mapping[Place, Float[np.ndarray, " k"]]
    labels: Mapping[Place, int]

    def find(self, answer: Answer, face: int) -> Place | None:
        """Return the place of the votes on a face: the nearest that there are, or None."""
        picture = answer.picture
        names = (picture.source, os.path.basename(picture.source))
        for frame in dict.fromkeys((picture.frame, None)):
            for number in (face, None):
                for name in names:
                    if (name, frame, number) in self.rows:
                        return name, frame, number
        return None


def read_votes(path: pathlib.Path, classes: Sequence[str]) -> Votes:
    """Read a csv of votes; raises UserError, with the line, for what is wrong with it."""
    rows: dict[Place, np.ndarray] = {}
    labels: dict[Place, int] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file)
            missing = [name for name in ("source", *classes) if name not in (lines.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{path} lacks the column {missing[0]}: its first line should be source,{','.join(classes)}."
                )
            for line in lines:
                try:
                    place, votes, label = _parse(line, classes)
                except ValueError as error:
                    raise UserError(f"{path}, line {lines.line_num}: {error}; mend or delete that line.") from None
                if place in rows:
                    raise UserError(f"{path}, line {lines.line_num}: it votes on {place[0]} again; delete one of them.")
                rows[place] = votes
                if label is not None:
                    labels[place] = label
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no csv ({error}): give one with a column source and one for each class.") from error
    return Votes(path, rows, labels)


def _parse(line: Mapping[str, str | None], classes: Sequence[str]) -> tuple[Place, np.ndarray, int | None]:
    try:
        votes = np.array([float(line[name] or 0) for name in classes])
    except ValueError:
        raise ValueError("a vote is no number") from None
    if not np.isfinite(votes).all() or (votes < 0).any() or not votes.sum() > 0:
        raise ValueError("its votes must not be negative, and one must be over 0")
    label = (line.get("label") or "").strip()
    if label and label not in classes:
        raise ValueError(f"the label {label!r} is not one of {', '.join(classes)}")
    place = ((line["source"] or "").strip(), _parse_number(line, "frame"), _parse_number(line, "face"))
    return place, votes / votes.sum(), classes.index(label) if label else None


def _parse_number(line: Mapping[str, str | None], name: str) -> int | None:
    text = (line.get(name) or "").strip()
    if text and not text.isdigit():
        raise ValueError(f"{name} is {text!r}, and not a whole number")
    return int(text) if text else None


class Fusion:
    """Fuses every face's probabilities with the votes on it; it remembers which votes were used."""

    def __init__(self, votes: Votes, weight: float) -> None:
        self.votes, self.weight = votes, weight
        self.used: set[Place] = set()

    def __call__(self, answer: Answer) -> Answer:
        return dataclasses.replace(
            answer, faces=tuple(self._fuse(answer, number, face) for number, face in enumerate(answer.faces))
        )

    def _fuse(self, answer: Answer, number: int, face: Face) -> Face:
        place = self.votes.find(answer, number)
        if place is None:
            return face
        self.used.add(place)
        fused = fuse(face.probabilities[None], self.votes.rows[place][None], self.weight)[0]
        return dataclasses.replace(face, probabilities=fused.astype(np.float32))


def choose_weight(votes: Votes, answers: Iterable[Answer]) -> tuple[float, int]:
    """Return the weight that suits the labels best, and on how many faces; answers are those of the network alone.

    Warns where these are so few that another few would give another weight. Raises UserError where no answer has a
    label.
    """
    ours, theirs, labels = [], [], []
    for answer in answers:
        for number, face in enumerate(answer.faces):
            place = votes.find(answer, number)
            if place is not None and place in votes.labels:
                ours.append(face.probabilities.astype(np.float64))
                theirs.append(votes.rows[place])
                labels.append(votes.labels[place])
    if not labels:
        raise UserError(f"{votes.path} labels none of the faces that were found: say how much it counts with --weight.")
    weight = fit_weight(np.stack(ours), np.stack(theirs), np.array(labels))
    if len(labels) < FEW_LABELS:
        logger.warning(
            "%s labels only %s of those that were found, by which nobody can tell how much the votes should count: "
            "label %d or more, or say it yourself with --weight.",
            *(votes.path, count(len(labels), "face"), FEW_LABELS),
        )
    return weight, len(labels)
