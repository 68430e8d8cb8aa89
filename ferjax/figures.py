"""A run's saved numbers -> its figures; the only home of matplotlib.

Figures are built as objects, without pyplot, so that drawing leaves no state behind and can happen beside a training
loop. The colours are Okabe and Ito's, which colour-blind readers tell apart.
"""

import dataclasses
import json
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferjax.atomic import replacing
from ferjax.data.rows import EMOTIONS
from ferjax.errors import UserError
from ferjax.report import read_predictions, read_report

BLUE, ORANGE, GREEN, GRAY, INK = "#0072B2", "#D55E00", "#009E73", "#8A8A8A", "#222222"
DPI = 144
GRID_COLUMNS = 6


@dataclasses.dataclass(frozen=True)
class Curve:
    """The logged lines of one split in the order of training; `epoch` counts passes over the data."""

    epoch: Float64[np.ndarray, " t"]
    loss: Float64[np.ndarray, " t"]
    accuracy: Float64[np.ndarray, " t"]
    learning_rate: Float64[np.ndarray, " t"]  # nan where a line has none

    def __len__(self) -> int:
        return len(self.epoch)


def draw_all(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Draws every figure whose sources the run has into workdir/figures and returns their paths.

    Raises UserError, with the file and what to do, for a source that is broken.
    """
    folder = workdir / "figures"
    drawn = []
    for name, (sources, draw) in FIGURES.items():
        if not all((workdir / source).exists() for source in sources):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        with replacing(path) as beside:
            # Without the Software line the bytes depend on the data alone.
            draw(workdir).savefig(beside, format="png", dpi=DPI, metadata={"Software": None})
        drawn.append(path)
    return drawn


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
        rate.plot(trained.epoch, trained.learning_rate, color=INK, linewidth=1.2, marker=_marker(trained))
    rate.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", scilimits=(0, 0), useMathText=True)
    rate.set_ylabel("learning rate")
    rate.set_xlim(left=0)
    rate.set_xlabel("epochs (passes over the training images)")
    for axes in (loss, accuracy, rate):
        _tidy(axes)
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
            axes.plot(curve.epoch, values, **{"marker": _marker(curve)} | style)


def _marker(curve: Curve) -> str:
    """A dot a point while they are few: a line through one point would be invisible."""
    return "o" if len(curve) <= 20 else ""


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
    counts = _read_counts(workdir / "data.json")
    sizes = [f"{split} n = {sum(counts[split]):,}" for split in ("train", "validation") if split in counts]
    return f"{title}\n{', '.join(sizes)}"


def draw_confusion(workdir: pathlib.Path) -> Figure:
    """The confusion matrix: colour and percentage by true class, with the counts beneath."""
    report = read_report(workdir / "report.json")
    counts = np.array(report["confusion"], np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(7.6, 6.4), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(counts.shape):
        if not counts[i, j]:
            axes.text(j, i, "0", ha="center", va="center", color=GRAY, fontsize=8)
            continue
        color = "white" if shares[i, j] > 0.55 else INK
        axes.text(j, i - 0.12, f"{shares[i, j]:.0%}", ha="center", va="center", color=color, fontsize=11)
        axes.text(j, i + 0.22, f"{counts[i, j]:,}", ha="center", va="center", color=color, fontsize=7.5)
    names = list(report["per_class"])
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(
        range(len(names)), [f"{name}\nn = {n:,}" for name, n in zip(names, counts.sum(axis=1), strict=True)]
    )
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format=lambda share, _: f"{share:.0%}")
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    title = f"Confusion matrix, {report['split']} split, n = {report['n']:,}\naccuracy {report['accuracy']:.1%}"
    axes.set_title(title, fontsize=12, color=INK)
    return figure


def draw_class_distribution(workdir: pathlib.Path) -> Figure:
    """Images of every class, a panel per split that has any."""
    counts = {split: np.array(n) for split, n in _read_counts(workdir / "data.json").items() if sum(n)}
    figure = Figure(figsize=(3.6 * max(len(counts), 1) + 0.6, 3.8), layout="constrained")
    panels = figure.subplots(1, max(len(counts), 1), sharey=True, squeeze=False)[0]
    for axes, (split, n) in zip(panels, counts.items(), strict=False):
        shares = 100 * n / n.sum()
        bars = axes.barh(EMOTIONS, shares, color=BLUE, height=0.7)
        axes.bar_label(bars, [f"{count:,}" for count in n], padding=3, fontsize=8, color=INK)
        axes.set_xlim(0, 1.25 * max((100 * m / m.sum()).max() for m in counts.values()))
        axes.set_xlabel("share of the split (%)")
        axes.set_title(f"{split}, n = {n.sum():,}", fontsize=10, color=INK)
        _tidy(axes, grid="x")
        axes.tick_params(axis="y", length=0)
    panels[0].invert_yaxis()
    figure.suptitle("Images per class and split", fontsize=12, color=INK)
    return figure


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
    answers = predictions.probabilities.argmax(axis=1)
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
        caption = f"{EMOTIONS[predictions.labels[i]]} → {EMOTIONS[answer]}\n{predictions.probabilities[i, answer]:.1%}"
        axes.set_title(caption, fontsize=8.5, color=INK, pad=3)
    which = f"All {mistakes:,}" if len(row) == mistakes else f"The {len(row)} most confident of {mistakes:,}"
    title = f"{which} mistakes, {subject}\ntrue → predicted, with its probability"
    figure.suptitle(title, fontsize=12, color=INK)
    return figure


def _read_counts(path: pathlib.Path) -> dict[str, list[int]]:
    """Images per class of every split, from data.json."""
    try:
        counts: dict[str, list[int]] = json.loads(path.read_text(encoding="utf-8"))["counts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}); delete it to do without its figure") from None
    return counts


def _tidy(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis=grid, color="#E4E4E4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


FIGURES: dict[str, tuple[tuple[str, ...], Callable[[pathlib.Path], Figure]]] = {
    "curves.png": (("metrics.jsonl",), draw_curves),
    "confusion.png": (("report.json",), draw_confusion),
    "class_distribution.png": (("data.json",), draw_class_distribution),
    "worst_mistakes.png": (("worst_mistakes.npz", "predictions.csv"), draw_worst_mistakes),
}
