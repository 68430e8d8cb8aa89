"""A run's metrics.jsonl -> its curves over the epochs."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferjax.errors import UserError
from ferjax.figures.distribution import read_counts
from ferjax.figures.style import BLUE, GREEN, INK, ORANGE, marker, tidy


@dataclasses.dataclass(frozen=True)
class Curve:
    """The logged lines of one split in the order of training; `epoch` counts passes over the data."""

    epoch: Float64[np.ndarray, " t"]
    loss: Float64[np.ndarray, " t"]
    accuracy: Float64[np.ndarray, " t"]
    learning_rate: Float64[np.ndarray, " t"]  # nan where a line has none

    def __len__(self) -> int:
        return len(self.epoch)


def read_curves(path: pathlib.Path) -> dict[str, Curve]:
    """Reads metrics.jsonl into a curve per split.

    A run killed while it wrote leaves half a last line, which is passed over; any other broken line is a UserError. A
    resumed run may log a step twice: the later line counts.
    """
    by_split: dict[str, dict[int, dict[str, Any]]] = {}
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            by_split.setdefault(line["split"], {})[line["step"]] = {key: line[key] for key in _CURVE_KEYS} | line
        except (ValueError, TypeError, KeyError):
            # split() leaves text after the last newline only where that newline is missing.
            if number == len(lines):
                break
            raise UserError(
                f"{path}, line {number} is not a line of metrics; delete that line and run evaluate again"
            ) from None
    return {split: _to_curve(by_step) for split, by_step in by_split.items()}


_CURVE_KEYS = ("epoch", "loss", "accuracy")


def _to_curve(by_step: dict[int, dict[str, Any]]) -> Curve:
    lines = [by_step[step] for step in sorted(by_step)]
    columns = (*_CURVE_KEYS, "learning_rate")
    return Curve(*(np.array([line.get(name, np.nan) for line in lines], np.float64) for name in columns))


def draw_curves(workdir: pathlib.Path) -> Figure:
    """Loss, accuracy and learning rate over epochs, with the epoch of the best validation accuracy marked."""
    curves = read_curves(workdir / "metrics.jsonl")
    figure = Figure(figsize=(8, 9), layout="constrained")
    loss, accuracy, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.2))
    _plot_splits(loss, {split: (curve, curve.loss) for split, curve in curves.items()})
    _plot_splits(accuracy, {split: (curve, 100 * curve.accuracy) for split, curve in curves.items()})
    best = _find_best(curves.get("validation"))
    if best is not None:
        epoch, top = best
        for axes in (loss, accuracy):
            axes.axvline(epoch, color=GREEN, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        label = f"best validation accuracy: {top:.1%} at epoch {epoch:.3g}"
        accuracy.plot(epoch, 100 * top, "o", color="none", markeredgecolor=GREEN, markersize=11, mew=1.8, label=label)
    for axes, label in ((loss, "loss (nats)"), (accuracy, "accuracy (%)")):
        axes.set_ylabel(label)
        if axes.lines:
            axes.legend(frameon=False, fontsize=9)
    trained = curves.get("train_step", curves.get("train"))
    if trained is not None:
        rate.plot(trained.epoch, trained.learning_rate, color=INK, linewidth=1.2, marker=marker(len(trained)))
    rate.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", scilimits=(0, 0), useMathText=True)
    rate.set_ylabel("learning rate")
    rate.set_xlim(left=0)
    rate.set_xlabel("epochs (passes over the training images)")
    for axes in (loss, accuracy, rate):
        tidy(axes)
    figure.suptitle(_title_curves(workdir), fontsize=12, color=INK)
    return figure


def _plot_splits(axes: Axes, curves: dict[str, tuple[Curve, Float64[np.ndarray, " _"]]]) -> None:
    """Epoch means as lines, the noisy means of a few steps thin behind them."""
    # A run shorter than an epoch has no epoch means: the steps come to the front.
    faint = {"alpha": 0.35, "linewidth": 0.8} if "train" in curves else {"linewidth": 1.8}
    styles: dict[str, dict[str, Any]] = {
        "train_step": {"color": BLUE, "label": "train, mean of a few steps"} | faint,
        "train": {"color": BLUE, "label": "train", "linewidth": 1.8},
        "validation": {"color": ORANGE, "label": "validation", "linewidth": 1.8},
    }
    for split, style in styles.items():
        if split in curves:
            curve, values = curves[split]
            axes.plot(curve.epoch, values, **{"marker": marker(len(curve))} | style)


def _find_best(curve: Curve | None) -> tuple[float, float] | None:
    """Epoch and value of the highest validation accuracy, the first of equal ones; None where nothing was validated."""
    if curve is None or np.isnan(curve.accuracy).all():
        return None
    best = int(np.nanargmax(curve.accuracy))
    return float(curve.epoch[best]), float(curve.accuracy[best])


def _title_curves(workdir: pathlib.Path) -> str:
    title = "Training and validation over the epochs"
    if not (workdir / "data.json").exists():
        return title
    counts = read_counts(workdir / "data.json")[0]
    sizes = [f"{split} n = {sum(counts[split]):,}" for split in ("train", "validation") if split in counts]
    return f"{title}\n{', '.join(sizes)}"
