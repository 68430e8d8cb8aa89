"""A confusion matrix, of one run or the mean over several, as a figure."""

from collections.abc import MutableMapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int64
from matplotlib.figure import Figure
from matplotlib.text import Text

from ferjax.figures.style import GRAY, INK, styled

Key: TypeAlias = tuple[tuple[str, ...], tuple[int, ...], bool, int]


class ConfusionFigure:
    """The figure of a confusion matrix: the share of the true class as colour and percentage, and below it the count.

    When it is saved it can show the next one, where `create_key` gives the same for both: that takes half the time of a
    new figure, and gives the same file.
    """

    def __init__(self, title: str, confusions: Int64[np.ndarray, "runs c c"], classes: Sequence[str]) -> None:
        side = 0.96 * len(classes) + 1.2
        self.figure = Figure(figsize=(side + 0.9, side), layout="constrained")
        self._axes = axes = self.figure.subplots()
        self._image = axes.imshow(np.zeros(confusions.shape[1:]), cmap="Blues", vmin=0, vmax=1)
        # They lie within the axes, so that the layout, which takes long with many texts, need not measure them.
        kept: dict[str, Any] = {"ha": "center", "va": "center", "in_layout": False}
        self._shares: dict[tuple[int, ...], Text] = {}
        self._counts: dict[tuple[int, ...], Text] = {}
        for i, j in np.ndindex(confusions.shape[1:]):
            self._shares[i, j] = axes.text(j, i, "", **kept)
            self._counts[i, j] = axes.text(j, i + 0.23, "", fontsize=7.5 if len(confusions) == 1 else 7, **kept)
        support = confusions[0].sum(axis=1)
        axes.set_xticks(range(len(classes)), classes)
        axes.set_yticks(range(len(classes)), [f"{name}\nn = {n:,}" for name, n in zip(classes, support, strict=True)])
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.tick_params(length=0, labelsize=9)
        axes.spines[:].set_visible(False)
        bar = self.figure.colorbar(self._image, ax=axes, shrink=0.8, format=lambda share, _: f"{share:.0%}")
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)
        self.show(title, confusions)

    def show(self, title: str, confusions: Int64[np.ndarray, "runs c c"]) -> Figure:
        """Show the mean of some matrices, with its deviation (n - 1) where there are several; return the figure."""
        if not self.figure.stale:  # it was saved, and is laid out
            self.figure.set_layout_engine("none")
        mean = confusions.mean(axis=0)
        shares = mean / np.maximum(mean.sum(axis=1, keepdims=True), 1)
        std = confusions.std(axis=0, ddof=1) if len(confusions) > 1 else None
        self._image.set_data(shares)
        for (i, j), text in self._shares.items():
            color = "white" if shares[i, j] > 0.55 else INK
            count = f"{mean[i, j]:,.0f}" if std is None else f"{mean[i, j]:,.1f} ± {std[i, j]:.1f}"
            is_empty = not mean[i, j]
            text.set_text("0" if is_empty else f"{shares[i, j]:.0%}")
            text.set_y(i if is_empty else i - 0.12)
            text.set_color(GRAY if is_empty else color)
            text.set_fontsize(8 if is_empty else 11)
            self._counts[i, j].set_text("" if is_empty else count)
            self._counts[i, j].set_color(color)
        self._axes.set_title(title, fontsize=12, color=INK)
        return self.figure


def create_key(title: str, confusions: Int64[np.ndarray, "runs c c"], classes: Sequence[str]) -> Key:
    """Return what a layout depends on: the classes, their images, whether there are deviations, the title's lines."""
    support = tuple(confusions[0].sum(axis=1).tolist())
    return tuple(classes), support, len(confusions) > 1, title.count("\n")


@styled
def draw_confusion_matrix(
    title: str,
    confusions: Int64[np.ndarray, "runs c c"],
    classes: Sequence[str],
    saved: MutableMapping[Key, ConfusionFigure] | None = None,
) -> Figure:
    """Draw a confusion matrix, or the mean of several with its deviation (n - 1); rows are true classes.

    `saved` are figures of before, which were saved and may become this one; a new one is added.
    """
    if saved is None:
        return ConfusionFigure(title, confusions, classes).figure
    key = create_key(title, confusions, classes)
    if key in saved:
        return saved[key].show(title, confusions)
    saved[key] = ConfusionFigure(title, confusions, classes)
    return saved[key].figure
