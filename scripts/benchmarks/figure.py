"""The benchmark as bars: a panel for each task and batch size, to be read on a phone."""

import pathlib
import statistics
import types
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferjax.figures.style import BLUE, GRAY, INK, ORANGE, save, tidy
from scripts.benchmarks.contenders import BARE, FERJAX
from scripts.benchmarks.results import Result

_PANELS: Mapping[str, str] = types.MappingProxyType(
    {"train": "Training", "pipeline": "Training with augmentation", "inference": "Inference"}
)


def draw(results: Sequence[Result], path: pathlib.Path) -> None:
    """Draw medians with their range over the rounds; draw nothing where no speed was measured."""
    panels = [result for result in results if result["task"] in _PANELS and result["values"]]
    if not panels:
        return
    bars = [sorted(panel["values"].items(), key=lambda item: -statistics.median(item[1])) for panel in panels]
    figure = Figure(figsize=(6.4, 0.9 + sum(0.75 + 0.36 * len(some) for some in bars)), layout="constrained")
    axes = figure.subplots(len(panels), 1, height_ratios=[1.6 + len(some) for some in bars], squeeze=False)[:, 0]
    for panel, some, place in zip(panels, bars, axes, strict=True):
        _draw_panel(place, f"{_PANELS[panel['task']]}, batch {panel['batch']}", some)
    figure.suptitle("VGG19 at 48 px, float32: images/s, more is better", fontsize=13, color=INK)
    save(figure, path)


def _draw_panel(axes: Axes, title: str, bars: list[tuple[str, list[float]]]) -> None:
    medians = [statistics.median(values) for _, values in bars]
    reach = [
        [median - min(values) for median, (_, values) in zip(medians, bars, strict=True)],
        [max(values) - median for median, (_, values) in zip(medians, bars, strict=True)],
    ]
    colors = [ORANGE if name == FERJAX else GRAY if name == BARE else BLUE for name, _ in bars]
    axes.barh(range(len(bars)), medians, color=colors, height=0.66, xerr=reach, error_kw={"ecolor": INK, "capsize": 2})
    for at, (median, (_, values)) in enumerate(zip(medians, bars, strict=True)):
        axes.annotate(
            f"{median:,.0f}" if median >= 100 else f"{median:.1f}",
            (max(values), at),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=11,
            color=INK,
        )
    axes.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=11)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.16 * max(max(values) for _, values in bars))
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    tidy(axes, grid="x")
    axes.tick_params(axis="y", length=0, labelsize=11)
