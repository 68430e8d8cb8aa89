"""A confusion matrix, of one run or the mean over several, as a figure."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from matplotlib.figure import Figure

from ferjax.figures.style import GRAY, INK, styled


@styled
def draw_confusion_matrix(title: str, confusions: Int64[np.ndarray, "runs c c"], classes: Sequence[str]) -> Figure:
    """Draw the share of the true class as colour and percentage, and below it the count.

    Of several runs the count is mean ± deviation (n - 1). `confusions` has a matrix for each run, rows true classes.
    """
    mean = confusions.mean(axis=0)
    shares = mean / np.maximum(mean.sum(axis=1, keepdims=True), 1)
    std = confusions.std(axis=0, ddof=1) if len(confusions) > 1 else None
    side = 0.96 * len(classes) + 1.2
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    # They lie within the axes, so that the layout, which takes long with many texts, need not measure them.
    write = functools.partial(axes.text, ha="center", va="center", in_layout=False)
    for i, j in np.ndindex(shares.shape):
        if not mean[i, j]:
            write(j, i, "0", color=GRAY, fontsize=8)
            continue
        color = "white" if shares[i, j] > 0.55 else INK
        count = f"{mean[i, j]:,.0f}" if std is None else f"{mean[i, j]:,.1f} ± {std[i, j]:.1f}"
        write(j, i - 0.12, f"{shares[i, j]:.0%}", color=color, fontsize=11)
        write(j, i + 0.23, count, color=color, fontsize=7.5 if std is None else 7)
    support = confusions[0].sum(axis=1)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), [f"{name}\nn = {n:,}" for name, n in zip(classes, support, strict=True)])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format=lambda share, _: f"{share:.0%}")
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    axes.set_title(title, fontsize=12, color=INK)
    return figure
