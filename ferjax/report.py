"""A run's saved predictions -> its report, as JSON, Markdown, CSV and a table for the terminal."""

import csv
import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from jaxtyping import Float, Float32, Int, Int64

from ferjax.atomic import replacing
from ferjax.data.rows import EMOTIONS
from ferjax.errors import UserError
from ferjax.metrics import confusion_matrix, summarize

CLASSES = len(EMOTIONS)
COLUMNS = ("row", "split", "emotion", "predicted", *(f"p_{emotion}" for emotion in EMOTIONS))
SCORES = ("precision", "recall", "f1")


class Scores(TypedDict):
    """One class; `support` counts its images."""

    precision: float
    recall: float
    f1: float
    support: int


class Report(TypedDict):
    """What report.json holds; scores are in 0..1, loss in nats, rows of the confusion are true classes."""

    split: str
    n: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    weighted_precision: float
    weighted_recall: float
    weighted_f1: float
    loss: float
    confusion: list[list[int]]
    per_class: dict[str, Scores]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """One evaluated split: `row` counts the rows that were read from the data set, from 0, `labels` index EMOTIONS."""

    row: Int64[np.ndarray, " n"]
    split: str
    labels: Int64[np.ndarray, " n"]
    probabilities: Float32[np.ndarray, "n 7"]


def write_predictions(
    path: pathlib.Path,
    *,
    row: Int[np.ndarray, " n"],
    split: str,
    labels: Int[np.ndarray, " n"],
    probabilities: Float[np.ndarray, "n 7"],
) -> None:
    """Writes predictions.csv, a line per image; read_predictions gives back the same float32 bits."""
    names = np.asarray(EMOTIONS)
    columns = [row, np.full(len(row), split), names[labels], names[probabilities.argmax(axis=1)]]
    # A float32 is printed with the fewest digits that read back as the same number.
    columns += list(probabilities.astype(np.float32).T)
    _write(path, _to_csv(dict(zip(COLUMNS, columns, strict=True))))


def read_predictions(path: pathlib.Path) -> Predictions:
    """Reads predictions.csv. Raises UserError, with file and line, for one that is missing or not as written."""
    remedy = f"write it with 'python -m ferjax.main --workdir {path.parent}', which trains and saves predictions"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {remedy}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}); {remedy}") from None
    if not lines or tuple(lines[0]) != COLUMNS:
        raise UserError(f"{path}, line 1 is not the header '{','.join(COLUMNS)}'; {remedy}")
    if len(lines) == 1:
        raise UserError(f"{path} holds no predictions; {remedy}")
    row = np.empty(len(lines) - 1, np.int64)
    labels = np.empty(len(row), np.int64)
    probabilities = np.empty((len(row), CLASSES), np.float32)
    split = lines[1][1] if len(lines[1]) > 1 else ""
    for i, fields in enumerate(lines[1:]):
        try:
            row[i], labels[i], probabilities[i] = _parse_line(fields, split)
        except ValueError as error:
            raise UserError(f"{path}, line {i + 2}: {error}; {remedy}") from None
    return Predictions(row, split, labels, probabilities)


def _parse_line(fields: list[str], split: str) -> tuple[int, int, Float32[np.ndarray, " 7"]]:
    """Row, label and probabilities of one line. Raises ValueError that says what is wrong with it."""
    if len(fields) != len(COLUMNS):
        raise ValueError(f"{len(fields)} fields instead of {len(COLUMNS)}")
    if not fields[0].isdecimal():
        raise ValueError(f"row is '{fields[0]}', not a number from 0 up")
    if fields[1] != split:
        raise ValueError(f"split is '{fields[1]}' after '{split}', but a file holds one split")
    if fields[2] not in EMOTIONS:
        raise ValueError(f"emotion is '{fields[2]}', not one of {', '.join(EMOTIONS)}")
    try:
        probabilities = np.array([float(field) for field in fields[4:]], np.float32)
    except ValueError:
        raise ValueError("a probability is not a number") from None
    # Written so that a nan fails too.
    if not (probabilities.min() >= 0 and abs(probabilities.sum() - 1) < 1e-3):
        raise ValueError("the probabilities are not seven numbers from 0 up that sum to 1")
    if fields[3] != EMOTIONS[probabilities.argmax()]:
        raise ValueError(f"predicted is '{fields[3]}', but {EMOTIONS[probabilities.argmax()]} is the most probable")
    return int(fields[0]), EMOTIONS.index(fields[2]), probabilities


def create_report(labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n 7"], split: str) -> Report:
    """Scores of one split from its true classes and the probabilities of each image.

    The loss is the mean of -log p(true class), with p held above float32's smallest normal number so that one certain
    mistake costs 87 nats and not infinity. Raises ValueError for no images.
    """
    probabilities = probabilities.astype(np.float32)
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), CLASSES)
    summary = summarize(confusion)
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "split": split,
        "n": len(labels),
        "accuracy": summary["accuracy"],
        "macro_precision": summary["macro_precision"],
        "macro_recall": summary["macro_recall"],
        "macro_f1": summary["macro_f1"],
        "weighted_precision": summary["weighted_precision"],
        "weighted_recall": summary["weighted_recall"],
        "weighted_f1": summary["weighted_f1"],
        "loss": float(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean()),
        "confusion": confusion.tolist(),
        "per_class": {
            emotion: {
                "precision": float(summary["precision"][i]),
                "recall": float(summary["recall"][i]),
                "f1": float(summary["f1"][i]),
                "support": int(summary["support"][i]),
            }
            for i, emotion in enumerate(EMOTIONS)
        },
    }


def choose_worst(
    labels: Int[np.ndarray, " n"], probabilities: Float[np.ndarray, "n 7"], k: int = 36
) -> Int64[np.ndarray, " k"]:
    """Positions of at most k wrong answers, the most confident first; equal ones stay in order."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[order[:k]].astype(np.int64)


def write_report(workdir: pathlib.Path, report: Report) -> None:
    """Writes report.json, report.md and report.csv; each appears whole or not at all."""
    _write(workdir / "report.json", json.dumps(report, indent=2) + "\n")
    _write(workdir / "report.md", _to_markdown(report))
    _write(workdir / "report.csv", _report_csv(report))


def read_report(path: pathlib.Path) -> Report:
    """Reads report.json. Raises UserError for one that is missing or broken."""
    try:
        report: Report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); make it again with 'python -m ferjax.evaluate --workdir {path.parent}'"
        ) from None
    return report


def standard_error(report: Report) -> float:
    """Standard error of the accuracy of n independent images: sqrt(p (1 - p) / n)."""
    return math.sqrt(report["accuracy"] * (1 - report["accuracy"]) / report["n"])


def format_table(report: Report) -> str:
    """The report as a table for the terminal, scores in percent."""
    lines = [f"{report['split']} split, {report['n']:,} images", ""]
    lines.append(f"{'':<10}{'precision':>10}{'recall':>8}{'F1':>8}{'images':>9}")
    for name, precision, recall, f1, support in _score_rows(report):
        lines.append(f"{name:<10}{precision:>10.1%}{recall:>8.1%}{f1:>8.1%}{support:>9,}")
    lines += ["", f"accuracy  {report['accuracy']:.1%} ± {standard_error(report):.1%} (standard error)"]
    lines.append(f"macro F1  {report['macro_f1']:.1%}")
    return "\n".join(lines)


def _score_rows(report: Report) -> list[tuple[str, float, float, float, int]]:
    """Name, precision, recall, F1 and images of every class, then of the macro and the weighted mean."""
    rows = [
        (name, scores["precision"], scores["recall"], scores["f1"], scores["support"])
        for name, scores in report["per_class"].items()
    ]
    rows.append(("macro", report["macro_precision"], report["macro_recall"], report["macro_f1"], report["n"]))
    rows.append(
        ("weighted", report["weighted_precision"], report["weighted_recall"], report["weighted_f1"], report["n"])
    )
    return rows


def _to_markdown(report: Report) -> str:
    lines = [
        f"# Report: {report['split']} split, {report['n']:,} images",
        "",
        f"Accuracy **{report['accuracy']:.2%}** ± {standard_error(report):.2%} (standard error), "
        f"macro F1 **{report['macro_f1']:.2%}**, loss {report['loss']:.4f}.",
        "",
        "| class | precision | recall | F1 | images |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, precision, recall, f1, support in _score_rows(report):
        lines.append(f"| {name} | {precision:.2%} | {recall:.2%} | {f1:.2%} | {support:,} |")
    lines += [
        "",
        "macro: mean over the classes. weighted: mean weighted by the images of each class.",
        "",
        "## Confusion matrix",
        "",
        "Rows are true classes, columns predicted ones; images.",
        "",
        f"| true \\ predicted | {' | '.join(report['per_class'])} |",
        f"|---|{'---:|' * CLASSES}",
    ]
    for i, (name, counts) in enumerate(zip(report["per_class"], report["confusion"], strict=True)):
        cells = [f"**{count:,}**" if i == j else f"{count:,}" for j, count in enumerate(counts)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _report_csv(report: Report) -> str:
    """A line per class and per mean; the last one, 'all', has what belongs to the split as a whole."""
    lines: list[tuple[object, ...]] = [(*scores, "", "") for scores in _score_rows(report)]
    lines.append(("all", "", "", "", report["n"], report["accuracy"], report["loss"]))
    header = ("class", *SCORES, "support", "accuracy", "loss")
    return _to_csv(dict(zip(header, zip(*lines, strict=True), strict=True)))


def _to_csv(columns: Mapping[str, object]) -> str:
    import pandas as pd  # here, since its import takes as long as jax's and only the end of a run needs it

    return pd.DataFrame(columns).to_csv(index=False, lineterminator="\n")


def _write(path: pathlib.Path, text: str) -> None:
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")
