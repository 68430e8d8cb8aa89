"""A run's saved numbers -> its figures."""

import pathlib
import zipfile
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from ferjax.errors import UserError
from ferjax.figures.confusion import draw_confusion_matrix
from ferjax.figures.curves import draw_curves
from ferjax.figures.distribution import draw_class_distribution
from ferjax.figures.style import INK, save
from ferjax.report import read_predictions, read_report

GRID_COLUMNS = 6


def draw_all(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Draws every figure whose sources the run has into workdir/figures and returns their paths.

    Raises UserError, with the file and what to do, for a source that is broken.
    """
    drawn = []
    for name, (sources, draw) in FIGURES.items():
        if not all((workdir / source).exists() for source in sources):
            continue
        path = workdir / "figures" / name
        save(draw(workdir), path)
        drawn.append(path)
    return drawn


def draw_confusion(workdir: pathlib.Path) -> Figure:
    """The run's confusion matrix."""
    report = read_report(workdir / "report.json")
    title = f"Confusion matrix, {report['split']} split, n = {report['n']:,}\naccuracy {report['accuracy']:.1%}"
    return draw_confusion_matrix(title, np.array([report["confusion"]], np.int64), list(report["per_class"]))


def draw_worst_mistakes(workdir: pathlib.Path) -> Figure:
    """The most confidently wrong images, each with its true class, the answer and its probability."""
    path = workdir / "worst_mistakes.npz"
    try:
        # Opened here, because np.load leaves a broken archive open.
        with path.open("rb") as stored, np.load(stored) as file:
            pixels, row = file["pixels"], file["row"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it to do without that figure") from None
    predictions = read_predictions(workdir / "predictions.csv")
    position = {int(value): i for i, value in enumerate(predictions.row)}
    missing = [int(value) for value in row if int(value) not in position]
    if missing:
        raise UserError(
            f"{path} shows row {missing[0]}, which predictions.csv lacks; delete it to do without that figure"
        )
    at = np.array([position[int(value)] for value in row], np.int64)
    answers, names = predictions.probabilities.argmax(axis=1), predictions.classes
    mistakes = int((answers != predictions.labels).sum())
    subject = f"{predictions.split} split, n = {len(answers):,}"
    height = max(-(-len(row) // GRID_COLUMNS), 1)
    figure = Figure(figsize=(9, 1.85 * height + 0.7), layout="constrained")
    if not len(row):
        figure.text(0.5, 0.5, f"No mistakes: {subject}", ha="center", va="center", fontsize=12, color=INK)
        return figure
    grid = figure.subplots(height, GRID_COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, image, i in zip(grid, pixels, at, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        answer = answers[i]
        caption = f"{names[predictions.labels[i]]} → {names[answer]}\n{predictions.probabilities[i, answer]:.1%}"
        axes.set_title(caption, fontsize=8.5, color=INK, pad=3)
    which = f"All {mistakes:,}" if len(row) == mistakes else f"The {len(row)} most confident of {mistakes:,}"
    title = f"{which} mistakes, {subject}\ntrue → predicted, with its probability"
    figure.suptitle(title, fontsize=12, color=INK)
    return figure


FIGURES: dict[str, tuple[tuple[str, ...], Callable[[pathlib.Path], Figure]]] = {
    "curves.png": (("metrics.jsonl",), draw_curves),
    "confusion.png": (("report.json",), draw_confusion),
    "class_distribution.png": (("data.json",), draw_class_distribution),
    "worst_mistakes.png": (("worst_mistakes.npz", "predictions.csv"), draw_worst_mistakes),
}
