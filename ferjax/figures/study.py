"""Figures of settings side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ferjax.figures.curves import Curve
from ferjax.figures.setting import align, plot_band
from ferjax.figures.style import BLUE, DASHES, GREEN, ORANGE, PALETTE, set_title, styled, tidy

_LINESTYLES = ("-", "--", ":", "-.")


@styled
def draw_accuracies(
    title: str,
    accuracies: Mapping[str, Float64[np.ndarray, " seeds"]],
    intervals: Mapping[str, tuple[float, float]],
    references: Mapping[str, tuple[float, float | None]],
    reference_title: str,
) -> Figure:
    """Draw a row for each setting, the baseline first: its seeds, the mean with its t interval, and what is published.

    Values are in 0..1; `references` has mean and deviation of those settings for which something is published.
    """
    n = len(accuracies)
    figure = Figure(figsize=(8, 0.52 * n + 1.9), layout="constrained")
    axes = figure.subplots()
    for i, (name, values) in enumerate(accuracies.items()):
        mean = 100 * values.mean()
        if i == 0:
            axes.axvline(mean, color=GREEN, linewidth=1.2, linestyle=DASHES, zorder=1)
        if name in intervals:
            low, high = (100 * edge for edge in intervals[name])
            axes.plot((low, high), (i, i), color=BLUE, linewidth=2.2, solid_capstyle="butt", zorder=2)
        # The seeds lie below the interval, so that five dots close together stay apart from the dot of the mean.
        axes.plot(100 * values, np.full(len(values), i + 0.16), "o", color=BLUE, ms=4.5, alpha=0.55, mew=0, zorder=3)
        axes.plot(mean, i, "o", color=BLUE, ms=8, mec="white", mew=1.2, zorder=4)
        if name in references:
            value, std = references[name]
            axes.errorbar(
                100 * value,
                i - 0.2,
                xerr=100 * (std or 0),
                fmt="D",
                color=ORANGE,
                ms=6,
                mec="white",
                capsize=3,
                zorder=3,
            )
    axes.set_yticks(range(n), list(accuracies))
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_xlabel("accuracy (%)")
    tidy(axes, grid="x")
    axes.tick_params(axis="y", length=0)
    handles = [
        Line2D([], [], marker="o", color=BLUE, ms=8, mec="white", linewidth=2.2, label="mean, 95% t interval"),
        Line2D([], [], marker="o", color=BLUE, ms=4.5, alpha=0.55, mew=0, linestyle="", label="a seed"),
        Line2D([], [], color=GREEN, linestyle=DASHES, label=f"mean of {next(iter(accuracies))}"),
    ]
    if references:
        handles.append(Line2D([], [], marker="D", color=ORANGE, ms=6, mec="white", label=f"{reference_title}, ± std"))
    axes.legend(handles=handles, frameon=False, fontsize=9, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    set_title(figure, title)
    return figure


@styled
def draw_validation_curves(title: str, settings: Mapping[str, Sequence[Curve]]) -> Figure:
    """Draw validation loss and accuracy of several settings: the mean of each over its seeds, within their range."""
    figure = Figure(figsize=(9, 7.4), layout="constrained")
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    for i, (name, curves) in enumerate(settings.items()):
        color, linestyle = PALETTE[i % len(PALETTE)], _LINESTYLES[i // len(PALETTE) % len(_LINESTYLES)]
        plot_band(loss, *align(curves, "loss"), color=color, label=name, linestyle=linestyle)
        plot_band(accuracy, *align(curves, "accuracy", 100.0), color=color, label=name, linestyle=linestyle)
    for axes, label in ((loss, "validation loss (nats)"), (accuracy, "validation accuracy (%)")):
        axes.set_ylabel(label)
        tidy(axes)
    accuracy.set_xlabel("epochs (passes over the training images) that every seed of the setting reached")
    accuracy.set_xlim(left=0)
    accuracy.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Given by hand: matplotlib leaves out names that begin with an underscore.
    figure.legend(loss.lines, list(settings), loc="outside right upper", frameon=False, fontsize=9)
    set_title(figure, f"{title}\nmean over the seeds, band from the lowest to the highest")
    return figure
