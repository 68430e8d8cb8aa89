"""The figure of a search, from search.json: the score over every searched key, and the trials' validation curves."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator

from ferjax.documents.words import count
from ferjax.errors import UserError
from ferjax.figures.style import GRAY, PALETTE, choose_marker, set_title, styled, tidy
from ferjax.scores import SCORES

_Trial = dict[str, Any]
_FEW = len(PALETTE)  # values that a legend and the ticks of an axis can hold


@styled
def draw_search(folder: pathlib.Path) -> Figure:
    """Draw a panel for each searched key, coloured by the value of the next key, and one of the validation curves.

    Crosses are trials that were pruned. Raises UserError for a search.json that is missing or broken.
    """
    path = folder / "search.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        keys = list(found["keys"])
        trials = [trial for trial in found["trials"] if trial["score"] is not None]
        score = SCORES[found["metric"]]
        for trial in trials:
            trial["score"] *= score.factor
            trial["curve"] = {int(epoch): score.factor * value for epoch, value in trial["scores"].items()}
            trial["values"] = {key: trial["values"][key] for key in keys}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}): start the search again, which writes it anew.") from None
    panels = len(keys) + 1
    figure = Figure(figsize=(4.4 * panels, 4.9), layout="constrained")
    *score_axes, curve_axes = figure.subplots(1, panels, squeeze=False)[0]
    for i, axes in enumerate(score_axes):
        # With one key the colour shows it again, and so connects the points with their curves.
        _draw_scores(axes, trials, keys[i], keys[(i + 1) % len(keys)], connect=len(keys) == 2)
    if keys:
        _draw_curves(curve_axes, trials, keys[0])
    label = f"validation {score.label}"
    for axes in (*score_axes, curve_axes):
        tidy(axes)
        axes.set_ylabel(label if axes is curve_axes else f"{label}, best epoch")
    pruned = sum(trial["state"] == "pruned" for trial in trials)
    title = f"{count(len(trials), 'trial')}{f', {pruned} of them pruned (crosses)' if pruned else ''}"
    set_title(figure, title)
    return figure


def _draw_scores(axes: Axes, trials: list[_Trial], key: str, other: str, *, connect: bool) -> None:
    """Draw the score over one key; `connect` joins the points of one colour, which then differ by this key alone."""
    place = _place_values(axes, [trial["values"][key] for trial in trials])
    for value, color in _choose_colors([trial["values"][other] for trial in trials]).items():
        same = [trial for trial in trials if trial["values"][other] == value]
        same.sort(key=lambda trial: place[trial["values"][key]])
        x, y = [place[trial["values"][key]] for trial in same], [trial["score"] for trial in same]
        axes.plot(x, y, color=color, linewidth=1.2 if connect else 0, alpha=0.5)
        for shape, pruned in (("o", False), ("X", True)):
            at = [i for i, trial in enumerate(same) if (trial["state"] == "pruned") == pruned]
            axes.plot([x[i] for i in at], [y[i] for i in at], shape, color=color, markersize=8)
    axes.set_xlabel(key)
    if other != key:
        _add_legend(axes, other, trials, marker="o", linestyle="", markersize=8)


def _place_values(axes: Axes, values: Sequence[Any]) -> dict[Any, float]:
    """Place every value on the x axis: words side by side, numbers of a wide range on a logarithmic axis."""
    different = _sort(values)
    if any(isinstance(value, bool | str) for value in different):
        axes.set_xticks(range(len(different)), [_format(value) for value in different])
        axes.margins(x=0.2)
        return {value: float(i) for i, value in enumerate(different)}
    if different and min(different) > 0 and max(different) / min(different) >= 8:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    if len(different) <= _FEW:
        axes.set_xticks(different, [_format(value) for value in different])
        axes.xaxis.set_minor_locator(NullLocator())
    return {value: float(value) for value in different}


def _draw_curves(axes: Axes, trials: list[_Trial], key: str) -> None:
    """Draw the score of every trial over its epochs; that of the best in bold."""
    colors = _choose_colors([trial["values"][key] for trial in trials])
    for i, trial in reversed(list(enumerate(trials))):  # the best come first, and are drawn last
        curve, width = trial["curve"], 2.8 if i == 0 else 1.2
        color = colors[trial["values"][key]]
        axes.plot(
            list(curve), list(curve.values()), color=color, linewidth=width, marker=choose_marker(len(curve)), ms=4
        )
    axes.set_xlabel("epochs (bold: the best trial)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _add_legend(axes, key, trials)


def _add_legend(axes: Axes, key: str, trials: list[_Trial], **look: Any) -> None:
    """Add a legend below the panel, where it hides nothing; of many values the lowest, the middle and the highest."""
    colors = _choose_colors([trial["values"][key] for trial in trials])
    # Given by hand: matplotlib leaves out labels that begin with an underscore.
    handles, labels = [Line2D([], [], color=color, **look) for color in colors.values()], list(map(_format, colors))
    shown = range(len(labels)) if len(labels) <= _FEW else (0, len(labels) // 2, len(labels) - 1)
    if handles:
        axes.legend(
            [handles[i] for i in shown],
            [labels[i] for i in shown],
            title=key,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.14),
            ncols=4,
            frameon=False,
            fontsize=9,
            title_fontsize=9,
        )


def _sort(values: Sequence[Any]) -> list[Any]:
    return sorted(set(values), key=lambda value: (isinstance(value, str), value))


def _choose_colors(values: Sequence[Any]) -> dict[Any, Any]:
    """Choose a colour for every value, in order: the palette for a few, a scale from dark to light for many."""
    different = _sort(values)
    if len(different) <= 1:
        return dict.fromkeys(different, GRAY)
    if len(different) <= _FEW:
        return dict(zip(different, PALETTE, strict=False))
    scale = colormaps["viridis"](np.linspace(0, 0.9, len(different)))
    return dict(zip(different, map(tuple, scale), strict=True))


def _format(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
