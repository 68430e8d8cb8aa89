"""The curves of a run over its epochs, from metrics.jsonl."""

import dataclasses
import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferjax.figures.distribution import read_counts
from ferjax.figures.style import BLUE, DASHES, GREEN, INK, ORANGE, add_legend, choose_marker, set_title, styled, tidy
from ferjax.files import read_json_lines
from ferjax.workdir import DATA_FILE, METRICS_FILE

# What every line of metrics.jsonl has.
_FIELDS: Mapping[str, type] = MappingProxyType(
    {"split": str, "step": int, "epoch": float, "loss": float, "accuracy": float}
)


@dataclasses.dataclass(frozen=True)
class Curve:
    """The logged lines of one split in the order of training; `epoch` counts passes over the data."""

    epoch: Float64[np.ndarray, " t"]
    loss: Float64[np.ndarray, " t"]
    accuracy: Float64[np.ndarray, " t"]
    learning_rate: Float64[np.ndarray, " t"]  # nan where a line has none

    def __len__(self) -> int:
        """Count the lines."""
        return len(self.epoch)


def read_curves(path: pathlib.Path) -> dict[str, Curve]:
    """Read metrics.jsonl into a curve for each split.

    A resumed run may log a step twice: the later line counts. Raises UserError for a broken line.
    """
    by_split: dict[str, dict[int, dict[str, Any]]] = {}
    for line in read_json_lines(path, _FIELDS):
        by_split.setdefault(line["split"], {})[line["step"]] = line
    return {split: _to_curve(by_step) for split, by_step in by_split.items()}


def _to_curve(by_step: dict[int, dict[str, Any]]) -> Curve:
    lines = [by_step[step] for step in sorted(by_step)]
    columns = ("epoch", "loss", "accuracy", "learning_rate")
    return Curve(*(np.array([line.get(name, np.nan) for line in lines], np.float64) for name in columns))


@styled
def draw_curves(workdir: pathlib.Path) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs, and mark the epoch of the best validation accuracy."""
    curves = read_curves(workdir / METRICS_FILE)
    figure = Figure(figsize=(8, 9), layout="constrained")
    loss, accuracy, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.2))
    _plot_splits(loss, {split: (curve, curve.loss) for split, curve in curves.items()})
    _plot_splits(accuracy, {split: (curve, 100 * curve.accuracy) for split, curve in curves.items()})
    best = _find_best(curves.get("validation"))
    if best is not None:
        epoch, top = best
        for axes in (loss, accuracy):
            axes.axvline(epoch, color=GREEN, linewidth=1.2, linestyle=DASHES, zorder=1)
        label = f"best validation accuracy: {top:.1%} at epoch {epoch:.3g}"
        accuracy.plot(epoch, 100 * top, "o", color="none", markeredgecolor=GREEN, markersize=11, mew=1.8, label=label)
    for axes, label in ((loss, "loss (nats)"), (accuracy, "accuracy (%)")):
        axes.set_ylabel(label)
        add_legend(axes)
    trained = curves.get("train_step", curves.get("train"))
    if trained is not None:
        rate.plot(trained.epoch, trained.learning_rate, color=INK, linewidth=1.2, marker=choose_marker(len(trained)))
    rate.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", scilimits=(0, 0), useMathText=False)
    rate.set_ylabel("learning rate")
    rate.set_xlim(left=0)
    rate.set_xlabel("epochs (passes over the training images)")
    for axes in (loss, accuracy, rate):
        tidy(axes)
    set_title(figure, _describe_curves(workdir))
    return figure


def _plot_splits(axes: Axes, curves: dict[str, tuple[Curve, Float64[np.ndarray, " _"]]]) -> None:
    """Draw the means of epochs as lines, and the noisy means of a few steps thin behind them."""
    # A run shorter than an epoch has no means of epochs: its steps are drawn as strong lines.
    faint = {"alpha": 0.35, "linewidth": 0.8} if "train" in curves else {"linewidth": 1.8}
    styles: dict[str, dict[str, Any]] = {
        "train_step": {"color": BLUE, "label": "train, mean of a few steps"} | faint,
        "train": {"color": BLUE, "label": "train", "linewidth": 1.8},
        "validation": {"color": ORANGE, "label": "validation", "linewidth": 1.8},
    }
    for split, style in styles.items():
        if split in curves:
            curve, values = curves[split]
            axes.plot(curve.epoch, values, **{"marker": choose_marker(len(curve))} | style)


def _find_best(curve: Curve | None) -> tuple[float, float] | None:
    """Find epoch and value of the best validation accuracy, the first of equal ones; None without validation."""
    if curve is None or np.isnan(curve.accuracy).all():
        return None
    best = int(np.nanargmax(curve.accuracy))
    return float(curve.epoch[best]), float(curve.accuracy[best])


def _describe_curves(workdir: pathlib.Path) -> str:
    title = "Training and validation over the epochs"
    if not (workdir / DATA_FILE).exists():
        return title
    counts = read_counts(workdir / DATA_FILE)[0]
    sizes = [f"{split} n = {sum(counts[split]):,}" for split in ("train", "validation") if split in counts]
    return f"{title}\n{', '.join(sizes)}"
