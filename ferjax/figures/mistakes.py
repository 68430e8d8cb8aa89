"""The images that a run was most confidently wrong about, as a figure."""

import pathlib
import zipfile

import numpy as np
from jaxtyping import Int64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferjax.errors import UserError
from ferjax.figures.style import INK, set_title, styled
from ferjax.report import Predictions, read_predictions
from ferjax.workdir import MISTAKES_FILE, PREDICTIONS_FILE

_COLUMNS = 6


@styled
def draw_worst_mistakes(workdir: pathlib.Path) -> Figure:
    """Draw the most confidently wrong images, each with its true class, the answer and its probability.

    Raises UserError for a file that is broken, or that shows an image which has no prediction.
    """
    path = workdir / MISTAKES_FILE
    pixels, row = _read_mistakes(path)
    predictions = read_predictions(workdir / PREDICTIONS_FILE)
    positions = _find_positions(path, row, predictions)
    answers = predictions.probabilities.argmax(axis=1)
    mistakes = int((answers != predictions.labels).sum())
    subject = f"{predictions.split} split, n = {len(answers):,}"
    height = max(-(-len(row) // _COLUMNS), 1)
    figure = Figure(figsize=(9, 1.85 * height + 0.7), layout="constrained")
    if not len(row):
        figure.text(0.5, 0.5, f"No mistakes: {subject}", ha="center", va="center", fontsize=12, color=INK)
        return figure
    grid = figure.subplots(height, _COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, image, i in zip(grid, pixels, positions.tolist(), strict=False):
        _draw_mistake(axes, image, predictions, i)
    which = f"All {mistakes:,}" if len(row) == mistakes else f"The {len(row)} most confident of {mistakes:,}"
    set_title(figure, f"{which} mistakes, {subject}\ntrue → predicted, with its probability")
    return figure


def _read_mistakes(path: pathlib.Path) -> tuple[UInt8[np.ndarray, "k ..."], Int64[np.ndarray, " k"]]:
    try:
        # Opened here, because np.load leaves a broken archive open.
        with path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
            return file["pixels"], file["row"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it to do without that figure") from None


def _find_positions(
    path: pathlib.Path, row: Int64[np.ndarray, " k"], predictions: Predictions
) -> Int64[np.ndarray, " k"]:
    """Find where the predictions of some rows are."""
    position = {int(value): i for i, value in enumerate(predictions.row)}
    missing = [int(value) for value in row if int(value) not in position]
    if missing:
        raise UserError(
            f"{path} shows row {missing[0]}, which {PREDICTIONS_FILE} lacks; delete it to do without that figure"
        )
    return np.array([position[int(value)] for value in row], np.int64)


def _draw_mistake(axes: Axes, image: UInt8[np.ndarray, "..."], predictions: Predictions, i: int) -> None:
    names, answer = predictions.classes, int(predictions.probabilities[i].argmax())
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    caption = f"{names[predictions.labels[i]]} → {names[answer]}\n{predictions.probabilities[i, answer]:.1%}"
    axes.set_title(caption, fontsize=8.5, color=INK, pad=3)
