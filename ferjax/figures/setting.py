"""Figures of one setting: the mean over its seeds, and how far they lie apart."""

from collections.abc import Mapping, MutableMapping, Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ferjax.figures.confusion import ConfusionFigure, Key, draw_confusion_matrix
from ferjax.figures.curves import Curve
from ferjax.figures.style import BLUE, DASHES, GRAY, INK, ORANGE, add_legend, arrange, styled, tidy

_COLORS: Mapping[str, str] = MappingProxyType({"train": BLUE, "validation": ORANGE})


@styled
def draw_seed_curves(title: str, runs: Sequence[Mapping[str, Curve]]) -> Figure:
    """Draw loss and accuracy of training and validation: the mean over the seeds, within a band from lowest to highest.

    Only the epochs that every seed reached are drawn, because the mean would jump where a seed stopped early.
    """
    figure = Figure(figsize=(8, 7))
    loss, accuracy = figure.subplots(2, 1, sharex=True, gridspec_kw={"hspace": 0.045})
    for split, color in _COLORS.items():
        curves = [run[split] for run in runs if split in run]
        if curves:
            plot_band(loss, *align(curves, "loss"), color=color, label=split)
            plot_band(accuracy, *align(curves, "accuracy", 100.0), color=color, label=split)
    for axes, name in ((loss, "loss (nats)"), (accuracy, "accuracy (%)")):
        axes.set_ylabel(name)
        tidy(axes)
        add_legend(axes)
    accuracy.set_xlabel("epochs (passes over the training images) that every seed reached")
    accuracy.set_xlim(left=0)
    accuracy.xaxis.set_major_locator(MaxNLocator(integer=True))
    band = "the one seed" if len(runs) == 1 else f"mean of {len(runs)} seeds, band from the lowest to the highest"
    arrange(figure, f"{title}\n{band}", left=0.8)
    return figure


def align(
    curves: Sequence[Curve], field: str, scale: float = 1.0
) -> tuple[Float64[np.ndarray, " t"], Float64[np.ndarray, "seeds t"]]:
    """Find the epochs that all curves have, and the values of `field` there, in a row for each curve."""
    columns = [dict(zip(curve.epoch.tolist(), getattr(curve, field).tolist(), strict=True)) for curve in curves]
    epochs = sorted(set.intersection(*(set(column) for column in columns)))
    values = [[scale * column[epoch] for epoch in epochs] for column in columns]
    return np.array(epochs, np.float64), np.array(values, np.float64).reshape(len(curves), len(epochs))


def plot_band(
    axes: Axes,
    epochs: Float64[np.ndarray, " t"],
    values: Float64[np.ndarray, "seeds t"],
    *,
    color: str,
    label: str,
    linestyle: str = "-",
) -> None:
    """Draw the mean as a line, within a band from the lowest to the highest seed."""
    mean = values.mean(axis=0)
    # A line through one point would be invisible.
    axes.plot(
        epochs,
        mean,
        color=color,
        label=label,
        linestyle=linestyle,
        linewidth=1.8,
        marker="o" if len(epochs) < 4 else "",
        ms=4,
    )
    if len(values) > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=color, alpha=0.16, linewidth=0)


@styled
def draw_mean_confusion(
    title: str,
    confusions: Int64[np.ndarray, "seeds c c"],
    classes: Sequence[str],
    saved: MutableMapping[Key, ConfusionFigure] | None = None,
) -> Figure:
    """Draw the mean confusion matrix over the seeds; `saved` is as draw_confusion_matrix has it."""
    n = len(confusions)
    said = "images, one seed" if n == 1 else f"images, mean ± standard deviation of {n} seeds"
    return draw_confusion_matrix(f"{title}\n{said}", confusions, classes, saved)


@styled
def draw_class_scores(
    title: str,
    classes: Sequence[str],
    scores: Float64[np.ndarray, "seeds c"],
    references: Mapping[str, tuple[float, float | None]],
    reference_title: str,
) -> Figure:
    """Draw the F1 of each class: a bar of the mean, its deviation over the seeds, and the published mean and deviation.

    Values are in 0..1; `references` has those classes for which something is published.
    """
    figure = Figure(figsize=(8, 4.6))
    axes = figure.subplots()
    at, mean = np.arange(len(classes)), 100 * scores.mean(axis=0)
    std = 100 * scores.std(axis=0, ddof=1) if len(scores) > 1 else None
    axes.bar(at, mean, color=BLUE, width=0.62, label=f"mean of {len(scores)} seeds" if std is not None else "one seed")
    if std is not None:
        axes.errorbar(at - 0.12, mean, std, fmt="none", ecolor=INK, capsize=3, linewidth=1.2, label="± std (n - 1)")
    published = [(i, *references[name]) for i, name in enumerate(classes) if name in references]
    if published:
        x = np.array([i + 0.16 for i, _, _ in published])
        y = np.array([100 * value for _, value, _ in published])
        reach = np.array([100 * (deviation or 0) for _, _, deviation in published])
        axes.errorbar(
            x,
            y,
            reach,
            fmt="D",
            color=ORANGE,
            ms=6,
            mec="white",
            capsize=3,
            linewidth=1.2,
            label=f"{reference_title}, ± std",
        )
    for i, value in enumerate(mean):
        axes.text(i, 1.5, f"{value:.1f}", ha="center", va="bottom", color="white" if value > 8 else INK, fontsize=9)
    axes.set_xticks(at, classes)
    axes.set_ylim(0, 100)
    axes.set_ylabel("F1 (%)")
    tidy(axes, grid="y")
    axes.tick_params(axis="x", length=0)
    axes.legend(frameon=False, fontsize=9, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    arrange(figure, title, left=0.6, bottom=0.24, above=0.25)
    return figure


@styled
def draw_reliability(
    title: str,
    count: Int64[np.ndarray, " bins"],
    confidence: Float64[np.ndarray, " bins"],
    correct: Int64[np.ndarray, " bins"],
) -> Figure:
    """Draw accuracy against confidence, bin by bin, and below it the share of the answers in each bin.

    `count`, `confidence` and `correct` are sums over the answers of a bin. As in Guo et al. 2017, arXiv
    1706.04599, figure 1.
    """
    figure = Figure(figsize=(6.4, 7))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1), gridspec_kw={"hspace": 0.055})
    edges = np.linspace(0, 100, len(count) + 1)
    filled = count > 0
    total = np.maximum(count, 1)
    accuracy, certain = 100 * correct / total, 100 * confidence / total
    width = edges[1]
    left = edges[:-1][filled]
    upper.bar(
        left, accuracy[filled], width, align="edge", color=BLUE, edgecolor="white", linewidth=0.8, label="accuracy"
    )
    upper.bar(
        left,
        (certain - accuracy)[filled],
        width,
        bottom=accuracy[filled],
        align="edge",
        facecolor=ORANGE,
        alpha=0.35,
        edgecolor=ORANGE,
        linewidth=0.8,
        label="gap to the mean confidence",
    )
    upper.plot((0, 100), (0, 100), color=INK, linewidth=1.2, linestyle=DASHES, label="confidence as it should be")
    upper.set_ylim(0, 100)
    upper.set_ylabel("accuracy of the answers (%)")
    upper.legend(frameon=False, fontsize=9, loc="upper left")
    lower.bar(left, (100 * count / count.sum())[filled], width, align="edge", color=GRAY, edgecolor="white")
    for x, n in zip(left, count[filled], strict=True):
        lower.annotate(
            f"{n:,}",
            (x + width / 2, 100 * n / count.sum()),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=6.5,
            color=INK,
        )
    lower.margins(y=0.15)
    lower.set_ylabel("answers (%)")
    lower.set_xlabel(f"confidence: probability of the answer (%), {len(count)} bins")
    lower.set_xlim(0, 100)
    for axes in (upper, lower):
        tidy(axes)
    arrange(figure, title, left=0.6, right=0.16, above=0.04)
    return figure
