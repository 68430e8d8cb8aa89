"""The file predictions.csv: a line for each evaluated image, with its true class and every class's probability."""

import csv
import dataclasses
import pathlib

import numpy as np
from jaxtyping import Float, Float32, Int, Int64

from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.documents.csv_columns import to_csv
from ferjax.documents.words import count
from ferjax.errors import UserError
from ferjax.files import write_text


def name_columns(classes: tuple[str, ...]) -> tuple[str, ...]:
    """List the columns of predictions.csv; those called p_<class> name the classes, in their order."""
    return ("row", "split", "emotion", "predicted", *(f"p_{name}" for name in classes))


COLUMNS = name_columns(EMOTIONS)


@dataclasses.dataclass(frozen=True)
class Predictions:
    """One evaluated split: `row` numbers the rows of the data set from 0, `labels` index `classes`."""

    row: Int64[np.ndarray, " n"]
    split: str
    labels: Int64[np.ndarray, " n"]
    probabilities: Float32[np.ndarray, "n c"]
    classes: tuple[str, ...]


def write_predictions(
    path: pathlib.Path,
    *,
    row: Int[np.ndarray, " n"],
    split: str,
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n c"],
    classes: tuple[str, ...] = EMOTIONS,
) -> None:
    """Write predictions.csv, a line for each image; read_predictions gives back the same float32 bits."""
    names = np.asarray(classes)
    columns = [row, np.full(len(row), split), names[labels], names[probabilities.argmax(axis=1)]]
    # A float32 is printed with the fewest digits that read back as the same number.
    columns += list(probabilities.astype(np.float32).T)
    write_text(path, to_csv(dict(zip(name_columns(classes), columns, strict=True))))


def read_predictions(path: pathlib.Path) -> Predictions:
    """Read predictions.csv. Raises UserError, with file and line, for one that is missing or not as written."""
    remedy = f"write it with 'python -m ferjax.main --workdir {path.parent}', which trains and saves predictions"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {remedy}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}); {remedy}") from None
    classes = _find_classes(lines[0]) if lines else ()
    if not classes:
        raise UserError(
            f"{path}, line 1 is not the header 'row,split,emotion,predicted' followed by a 'p_<class>' for each class; "
            f"{remedy}"
        )
    if len(lines) == 1:
        raise UserError(f"{path} holds no predictions; {remedy}")
    if whole := _parse_together(lines[1:], classes):
        return whole
    row = np.empty(len(lines) - 1, np.int64)
    labels = np.empty(len(row), np.int64)
    probabilities = np.empty((len(row), len(classes)), np.float32)
    split = lines[1][1] if len(lines[1]) > 1 else ""
    for i, fields in enumerate(lines[1:]):
        try:
            row[i], labels[i], probabilities[i] = _parse_line(fields, split, classes)
        except (ValueError, OverflowError) as error:
            raise UserError(f"{path}, line {i + 2}: {error}; {remedy}") from None
    return Predictions(row, split, labels, probabilities, classes)


def _parse_together(lines: list[list[str]], classes: tuple[str, ...]) -> Predictions | None:
    """Parse all lines by columns, twice as fast as one by one; None where `_parse_line` has to say what is wrong.

    A study has hundreds of such files.
    """
    if {len(fields) for fields in lines} != {4 + len(classes)}:
        return None
    rows, splits, truths, answers, *shares = zip(*lines, strict=True)
    numbers = {name: i for i, name in enumerate(classes)}
    try:
        row = np.array([int(field) for field in rows], np.int64)
        labels = np.array([numbers[name] for name in truths], np.int64)
        answered = np.array([numbers[name] for name in answers], np.int64)
        columns = np.array([[float(field) for field in column] for column in shares])
    except (ValueError, KeyError, OverflowError):
        return None
    probabilities = np.ascontiguousarray(columns.astype(np.float32).T)
    # The comparisons are written so that nan fails them too.
    right = bool(probabilities.min() >= 0 and (np.abs(probabilities.sum(axis=1) - 1) < 1e-3).all())
    if not right or len(set(splits)) > 1 or not all(map(str.isdecimal, rows)):
        return None
    if (answered != probabilities.argmax(axis=1)).any():
        return None
    return Predictions(row, splits[0], labels, probabilities, classes)


def _find_classes(header: list[str]) -> tuple[str, ...]:
    """List the classes that a header names; none for one that is not a header of predictions."""
    classes = tuple(column.removeprefix("p_") for column in header[4:])
    if len(classes) < 2 or len(set(classes)) < len(classes) or tuple(header) != name_columns(classes):
        return ()
    return classes


def _parse_line(fields: list[str], split: str, classes: tuple[str, ...]) -> tuple[int, int, Float32[np.ndarray, " c"]]:
    """Parse one line into row, label and probabilities. Raises ValueError, which says what is wrong with it."""
    if len(fields) != 4 + len(classes):
        raise ValueError(f"{count(len(fields), 'field')} instead of {4 + len(classes)}")
    if not fields[0].isdecimal():
        raise ValueError(f"row is '{fields[0]}', not a number from 0 up")
    if fields[1] != split:
        raise ValueError(f"split is '{fields[1]}' after '{split}', but a file holds one split")
    if fields[2] not in classes:
        raise ValueError(f"emotion is '{fields[2]}', not one of {', '.join(classes)}")
    try:
        probabilities = np.array([float(field) for field in fields[4:]], np.float32)
    except ValueError:
        raise ValueError("a probability is not a number") from None
    # The comparisons are written so that nan fails them too.
    if not (probabilities.min() >= 0 and abs(probabilities.sum() - 1) < 1e-3):
        raise ValueError(f"the probabilities are not {len(classes)} numbers from 0 up that sum to 1")
    if fields[3] != classes[probabilities.argmax()]:
        raise ValueError(f"predicted is '{fields[3]}', but {classes[probabilities.argmax()]} is the most probable")
    return int(fields[0]), classes.index(fields[2]), probabilities


def choose_worst(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n c"], k: int = 36
) -> Int64[np.ndarray, " k"]:
    """Choose the positions of at most k wrong answers, the most confident first; equal ones stay in order."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[order[:k]].astype(np.int64)
